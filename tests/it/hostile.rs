//! What strangers wrote ends in one clear error, soon and in little memory.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::weights;

fn config() -> Value {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/llama/config.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A safetensors file whose header says it has `claim` bytes.
fn claiming(header: &str, claim: u64, data: usize) -> Vec<u8> {
    [&claim.to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
}

fn weights(header: &Value, data: usize) -> Vec<u8> {
    let header = header.to_string();
    claiming(&header, header.len() as u64, data)
}

fn tensor(shape: [i64; 2], range: [i64; 2]) -> Value {
    json!({"dtype": "F32", "shape": shape, "data_offsets": range})
}

/// The errors of `show` and `generate` on a folder with the configuration and weights given.
#[track_caller]
fn refused(config: &[u8], weights: &[u8], expected: &str) {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("config.json"), config).unwrap();
    fs::write(folder.path().join("model.safetensors"), weights).unwrap();
    refused_folder(folder.path(), expected);
}

#[track_caller]
fn refused_folder(folder: &Path, expected: &str) {
    for more in [&["show"][..], &["generate", "--prompt-ids", "1"]] {
        // 4 GiB of addresses, where a shell can limit them: nobody may believe a claim and allocate.
        let output = Command::new("sh")
            .args(["-c", "ulimit -v 4194304 2>/dev/null; exec \"$0\" \"$@\""])
            .arg(env!("CARGO_BIN_EXE_mlxk-harness"))
            .args(more)
            .arg(folder)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{more:?}: {said}");
        assert!(said.contains(expected), "{more:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

const CUT: &str = "hint: the file was cut or altered: download it again";

#[test]
fn headers_that_lie_are_refused() {
    let sound = config().to_string();
    let good = json!({"a": tensor([4, 4], [0, 64])});
    let lies = [
        claiming(&good.to_string(), i64::MAX.cast_unsigned(), 64),
        weights(&json!({"a": tensor([4, 4], [0, 64]), "b": tensor([4, 4], [32, 96])}), 96),
        weights(&json!({"a": tensor([-4, 4], [0, 64])}), 64),
        weights(&json!({"a": tensor([4, 4], [64, 0])}), 64),
        weights(&json!({"a": tensor([4, 4], [-64, 0])}), 64),
        weights(&json!({"a": tensor([i64::MAX, i64::MAX], [0, 64])}), 64),
        claiming(&format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)), 20_000, 0),
    ];
    for lie in lies {
        refused(sound.as_bytes(), &lie, CUT);
    }
    // What lies nowhere is no lie: it is read, and belongs to no model.
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("model.safetensors"), weights(&good, 64)).unwrap();
    fs::write(folder.path().join("config.json"), sound).unwrap();
    let harness = env!("CARGO_BIN_EXE_mlxk-harness");
    let output = Command::new(harness).arg("show").arg(folder.path()).output().unwrap();
    assert!(output.status.success());
}

#[test]
fn experts_that_are_none_and_contexts_without_end_do_no_harm() {
    let folder = TempDir::new().unwrap();
    let mut sparse = config();
    sparse["num_experts_per_tok"] = json!(2);
    fs::write(folder.path().join("config.json"), sparse.to_string()).unwrap();
    let none = json!({"dtype": "F32", "shape": [0, 4, 4], "data_offsets": [0, 0]});
    let header = json!({"model.layers.0.mlp.switch_mlp.up_proj.weight": none});
    fs::write(folder.path().join("model.safetensors"), weights(&header, 0)).unwrap();
    let show = |more: &[&str]| {
        let harness = env!("CARGO_BIN_EXE_mlxk-harness");
        Command::new(harness).arg("show").arg(folder.path()).args(more).output().unwrap()
    };
    let output = show(&[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = show(&["--context", &u64::MAX.to_string()]);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn configurations_that_are_too_deep_too_long_or_too_much_are_refused() {
    let weights = weights(&json!({"a": tensor([4, 4], [0, 64])}), 64);
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    refused(deep.as_bytes(), &weights, "`config.json` is not valid JSON: recursion limit exceeded");
    let mut many = config();
    many["num_hidden_layers"] = json!(1_u64 << 40);
    refused(many.to_string().as_bytes(), &weights, "asks for `num_hidden_layers` of 1099511627776");

    let folder = TempDir::new().unwrap();
    let file = fs::File::create(folder.path().join("config.json")).unwrap();
    file.set_len(1 << 30).unwrap();
    fs::write(folder.path().join("model.safetensors"), weights).unwrap();
    refused_folder(folder.path(), "it is longer than 16 MiB");
}

#[test]
fn shards_outside_of_the_folder_are_not_read() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("config.json"), config().to_string()).unwrap();
    let outside = TempDir::new().unwrap();
    let secret = outside.path().join("secret.safetensors");
    fs::write(&secret, weights(&json!({"secret": tensor([4, 4], [0, 64])}), 64)).unwrap();
    let index = json!({"weight_map": {"secret": secret, "other": "../secret.safetensors"}});
    fs::write(folder.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    refused_folder(folder.path(), "hint: download the model again, weights included");
}

#[test]
fn a_tokenizer_that_its_library_cannot_bear_is_refused() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/llama");
    let folder = TempDir::new().unwrap();
    weights::write(&fixture, weights::FLOAT32, folder.path(), weights::Tweak::default());
    // A table of replacements without a single row.
    let normalizer = json!({"type": "Precompiled", "precompiled_charsmap": "AAAAAA=="});
    let model = json!({"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"});
    let generate = |normalizer: &Value| {
        let tokenizer = json!({"version": "1.0", "normalizer": normalizer, "model": model});
        fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
        Command::new(env!("CARGO_BIN_EXE_mlxk-harness"))
            .args(["generate", "--raw", "--prompt", "a", "--max-tokens", "1"])
            .arg(folder.path())
            .output()
            .unwrap()
    };
    let output = generate(&normalizer);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the `tokenizers` library cannot bear it"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    let sound = generate(&Value::Null);
    assert!(sound.status.success(), "{}", String::from_utf8_lossy(&sound.stderr));
}
