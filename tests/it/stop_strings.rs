//! `generate --stop`: strings that end an answer wherever the tokens cut them.

use std::{fs, path::Path, process::Command};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::weights;

/// A model of generated weights; with a tokenizer, each of its 64 tokens is two letters of its own.
fn model(has_tokenizer: bool) -> TempDir {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/llama");
    let folder = TempDir::new().unwrap();
    weights::write(&fixture, weights::FLOAT32, folder.path(), weights::Tweak::default());
    if has_tokenizer {
        let letters =
            |id: u8| format!("{}{}", char::from(b'A' + id / 8), char::from(b'a' + id % 8));
        let vocabulary: Map<String, Value> = (0..64).map(|id| (letters(id), json!(id))).collect();
        let level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
        let tokenizer = json!({
            "version": "1.0", "pre_tokenizer": level, "decoder": level,
            "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
        });
        fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    }
    folder
}

/// The exit code and both outputs of an answer of 24 tokens.
fn generate(model: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_mlxk-harness"))
        .args(["generate", "--prompt-ids", "1,2,3", "--max-tokens", "24"])
        .args(more)
        .arg(model)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn answer(model: &Path, more: &[&str]) -> Value {
    let (code, said, error) = generate(model, &[&["--json"][..], more].concat());
    assert_eq!(code, Some(0), "{error}");
    serde_json::from_str(&said).unwrap()
}

fn ids(answer: &Value) -> &[Value] {
    answer["ids"].as_array().unwrap()
}

#[test]
fn a_stop_string_that_spans_tokens_ends_the_answer_and_is_not_shown() {
    let model = model(true);
    let whole = answer(model.path(), &[]);
    let text = whole["text"].as_str().unwrap();
    assert_eq!((text.len(), whole["finish_reason"].as_str()), (48, Some("length")));
    assert_eq!(whole.get("stop_string"), None);
    // The last letter of a token, all of the next one, and the first letter of the one after.
    let string = &text[21..25];
    let at = text.find(string).unwrap();
    let stopped = answer(model.path(), &["--stop", "zz", "--stop", string]);
    assert_eq!(stopped["text"], &text[..at]);
    assert_eq!(
        (&stopped["finish_reason"], &stopped["stop_string"]),
        (&json!("stop"), &json!(string))
    );
    // Two letters a token; no token more is asked for than the string needs.
    let needed = (at + string.len()).div_ceil(2);
    assert_eq!(ids(&stopped), &ids(&whole)[..needed]);
    let (code, said, error) = generate(model.path(), &["--stop", string]);
    assert_eq!((code, said), (Some(0), format!("{}\n", &text[..at])), "{error}");
}

#[test]
fn a_stop_string_that_does_not_come_changes_nothing() {
    let model = model(true);
    let whole = answer(model.path(), &[]);
    let text = whole["text"].as_str().unwrap();
    // What the text ends with is the beginning of this one, and is shown all the same.
    let string = format!("{}?", &text[40..]);
    let other = answer(model.path(), &["--stop", &string]);
    assert_eq!((&other["text"], &other["ids"]), (&whole["text"], &whole["ids"]));
    assert_eq!((&other["finish_reason"], other.get("stop_string")), (&json!("length"), None));
}

#[test]
fn a_stop_string_needs_a_tokenizer_and_a_letter() {
    let model = model(false);
    let (code, _, error) = generate(model.path(), &["--stop", "x"]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("`--stop` needs a tokenizer: "), "{error}");
    assert!(error.contains("hint: leave `--stop` out"), "{error}");
    let (code, _, error) = generate(model.path(), &["--stop", ""]);
    assert_eq!(code, Some(2), "{error}");
}
