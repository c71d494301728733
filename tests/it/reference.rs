//! Greedy answers against those of another run: of the same model, of one that differs in a weight by a step, and of a
//! broken one.

use std::{collections::BTreeSet, fs, path::Path};

use half::bf16;
use mlx_rs::{Array, Dtype};
use mlxk_harness::{
    checkpoint::LoadOptions,
    cli::Exit,
    measure::{
        mlx::{Question, answer_greedily},
        reference::{Greedy, Likeness, Reference, store},
    },
    models::Model,
};
use serde_json::Value;

use crate::{
    harness::Harness,
    parity::{fixture, open, prompt, try_load},
    weights::{self, FLOAT32, Tweak, VARIANTS, Variant},
};

/// Prompt lengths that a tie is looked for at.
const LENGTHS: std::ops::RangeInclusive<u32> = 1..=24;

fn answer(model: &dyn Model, length: u32) -> Greedy {
    let question = Question {
        prompt: &prompt(length, model.vocabulary()),
        max_tokens: 32,
        stop: &BTreeSet::new(),
        prefill_chunk: 8,
        kv: None,
    };
    answer_greedily(model, question).unwrap()
}

fn likeness(ours: &Greedy, theirs: &Greedy) -> (Likeness, Option<usize>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reference.jsonl");
    let mut bytes = Vec::new();
    store(&mut bytes, "m", theirs).unwrap();
    fs::write(&path, bytes).unwrap();
    let compared = Reference::read(&path).unwrap().compare("m", std::slice::from_ref(ours));
    (compared.verdict, compared.at)
}

fn bfloat16() -> Variant {
    let variant = VARIANTS[1];
    assert_eq!(variant.dtype, Dtype::Bfloat16);
    variant
}

/// The Llama fixture in bfloat16 with a head that was changed: `[vocabulary, width]`, row after row.
fn with_head(change: impl FnOnce(&mut [Vec<bf16>])) -> Box<dyn Model> {
    let folder = tempfile::tempdir().unwrap();
    weights::write(&fixture("llama"), bfloat16(), folder.path(), Tweak::default());
    let path = folder.path().join("model.safetensors");
    let mut tensors = Array::load_safetensors(&path).unwrap();
    // Before the file they are read from is written again.
    mlx_rs::transforms::eval(tensors.values()).unwrap();
    let head = &tensors["lm_head.weight"];
    let shape = head.shape().to_vec();
    let width = usize::try_from(shape[1]).unwrap();
    let mut rows: Vec<Vec<bf16>> =
        head.try_as_slice::<bf16>().unwrap().chunks(width).map(<[_]>::to_vec).collect();
    change(&mut rows);
    tensors.insert("lm_head.weight".to_owned(), Array::from_slice(&rows.concat(), &shape));
    let tensors = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
    Array::save_safetensors(tensors, None, &path).unwrap();
    open(folder.path(), LoadOptions::default()).unwrap()
}

/// The next number of bfloat16, away from zero or towards it.
fn nudged(value: bf16, away: bool) -> bf16 {
    let bits = value.to_bits();
    bf16::from_bits(if away { bits + 1 } else { bits - 1 })
}

/// Two tokens share a row of the head, so that they are equally likely; then one weight of one row is nudged by a step.
#[test]
fn a_weight_nudged_by_a_step_gives_the_same_tokens_or_a_tie() {
    let original = try_load(&fixture("llama"), bfloat16(), Tweak::default()).unwrap();
    let mut ties = 0;
    for length in LENGTHS {
        let first = &answer(original.as_ref(), length).places[0];
        let (one, other) = (first.best[0].0 as usize, first.best[1].0 as usize);
        // Of two that are equally likely the first is taken.
        let (winner, loser) = (one.min(other), one.max(other));
        let twins = |rows: &mut [Vec<bf16>]| {
            let row = rows[one].clone();
            rows[winner].clone_from(&row);
            rows[loser] = row;
        };
        let kept = answer(with_head(twins).as_ref(), length);
        assert_eq!(kept.places[0].id as usize, winner);
        assert_eq!(likeness(&kept, &kept), (Likeness::Identical, None));
        for away in [true, false] {
            let broken_tie = with_head(|rows| {
                twins(rows);
                let largest = |row: &Vec<bf16>| {
                    let size = |at: &usize| row[*at].to_f32().abs();
                    (0..row.len()).max_by(|a, b| size(a).total_cmp(&size(b))).unwrap()
                };
                let at = largest(&rows[loser]);
                rows[loser][at] = nudged(rows[loser][at], away);
            });
            let (verdict, at) = likeness(&answer(broken_tie.as_ref(), length), &kept);
            assert!(verdict <= Likeness::Tie, "{length} tokens, {away}: {verdict:?} at {at:?}");
            ties += u32::from(verdict == Likeness::Tie);
        }
    }
    assert!(ties > 0, "no nudge was enough to break a tie");
    println!("{ties} ties");
}

#[test]
fn two_layers_that_changed_places_diverge() {
    let original =
        answer(try_load(&fixture("llama"), FLOAT32, Tweak::default()).unwrap().as_ref(), 9);
    let swapped = Tweak { swapped: Some([0, 1]), ..Tweak::default() };
    let broken = answer(try_load(&fixture("llama"), FLOAT32, swapped).unwrap().as_ref(), 9);
    let (verdict, at) = likeness(&broken, &original);
    assert_eq!(verdict, Likeness::Diverged, "at {at:?}");
}

/// A run on a model in `folder/tiny`, and what its line says of the reference.
fn run(folder: &Path, swapped: Option<[u32; 2]>, flags: &[&str]) -> (Option<i32>, String, Value) {
    let model = folder.join("tiny");
    fs::create_dir_all(&model).unwrap();
    weights::write(&fixture("llama"), FLOAT32, &model, Tweak { swapped, ..Tweak::default() });
    let report = folder.join("report.jsonl");
    let _ = fs::remove_file(&report);
    let ran = Harness::new()
        .args(["run", model.to_str().unwrap(), "--scenario", "throughput"])
        .args(["--report-output", report.to_str().unwrap(), "--repetitions", "2", "--warmup", "0"])
        .args(["--generation-tokens", "12"])
        .more(flags)
        .answer();
    let line = fs::read_to_string(&report).unwrap_or_else(|_| panic!("{}", ran.stderr));
    let line: Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    (ran.code, ran.stdout, line["metadata"]["mlxk_harness"]["reference"].clone())
}

#[test]
fn a_run_is_compared_with_one_that_was_kept() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept.jsonl");
    let kept = kept.to_str().unwrap();
    let (_, _, nothing) =
        run(folder.path(), None, &["--prompt-tokens", "9", "--save-reference", kept]);
    assert!(nothing.is_null());

    let same_prompt = ["--prompt-tokens", "9", "--reference", kept];
    let (exit, table, same) = run(folder.path(), None, &same_prompt);
    assert_eq!((exit, same["verdict"].as_str()), (Some(Exit::Ok as i32), Some("IDENTICAL")));
    assert_eq!(
        (same["prompts"].as_u64(), same["log_probability_gap"].as_f64()),
        (Some(2), Some(0.0))
    );
    assert!(table.contains("reference: IDENTICAL, 2 prompts"), "{table}");

    let (exit, table, broken) = run(folder.path(), Some([0, 1]), &same_prompt);
    assert_eq!((exit, broken["verdict"].as_str()), (Some(Exit::No as i32), Some("DIVERGED")));
    assert!(table.contains("reference: DIVERGED at token"), "{table}");

    let longer = ["--prompt-tokens", "10", "--reference", kept];
    let (exit, table, other) = run(folder.path(), None, &longer);
    assert_eq!((exit, other["verdict"].as_str()), (Some(Exit::Ok as i32), Some("NOT_COMPARED")));
    assert!(table.contains("no answer to the same prompt"), "{table}");
}
