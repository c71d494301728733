//! Packed keys and values against mlx-lm: scores and greedy tokens across chunks and past 256 tokens.

use std::collections::HashMap;

use mlx_rs::Array;
use mlxk_harness::{
    models::{Model, Unpackable, first_steps},
    nn::RowPacking,
    plan::KvPacking,
};

use crate::{
    parity::{
        CHUNK, CROSSING, DECODED, LENGTHS, TOLERANCE, fixture, gap, greedy, prompt, read, try_load,
    },
    weights::{FLOAT32, Tweak},
};

/// Fixtures and the size of their groups, as in `xtask/python/fixtures.py`: every head with keys of its own, heads
/// that share theirs, and beside such layers those with chunks, and those with recurrences.
const CASES: [(&str, u32); 4] =
    [("llama-wide", 64), ("qwen3", 32), ("llama4", 32), ("qwen3_next", 32)];

const LONGEST: u32 = LENGTHS[4];

fn load(name: &str) -> Box<dyn Model> {
    try_load(&fixture(name), FLOAT32, Tweak::default()).unwrap()
}

fn expected(name: &str) -> HashMap<String, Array> {
    Array::load_safetensors(fixture(&format!("{name}-kv")).join("expected.safetensors")).unwrap()
}

/// Scores after a prompt in chunks and of steps, packed at once and within the second chunk; then of a long prompt:
/// `[27, vocabulary]`.
fn scores(model: &dyn Model, packing: RowPacking) -> Array {
    let vocabulary = model.vocabulary();
    let mut rows = Vec::new();
    let second = i32::try_from(CHUNK).unwrap() + 1;
    for (length, chunk, start) in
        [(LONGEST, CHUNK, 0), (LONGEST, CHUNK, second), (CROSSING, 2048, 0)]
    {
        let mut cache = model.new_cache();
        let mut packed = |tokens: &[u32]| {
            let scores = read(model, tokens, &mut cache);
            cache.pack(packing, start).unwrap();
            scores
        };
        let tokens = prompt(length, vocabulary);
        rows.extend(tokens.chunks(chunk as usize).map(&mut packed).last());
        let rest = prompt(length + DECODED, vocabulary);
        rows.extend(rest[length as usize..].chunks(1).map(packed));
    }
    mlx_rs::ops::stack(&rows, 0).unwrap()
}

/// How far scores in `bits` are from the reference's in `theirs`, and whether the tokens are the same.
fn compare(name: &str, model: &dyn Model, (bits, theirs): (u32, u32), size: u32) -> (f32, bool) {
    let expected = expected(name);
    let kv = KvPacking { bits, group_size: size, start: 0 };
    let gap = gap(&scores(model, kv.into()), &expected[&format!("kv{theirs}.scores")]);
    let ids = expected[&format!("kv{theirs}.ids")].try_as_slice::<u32>().unwrap();
    // The longer prompt ends past the first step of a cache.
    let each = [LONGEST, CROSSING].map(|length| greedy(model, (length, 32), Some(kv)));
    let is_same = each.concat() == ids;
    println!("{name:<12} {bits} bits, theirs {theirs}: {gap:.1e}, same tokens: {is_same}");
    (gap, is_same)
}

#[test]
fn packed_keys_and_values_equal_the_reference() {
    for (name, size) in CASES {
        let model = load(name);
        for bits in [4, 8] {
            let (gap, is_same) = compare(name, model.as_ref(), (bits, bits), size);
            assert!(gap < TOLERANCE && is_same, "{name}, {bits} bits: {gap:e}, {is_same}");
        }
    }
}

/// A control: what is compared must notice another number of bits.
#[test]
fn another_number_of_bits_is_noticed() {
    for (name, size) in CASES {
        let model = load(name);
        for pair in [(4, 8), (8, 4)] {
            let (gap, _) = compare(name, model.as_ref(), pair, size);
            assert!(gap > 10.0 * TOLERANCE, "{name}, {pair:?}: {gap:e}");
        }
    }
}

/// What the reference fails with, or passes over without a word.
#[test]
fn models_that_cannot_be_packed_say_why() {
    let ring =
        "layers that see a window of 8 tokens keep keys and values in a ring, which is not packed";
    let bound = "attention that is capped or has sinks cannot read packed keys and values";
    let latent =
        "latent attention keeps short vectors in place of keys and values, which are not packed";
    let none = "no layer keeps keys and values that can be packed";
    for (name, reason) in [
        ("gemma3", ring),
        ("gpt_oss", ring),
        ("deepseek_v3", latent),
        ("gemma2", bound),
        ("mamba2", none),
        ("falcon_h1", none),
    ] {
        let packing = RowPacking { group_size: 32, bits: 8 };
        let refusal = first_steps(load(name).as_ref(), Some(packing)).err().unwrap();
        assert_eq!(refusal.to_string(), reason, "{name}");
    }
    let packing = RowPacking { group_size: 64, bits: 8 };
    let refusal = first_steps(load("qwen3").as_ref(), Some(packing)).err().unwrap();
    assert!(matches!(refusal, Unpackable::Mlx(_)), "{refusal}");
    assert_eq!(refusal.hint(), "take another `kv_group_size`: 32, 64 or 128");
}
