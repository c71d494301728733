//! A real model against mlx-lm: SmolLM2-135M-Instruct from its GGUF file, in float32.
//!
//! `cargo xtask demo` fetches the file; `cargo xtask fixtures` records what mlx-lm answers on the same weights.

use std::{collections::BTreeSet, fs, ops::ControlFlow, path::Path};

use mlxk_harness::{
    generate::{End, Request, Scores, Step, generate},
    measure::mlx::{Opened, open},
    plan::{DecodeMode, ElementType, Sampling, Settings},
    text::{ChatOptions, Message},
};
use serde::Deserialize;

/// The largest difference of a log-probability.
const TOLERANCE: f32 = 1e-4;

/// What mlx-lm answered.
#[derive(Deserialize)]
struct Row {
    question: String,
    prompt_ids: Vec<u32>,
    ids: Vec<u32>,
    log_probabilities: Vec<f32>,
}

fn rows() -> Vec<Row> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity");
    let text = fs::read_to_string(folder.join("smollm2.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The model, or none where the file was not fetched; CI fetches it, and fails without.
pub(crate) fn model() -> Option<Opened> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(".models/SmolLM2-135M-Instruct.Q4_1.gguf");
    if !path.exists() && std::env::var_os("CI").is_none() {
        eprintln!("not run: `{}` is not there, `cargo xtask demo` fetches it", path.display());
        return None;
    }
    let settings =
        Settings { dtype: Some(ElementType::Float32), dequantize: true, ..Settings::default() };
    Some(open(path.to_str().unwrap(), None, &settings).unwrap())
}

fn answer(opened: &Opened, prompt: &[u32], stop: &BTreeSet<u32>) -> (Vec<u32>, Vec<f32>, End) {
    let request = Request {
        prompt,
        max_tokens: 64,
        stop,
        sampling: &Sampling::default(),
        prefill_chunk: 2048,
        kv: None,
        decode: DecodeMode::Pipelined,
        scores: Scores::OfChosen,
    };
    let (mut ids, mut log_probabilities) = (Vec::new(), Vec::new());
    let end = generate(opened.model.as_ref(), &request, &mut |step| {
        if let Step::Token { id, log_probability, .. } = step {
            ids.push(id);
            log_probabilities.push(log_probability.unwrap());
        }
        ControlFlow::Continue(())
    });
    (ids, log_probabilities, end.unwrap())
}

#[test]
fn answers_equal_the_reference() {
    let Some(opened) = model() else { return };
    let options =
        ChatOptions { enable_thinking: None, now: jiff::civil::date(2026, 1, 1).at(0, 0, 0, 0) };
    for row in rows() {
        let tokenizer = opened.tokenizer.as_ref().unwrap();
        let messages = [Message::user(&row.question)];
        let prompt = tokenizer.chat_ids(&messages, options).unwrap();
        assert_eq!(prompt, row.prompt_ids, "{}", row.question);
        let (ids, log_probabilities, _) = answer(&opened, &prompt, &BTreeSet::new());
        assert_eq!(ids, row.ids, "{}", row.question);
        let pairs = log_probabilities.iter().zip(&row.log_probabilities);
        let gap = pairs.map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f32::max);
        assert!(gap <= TOLERANCE, "{}: log-probabilities differ by {gap:e}", row.question);
    }
}

#[test]
fn an_answer_ends_with_its_stop_token() {
    let Some(opened) = model() else { return };
    // `<|im_end|>`, which the template writes after a turn.
    assert!(opened.stop.contains(&2), "{:?}", opened.stop);
    let rows = rows();
    let row = rows.iter().find(|row| row.question.contains("France")).unwrap();
    let (ids, _, end) = answer(&opened, &row.prompt_ids, &opened.stop);
    assert_eq!(end, End::Stop(2));
    let at = row.ids.iter().position(|id| *id == 2).unwrap();
    assert_eq!(ids, row.ids[..=at]);
    let text = opened.tokenizer.as_ref().unwrap().decode(&ids[..at]).unwrap();
    assert_eq!(text, "The capital of France is Paris.");
}
