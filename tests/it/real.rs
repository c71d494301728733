//! A real model against mlx-lm: SmolLM2-135M-Instruct from its GGUF file, in float32.
//!
//! `cargo xtask demo` fetches the file; `cargo xtask fixtures` records what mlx-lm answers on the same weights.

use std::{
    collections::BTreeSet,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use mlx_rs::Array;

use mlxk_harness::{
    generate::{End, Request, Scores, Step, generate},
    measure::mlx::{Opened, open},
    plan::{DecodeMode, ElementType, Sampling, Settings},
    text::{ChatOptions, Message},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    harness::{Answer, Harness},
    weights::in_other_layer,
};

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

/// Where the file is, or none where it was not fetched; CI fetches it, and fails without.
fn path() -> Option<PathBuf> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(".models/SmolLM2-135M-Instruct.Q4_1.gguf");
    if !path.exists() && std::env::var_os("CI").is_none() {
        eprintln!("not run: `{}` is not there, `cargo xtask demo` fetches it", path.display());
        return None;
    }
    Some(path)
}

/// The model, where its file was fetched.
pub(crate) fn model() -> Option<Opened> {
    let path = path()?;
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

/// A run of the program in a folder that holds `whole` and `swapped`, and its lines.
fn run(folder: &Harness, models: &[&str], flags: [&str; 2]) -> (Answer, Vec<Value>) {
    let report = folder.path(&format!("{}.jsonl", models.len()));
    let paths: Vec<_> = models.iter().map(|model| folder.path(model)).collect();
    let paths: Vec<_> = paths.iter().map(|path| path.to_str().unwrap()).collect();
    let answer = Harness::new()
        .args(["run", "--scenario", "throughput", "--repetitions", "1", "--warmup", "0"])
        .args(["--prompt-tokens", "32", "--generation-tokens", "8", "--nll-tokens", "48"])
        // Half precision takes MLX minutes on a CPU.
        .args(["--dtype", "float32", "--report-output", report.to_str().unwrap()])
        .more(&flags)
        .more(&paths)
        .answer();
    let text = fs::read_to_string(&report).unwrap_or_else(|_| panic!("{}", answer.stderr));
    (answer, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// Writes the model in `from` to `to` with two of its layers in each other's place.
fn write_swapped(from: &Path, to: &Path, layers: [u32; 2]) {
    fs::create_dir(to).unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        if file.path().extension().is_none_or(|extension| extension != "safetensors") {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
    let tensors = Array::load_safetensors(from.join("model.safetensors")).unwrap();
    let names: Vec<_> = tensors.keys().map(|name| in_other_layer(name, layers)).collect();
    assert!(tensors.keys().zip(&names).any(|(name, other)| name != other));
    let tensors = names.iter().map(String::as_str).zip(tensors.values());
    Array::save_safetensors(tensors, None, to.join("model.safetensors")).unwrap();
}

#[test]
fn two_layers_that_changed_places_show_in_the_reference_and_in_the_likelihood() {
    let Some(source) = path() else { return };
    let folder = Harness::new();
    let [whole, swapped] = ["whole", "swapped"].map(|name| folder.path(name));
    let converted = Harness::new()
        .args(["convert", source.to_str().unwrap(), whole.to_str().unwrap()])
        .answer();
    assert_eq!(converted.code, Some(0), "{}", converted.stderr);
    write_swapped(&whole, &swapped, [9, 19]);
    let kept = folder.path("kept.jsonl");
    let kept = kept.to_str().unwrap();
    let (answer, _) = run(&folder, &["whole"], ["--save-reference", kept]);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let (answer, lines) = run(&folder, &["whole", "swapped"], ["--reference", kept]);
    assert_eq!(answer.code, Some(1), "{}", answer.stderr);
    let of = |at: usize| &lines[at]["metadata"]["mlxk_harness"];
    let verdicts = [0, 1].map(|at| of(at)["reference"]["verdict"].as_str().unwrap());
    assert_eq!(verdicts, ["IDENTICAL", "DIVERGED"]);
    let [right, broken] = [0, 1].map(|at| of(at)["likelihood"]["mean_nll"].as_f64().unwrap());
    assert!(broken > right + 0.5, "{right} and {broken}");
    for nats in [right, broken] {
        assert!(answer.stdout.contains(&format!("  {nats:.2}  ")), "{}", answer.stdout);
    }
    println!("{}", answer.stdout);
}
