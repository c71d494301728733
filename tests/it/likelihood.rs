//! How well a model foretells a text, against mlx-lm's own perplexity; and that a broken model foretells it worse.

use std::{collections::BTreeMap, fs, ops::ControlFlow, path::Path};

use mlx_rs::Dtype;
use mlxk_harness::{
    generate::likelihood,
    models::Model,
    plan::{KvPacking, Passages},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    harness::Harness,
    parity::{fixture, greedy, prompt, try_load},
    real,
    weights::{self, FLOAT32, Tweak, VARIANTS},
};

/// The largest difference of a mean, in nats.
const TOLERANCE: f64 = 1e-4;

/// Tokens that are read, as in `xtask/python/likelihood.py`: two chunks and a part of one.
const LENGTH: u32 = 300;

/// The tokens of a tokenizer for the shipped texts, as there.
const CHARACTERS: &str = "\n '(),-.0123456789:;=?abcdefghijklmnopqrstuvwxyz";

/// What mlx-lm found.
#[derive(Deserialize)]
struct Row {
    mean: f64,
    #[serde(default)]
    ids: Vec<u32>,
    /// The same with packed keys and values, by bits.
    #[serde(default)]
    packed: BTreeMap<u8, f64>,
}

fn rows() -> BTreeMap<String, Row> {
    serde_json::from_str(&fs::read_to_string(fixture("likelihood.json")).unwrap()).unwrap()
}

fn load(name: &str, tweak: Tweak) -> Box<dyn Model> {
    try_load(&fixture(name), FLOAT32, tweak).unwrap()
}

fn mean(model: &dyn Model, ids: &[u32], kv: Option<KvPacking>) -> f64 {
    let found = likelihood(model, ids, kv, &mut |_| ControlFlow::Continue(())).unwrap().unwrap();
    assert_eq!(found.tokens as usize, ids.len());
    found.mean
}

#[test]
fn likelihoods_equal_the_reference() {
    for (name, row) in rows().iter().filter(|(_, row)| row.ids.is_empty()) {
        let model = load(name, Tweak::default());
        let ours = mean(model.as_ref(), &prompt(LENGTH, model.vocabulary()), None);
        println!("{name:<12} {ours:.7}, theirs {:.7}", row.mean);
        assert!((ours - row.mean).abs() <= TOLERANCE, "{name}: {ours} and {}", row.mean);
    }
}

#[test]
fn a_real_model_foretells_the_shipped_text_as_in_the_reference() {
    let Some(opened) = real::model() else { return };
    let row = &rows()["smollm2"];
    let text = Passages::shipped().stretch(0, 4096);
    let mut ids = opened.tokenizer.unwrap().encode_prompt(&text).unwrap();
    ids.truncate(512);
    assert_eq!(ids, row.ids);
    let ours = mean(opened.model.as_ref(), &ids, None);
    assert!((ours - row.mean).abs() <= TOLERANCE, "{ours} and {}", row.mean);
}

/// What a model says itself it foretells well; with two layers in each other's place it does not.
#[test]
fn two_layers_that_changed_places_foretell_worse() {
    let right = load("llama", Tweak::default());
    let ids = greedy(right.as_ref(), (8, 200), None);
    let broken = load("llama", Tweak { swapped: Some([0, 1]), ..Tweak::default() });
    let [right, broken] = [right, broken].map(|model| mean(model.as_ref(), &ids, None));
    assert!(broken > right + 0.3, "{right} and {broken}");
}

#[test]
fn keys_and_values_in_few_bits_foretell_differently() {
    let model = load("llama-wide", Tweak::default());
    let ids = prompt(LENGTH, model.vocabulary());
    let dense = mean(model.as_ref(), &ids, None);
    let gap = |bits| {
        let kv = KvPacking { bits, group_size: 64, start: 0 };
        (mean(model.as_ref(), &ids, Some(kv)) - dense).abs()
    };
    let (eight, two) = (gap(8), gap(2));
    assert!(eight > 0.0 && two > 10.0 * eight, "{eight} and {two}");
}

/// A folder with a model that sees a shipped text in single characters of lower case.
fn write_characters(folder: &Path) {
    fs::create_dir(folder).unwrap();
    weights::write(&fixture("llama-wide"), FLOAT32, folder, Tweak::default());
    let ids = CHARACTERS.chars().zip(0u32..);
    let vocabulary: Map<_, _> = ids.map(|(character, id)| (character.into(), json!(id))).collect();
    let tokenizer = json!({
        "version": "1.0", "added_tokens": [], "normalizer": {"type": "Lowercase"},
        "decoder": {"type": "Fuse"},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    });
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
}

/// Four cells of one model in one child, so that none may have another one's.
#[test]
fn cells_that_pack_keys_and_values_differently_have_each_its_own_likelihood() {
    let Row { mean, ids, packed } = &rows()["llama-wide"];
    let harness = Harness::new();
    let model = harness.path("wide");
    write_characters(&model);
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let hash = Sha256::digest(bytes).iter().fold(String::new(), |hash, byte| {
        let digits = format!("{byte:02x}");
        hash + &digits
    });
    let harness = harness
        .args(["run", model.to_str().unwrap(), "--scenario", "throughput", "--warmup", "0"])
        .args(["--prompt-tokens", "8", "--generation-tokens", "4", "--repetitions", "1"])
        .args(["--kv-bits", "4,0,2,8", "--report-output", "report.jsonl"]);
    let answer = harness.answer();
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let mut told = Vec::new();
    for line in harness.read("report.jsonl").lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let harness = &line["metadata"]["mlxk_harness"];
        let (found, cell) = (&harness["likelihood"], &harness["cell"]);
        let bits = cell["kv"]["bits"].as_u64().map(|bits| u8::try_from(bits).unwrap());
        assert_eq!(
            (found["tokens"].as_u64(), found["ids_sha256"].as_str()),
            (Some(512), Some(&*hash))
        );
        let theirs = bits.map_or(*mean, |bits| packed[&bits]);
        let ours = found["mean_nll"].as_f64().unwrap();
        assert!((ours - theirs).abs() <= TOLERANCE, "{bits:?}: {ours} and {theirs}");
        told.push(bits);
    }
    assert_eq!(told, [Some(4), None, Some(2), Some(8)]);
    // The reference tells them apart by more than the tolerance, but for eight bits.
    assert!((packed[&4] - mean).abs() > 0.05 && (packed[&2] - mean).abs() > 0.05);
    assert!(
        answer.stdout.contains("  5.66  ") && answer.stdout.contains("  5.84  "),
        "{}",
        answer.stdout
    );
}

#[test]
fn reading_may_end_early_and_the_mean_is_of_what_was_read() {
    let model = load("llama", Tweak::default());
    let ids = prompt(LENGTH, model.vocabulary());
    let mut told = Vec::new();
    let early = likelihood(model.as_ref(), &ids, None, &mut |tokens| {
        told.push(tokens);
        if tokens > 200 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let early = early.unwrap().unwrap();
    assert_eq!((told, early.tokens), (vec![129, 257], 257));
    assert!((early.mean - mean(model.as_ref(), &ids[..257], None)).abs() < 1e-9);
    let none =
        |ids: &[u32]| likelihood(model.as_ref(), ids, None, &mut |_| ControlFlow::Continue(()));
    assert!(none(&[1]).unwrap().is_none() && none(&[]).unwrap().is_none());
    assert!(none(&[1, 9999]).is_err());
}

/// Scores in bfloat16 are taken to float32 before anything is made of them, or the mean would be off by a percent.
#[test]
fn a_mean_of_scores_in_half_precision_is_near_that_in_full() {
    let variant = VARIANTS[1];
    assert_eq!(variant.dtype, Dtype::Bfloat16);
    let model = try_load(&fixture("llama"), variant, Tweak::default()).unwrap();
    let ours = mean(model.as_ref(), &prompt(LENGTH, model.vocabulary()), None);
    let theirs = rows()["llama"].mean;
    assert!((ours - theirs).abs() < 0.01, "{ours} and {theirs}");
}
