//! How well a model foretells a text, against mlx-lm's own perplexity; and that a broken model foretells it worse.

use std::{collections::BTreeMap, fs, ops::ControlFlow};

use mlx_rs::Dtype;
use mlxk_harness::{
    generate::likelihood,
    models::Model,
    plan::{KvPacking, Passages},
};
use serde::Deserialize;

use crate::{
    parity::{fixture, greedy, prompt, try_load},
    real,
    weights::{FLOAT32, Tweak, VARIANTS},
};

/// The largest difference of a mean, in nats.
const TOLERANCE: f64 = 1e-4;

/// Tokens that are read, as in `xtask/python/likelihood.py`: two chunks and a part of one.
const LENGTH: u32 = 300;

/// What mlx-lm found.
#[derive(Deserialize)]
struct Row {
    mean: f64,
    #[serde(default)]
    ids: Vec<u32>,
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
