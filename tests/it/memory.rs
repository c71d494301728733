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
};
use tempfile::TempDir;

use crate::weights::{self, FLOAT32, Tweak};

/// Names the case in the child, where nothing else allocates.
const CASE: &str = "MLXK_HARNESS_MEMORY_CASE";

/// Fixtures: every head with keys of its own, heads that share theirs, and layers that see a window.
const CASES: [&str; 3] = ["dense", "llama", "llama-sliding"];

#[test]
fn caches_grow_as_predicted() {
    for case in CASES {
        let output = Command::new(env::current_exe().unwrap())
            .args(["memory::child", "--exact", "--ignored", "--nocapture"])
            .env(CASE, case)
            .output()
            .unwrap();
        let (out, err) = (output.stdout, output.stderr);
        let said = String::from_utf8_lossy(&out);
        println!("{said}");
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&err));
        assert!(said.contains("1 passed"), "{said}");
    }
}

#[test]
#[ignore = "`caches_grow_as_predicted` starts it in a process of its own"]
fn child() {
    let Ok(case) = env::var(CASE) else { return };
    let folder = checkpoint(&case);
    let location = Location::find(folder.path().to_str().unwrap(), None).unwrap();
    let description = Description::read(location).unwrap();
    let footprint = Footprint::of(&description).unwrap();
    assert_eq!(footprint.obstacle, None);
    let checkpoint = Checkpoint::open(&description, LoadOptions::default()).unwrap();
    let (model, parameters) = models::load(checkpoint).unwrap();
    eval(&parameters.arrays).unwrap();
    assert_eq!(footprint.parameters, parameters.count);
    assert_eq!(footprint.weight_bytes, parameters.bytes());
    // The first run leaves behind what MLX keeps for good.
    drop(read_all(model.as_ref(), 20));
    for tokens in [303, 700] {
        clear_cache().unwrap();
        let before = active_memory().unwrap();
        let cache = read_all(model.as_ref(), tokens);
        clear_cache().unwrap();
        let grown = (active_memory().unwrap() - before) as f64;
        let predicted = footprint.cache_bytes(tokens.into()).unwrap() as f64;
        println!("{case}: {tokens} tokens, predicted {predicted}, allocated {grown}");
        assert!((grown / predicted - 1.0).abs() < 0.05, "{case}: {grown} and not {predicted}");
        drop(cache);
    }
}

/// Reads so many tokens, most in chunks and the last three one by one.
fn read_all(model: &dyn Model, tokens: u32) -> Cache {
    let mut cache = model.new_cache();
    let ids: Vec<u32> = (0..tokens).map(|id| id % model.vocabulary()).collect();
    let (prompt, rest) = ids.split_at(ids.len() - 3);
    for chunk in prompt.chunks(128).chain(rest.chunks(1)) {
        let input = Array::from_slice(chunk, &[1, i32::try_from(chunk.len()).unwrap()]);
        model.forward(&input, &mut cache).unwrap();
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
