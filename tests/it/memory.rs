//! What a model is predicted to take, against what MLX's allocator takes.

use std::{env, fs, path::Path, process::Command};

use mlx_rs::{
    Array,
    memory::{active_memory, clear_cache},
    transforms::eval,
};
use mlxk_harness::{
    checkpoint::{Checkpoint, Description, LoadOptions, Location},
    footprint::Footprint,
    models::{self, Cache, Model},
    plan::{Keeps, KvPacking},
};
use tempfile::TempDir;

use crate::{
    parity,
    weights::{self, FLOAT32, Tweak},
};

/// Names the case in the child, where nothing else allocates.
const CASE: &str = "MLXK_HARNESS_MEMORY_CASE";

/// Fixtures and bits of their keys and values, 0 where dense, and others that must not be taken for them: every head with
/// keys of its own, heads that share theirs, layers that see a window, packed ones, latent ones, and recurrences
/// beside attention and in turn with it.
const CASES: [(Case, Case); 7] = [
    (("dense", 0), ("llama", 0)),
    (("llama", 0), ("dense", 0)),
    (("llama-sliding", 0), ("llama", 0)),
    (("qwen3", 8), ("qwen3", 4)),
    (("deepseek_v3", 0), ("deepseek_v2", 0)),
    (("falcon_h1", 0), ("mamba2", 0)),
    (("qwen3_next", 0), ("falcon_h1", 0)),
];

type Case = (&'static str, u32);

/// How many tokens are read.
const LENGTHS: [u32; 2] = [303, 700];

/// Starts itself again for each case.
#[test]
fn caches_grow_as_predicted() {
    if let Ok(case) = env::var(CASE) {
        return cache_grows_as_predicted(CASES[case.parse::<usize>().unwrap()]);
    }
    for case in 0..CASES.len() {
        let output = Command::new(env::current_exe().unwrap())
            .args(["memory::caches_grow_as_predicted", "--exact", "--nocapture"])
            .env(CASE, case.to_string())
            .output()
            .unwrap();
        let (out, err) = (output.stdout, output.stderr);
        let said = String::from_utf8_lossy(&out);
        println!("{said}");
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&err));
        assert_eq!(said.matches(" allocated ").count(), LENGTHS.len(), "{said}");
    }
}

#[test]
fn every_family_tells_what_it_keeps() {
    for fixture in parity::fixtures() {
        let folder = tempfile::tempdir().unwrap();
        weights::write(&fixture, FLOAT32, folder.path(), Tweak::default());
        let (_, footprint) = described(&folder, 0);
        assert!(footprint.caches.is_some_and(|caches| !caches.is_empty()), "{fixture:?}");
    }
}

/// Layers, bytes of float32 that a token adds, and bytes that stay: counted by hand from the configurations.
#[test]
fn what_layers_keep_is_told_by_its_kind() {
    let kept = |name: &str| {
        let (_, footprint) = described(&checkpoint(name), 0);
        let kinds = footprint.caches.unwrap().into_iter();
        let facts = kinds.map(|k| (k.keeps, k.layers, k.bytes_per_token, k.constant_bytes));
        facts.collect::<Vec<_>>()
    };
    // A vector of 64 and 16 rotated numbers, in 3 layers.
    assert_eq!(kept("deepseek_v3"), [(Keeps::Latent, 3, 3 * 80 * 4, 0)]);
    // 4 heads, keys of 32 + 16 numbers and values of 32, in 3 layers.
    assert_eq!(kept("deepseek_v2"), [(Keeps::All, 3, 3 * 4 * (48 + 32) * 4, 0)]);
    // Keys and values of 2 heads of 32 numbers; every fourth of 5 layers sees everything.
    let layer = 2 * 2 * 32 * 4;
    assert_eq!(kept("llama4"), [(Keeps::All, 1, layer, 0), (Keeps::Chunk(12), 4, 4 * layer, 0)]);
    // One head of 32 numbers; and in 2 layers the last 2 inputs, 64 wide, of a convolution.
    assert_eq!(kept("lfm2"), [(Keeps::All, 2, 2 * 2 * 32 * 4, 0), (Keeps::State, 2, 0, 1024)]);
}

fn cache_grows_as_predicted(((case, bits), other): (Case, Case)) {
    let folder = checkpoint(case);
    let (description, footprint) = described(&folder, bits);
    let other = described(&checkpoint(other.0), other.1).1;
    let checkpoint = Checkpoint::open(&description, LoadOptions::default()).unwrap();
    let (model, parameters) = models::load(checkpoint).unwrap();
    eval(&parameters.arrays).unwrap();
    assert_eq!(footprint.parameters, parameters.count);
    assert_eq!(footprint.weight_bytes, parameters.bytes());
    // The first run leaves behind what MLX keeps for good.
    drop(read_all(model.as_ref(), packing(bits), 20));
    for tokens in LENGTHS {
        clear_cache().unwrap();
        let before = active_memory().unwrap();
        let cache = read_all(model.as_ref(), packing(bits), tokens);
        clear_cache().unwrap();
        let grown = (active_memory().unwrap() - before) as f64;
        let predicted = footprint.cache_bytes(tokens.into()).unwrap() as f64;
        println!("{case}, {bits} bits: {tokens} tokens, predicted {predicted}, allocated {grown}");
        assert!((grown / predicted - 1.0).abs() < 0.05, "{case}: {grown} and not {predicted}");
        // A control: what is predicted of another model.
        let predicted = other.cache_bytes(tokens.into()).unwrap() as f64;
        assert!((grown / predicted - 1.0).abs() > 0.05, "{case}: {grown} is another's");
        drop(cache);
    }
}

fn packing(bits: u32) -> Option<KvPacking> {
    (bits > 0).then_some(KvPacking { bits, group_size: 32, start: 0 })
}

/// What the headers of the checkpoint in `folder` tell.
fn described(folder: &TempDir, bits: u32) -> (Description, Footprint) {
    let location = Location::find(folder.path().to_str().unwrap(), None).unwrap();
    let description = Description::read(location).unwrap();
    let footprint = Footprint::of(&description, packing(bits)).unwrap();
    assert_eq!(footprint.obstacle, None);
    (description, footprint)
}

/// Reads so many tokens, most in chunks and the last three one by one.
fn read_all(model: &dyn Model, packing: Option<KvPacking>, tokens: u32) -> Cache {
    let mut cache = model.new_cache();
    let ids: Vec<u32> = (0..tokens).map(|id| id % model.vocabulary()).collect();
    let (prompt, rest) = ids.split_at(ids.len() - 3);
    for chunk in prompt.chunks(128).chain(rest.chunks(1)) {
        let input = Array::from_slice(chunk, &[1, i32::try_from(chunk.len()).unwrap()]);
        model.forward(&input, &mut cache).unwrap();
        if let Some(packing) = packing {
            cache.pack(packing.into(), 0).unwrap();
        }
        eval(cache.arrays()).unwrap();
    }
    cache
}

/// The checkpoint of a fixture; `dense` is Llama's with as many key heads as query heads.
fn checkpoint(case: &str) -> TempDir {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity");
    let folder = tempfile::tempdir().unwrap();
    if case != "dense" {
        weights::write(&fixtures.join(case), FLOAT32, folder.path(), Tweak::default());
        return folder;
    }
    let (fixture, llama) = (tempfile::tempdir().unwrap(), fixtures.join("llama"));
    let config = fs::read_to_string(llama.join("config.json")).unwrap();
    let config = config.replace("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 4");
    fs::write(fixture.path().join("config.json"), config).unwrap();
    let tensors = fs::read_to_string(llama.join("tensors.txt")).unwrap();
    let tensors = tensors
        .replace("k_proj.weight 32 64", "k_proj.weight 64 64")
        .replace("v_proj.weight 32 64", "v_proj.weight 64 64");
    fs::write(fixture.path().join("tensors.txt"), tensors).unwrap();
    weights::write(fixture.path(), FLOAT32, folder.path(), Tweak::default());
    folder
}
