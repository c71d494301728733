//! Tokens after a context that was read before, and tokens one by one: what they must equal.

use std::{collections::BTreeSet, fs, ops::ControlFlow};

use mlxk_harness::{
    generate::{Context, Request, Scores, Step, generate_after},
    models::Model,
    plan::{Conditions, DecodeMode, KvPacking, Sampling},
};
use serde_json::Value;

use crate::{
    harness::Harness,
    parity::{fixture, prompt, try_load},
    weights::{self, FLOAT32, Tweak},
};

/// Tokens of context and prompt together, of the answer, and of a chunk; the context is several chunks long and ends
/// within one.
const LENGTH: u32 = 40;
const COUNT: u32 = 24;
const CHUNK: u32 = 8;

/// Fixtures: plain layers, latent ones, a window, chunks, states alone, and beside attention.
const NAMES: [&str; 7] =
    ["llama", "deepseek_v3", "gemma3", "llama4", "mamba2", "falcon_h1", "qwen3_next"];

fn load(name: &str) -> Box<dyn Model> {
    try_load(&fixture(name), FLOAT32, Tweak::default()).unwrap()
}

/// What a request reported, in order; tokens as they are, a submitted step as none.
fn ask(
    context: &mut Context,
    model: &dyn Model,
    (prompt, conditions): (&[u32], &Conditions),
) -> Vec<Option<u32>> {
    let request = Request {
        prompt,
        max_tokens: COUNT,
        stop: &BTreeSet::new(),
        sampling: &Sampling::default(),
        prefill_chunk: conditions.prefill_chunk,
        kv: conditions.kv,
        decode: conditions.decode,
        scores: Scores::Unwanted,
    };
    let mut events = Vec::new();
    generate_after(context, model, &request, &mut |step| {
        match step {
            Step::Submitted => events.push(None),
            Step::Token { id, .. } => events.push(Some(id)),
            Step::Prefilled(_) => {}
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    events
}

fn ids(events: &[Option<u32>]) -> Vec<u32> {
    events.iter().copied().flatten().collect()
}

fn conditions(depth: u32, kv: Option<KvPacking>, decode: DecodeMode) -> Conditions {
    Conditions { depth, prefill_chunk: CHUNK, kv, decode }
}

/// The answers after a context of `depth`, several times over, and how many tokens were read for each context.
fn after(
    model: &dyn Model,
    all: &[u32],
    conditions: &Conditions,
    times: usize,
) -> Vec<(Vec<u32>, u32)> {
    let (before, rest) = all.split_at(conditions.depth as usize);
    let mut context = Context::default();
    let mut answer = || {
        let mut read = 0;
        context.fill(model, before, conditions, &mut |tokens| read = tokens).unwrap();
        (ids(&ask(&mut context, model, (rest, conditions))), read)
    };
    (0..times).map(|_| answer()).collect()
}

#[test]
fn tokens_after_a_context_are_those_of_the_whole_prompt() {
    for name in NAMES {
        let model = load(name);
        let all = prompt(LENGTH, model.vocabulary());
        let whole = conditions(0, None, DecodeMode::Pipelined);
        let expected = ids(&ask(&mut Context::default(), model.as_ref(), (&all, &whole)));
        assert_eq!(expected.len(), COUNT as usize);
        let deep = conditions(38, None, DecodeMode::Pipelined);
        let answers = after(model.as_ref(), &all, &deep, 3);
        for (answer, _) in &answers {
            assert_eq!(*answer, expected, "{name}");
        }
        // Plain and latent layers go back; the others read the context again.
        let goes_back = ["llama", "deepseek_v3"].contains(&name);
        let read: Vec<_> = answers.iter().map(|(_, read)| *read).collect();
        let again = if goes_back { 0 } else { 38 };
        assert_eq!(read, [38, again, again], "{name}");
        // A control: another context has another answer.
        let mut other = all.clone();
        other[..38].rotate_left(7);
        let answers = after(model.as_ref(), &other, &deep, 1);
        assert_ne!(answers[0].0, expected, "{name} must notice its context");
    }
}

#[test]
fn packed_keys_and_values_are_cut_back_too_unless_they_were_packed_by_the_request() {
    let model = load("llama-wide");
    let all = prompt(LENGTH, model.vocabulary());
    for (start, again) in [(0, 0), (39, 38)] {
        let kv = Some(KvPacking { bits: 8, group_size: 64, start });
        let whole = conditions(0, kv, DecodeMode::Pipelined);
        let expected = ids(&ask(&mut Context::default(), model.as_ref(), (&all, &whole)));
        let deep = conditions(38, kv, DecodeMode::Pipelined);
        let answers = after(model.as_ref(), &all, &deep, 2);
        let (answers, read): (Vec<_>, Vec<_>) = answers.into_iter().unzip();
        assert_eq!(answers, [expected.clone(), expected], "packed from {start} on");
        assert_eq!(read, [38, again], "packed from {start} on");
    }
}

#[test]
fn a_context_under_other_conditions_is_read_again() {
    let model = load("llama");
    let all = prompt(LENGTH, model.vocabulary());
    let mut context = Context::default();
    let mut read = |ids: &[u32], conditions: &Conditions| {
        let mut read = 0;
        context.fill(model.as_ref(), ids, conditions, &mut |tokens| read = tokens).unwrap();
        read
    };
    let usual = conditions(38, None, DecodeMode::Pipelined);
    assert_eq!(read(&all[..38], &usual), 38);
    assert_eq!(read(&all[..38], &usual), 0);
    assert_eq!(read(&all[..37], &usual), 37);
    assert_eq!(read(&all[..37], &Conditions { prefill_chunk: 4, ..usual.clone() }), 37);
    assert_eq!(read(&[], &usual), 0);
    assert_eq!(read(&all[..37], &usual), 37, "nothing is kept for a request without a context");
}

#[test]
fn waiting_for_each_token_changes_none() {
    for name in NAMES {
        let model = load(name);
        let all = prompt(LENGTH, model.vocabulary());
        let events = |decode| {
            let conditions = conditions(0, None, decode);
            ask(&mut Context::default(), model.as_ref(), (&all, &conditions))
        };
        let ahead = events(DecodeMode::Pipelined);
        let waiting = events(DecodeMode::Synchronous);
        assert_eq!(ids(&waiting), ids(&ahead), "{name}");
        // One step ahead hands over one more than it needs; waiting takes turns.
        let is_submitted: Vec<_> = ahead.iter().take(4).map(Option::is_none).collect();
        assert_eq!(is_submitted, [true, true, false, true], "{name}");
        assert_eq!(ahead.len(), 2 * COUNT as usize + 1);
        assert_eq!(waiting.len(), 2 * COUNT as usize);
        assert!(waiting.chunks(2).all(|turn| turn[0].is_none() && turn[1].is_some()), "{name}");
    }
}

#[test]
fn with_a_depth_all_repetitions_have_one_prompt_and_without_four() {
    let harness = Harness::new();
    let model = harness.path("tiny");
    fs::create_dir(&model).unwrap();
    weights::write(&fixture("llama"), FLOAT32, &model, Tweak::default());
    let harness = harness
        .args(["run", model.to_str().unwrap(), "--scenario", "throughput", "--depth", "0,24"])
        .args(["--prompt-tokens", "8", "--generation-tokens", "4", "--repetitions", "5"])
        .args(["--warmup", "0", "--report-output", "report.jsonl"]);
    let answer = harness.answer();
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let report = harness.read("report.jsonl");
    let found = report.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let harness = &line["metadata"]["mlxk_harness"];
        let prompts = harness["samples"].as_array().unwrap().iter();
        let hashes: BTreeSet<_> =
            prompts.map(|sample| sample["prompt_sha256"].as_str().unwrap().to_owned()).collect();
        (harness["prompts"]["distinct"].as_u64(), hashes.len())
    });
    assert_eq!(found.collect::<Vec<_>>(), [(Some(4), 4), (Some(1), 1)]);
}
