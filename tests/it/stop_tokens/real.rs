//! SmolLM2-135M-Instruct itself: with its own stop token, and with that taken out of its files.
//!
//! Answers are cut sooner than the set has it, so that each of the three runs writes some 300 tokens in float32: half a
//! minute on two cores. The first answers are complete by then.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

/// The key in front of the stop token, a whole number of four bytes.
const KEY: &[u8] = b"tokenizer.ggml.eos_token_id\x04\0\0\0";

/// The model's file, or none where it was not fetched; CI fetches it, and fails without.
fn model() -> Option<PathBuf> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(".models/SmolLM2-135M-Instruct.Q4_1.gguf");
    if !path.exists() && std::env::var_os("CI").is_none() {
        eprintln!("not run: `{}` is not there, `cargo xtask demo` fetches it", path.display());
        return None;
    }
    Some(path)
}

/// The line of a run, and its exit code.
fn run(model: &Path) -> (Value, Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("models.toml");
    let text = format!(
        "[[model]]\npath = {:?}\nscenarios = [\"stop\"]\nmax_tokens = 28\ndtype = \"float32\"\ndequantize = true\n",
        model.to_str().unwrap()
    );
    fs::write(&manifest, text).unwrap();
    let report = folder.path().join("report.jsonl");
    let output = Command::new(env!("CARGO_BIN_EXE_mlxk-harness"))
        .arg("run")
        .arg(&manifest)
        .arg("--report-output")
        .arg(&report)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = fs::read_to_string(&report).unwrap();
    (serde_json::from_str(&line).unwrap_or_else(|_| panic!("{said}")), output.status.code())
}

#[test]
fn it_stops_where_its_file_says() {
    let Some(model) = model() else { return };
    let (line, code) = run(&model);
    let failure = &line["metadata"]["mlxk_harness"]["failure"];
    assert_eq!((line["outcome"].as_str(), code), (Some("passed"), Some(0)), "{failure}");
    assert_eq!(
        line["stop_tokens"],
        json!({"configured": ["<|im_end|>"], "detected": ["<|im_end|>"], "workaround": "none", "leaked": false})
    );
}

/// The end that is not configured came and did not end the answer; what it says with that end, and what is to be written.
#[track_caller]
fn needs_its_end((line, code): &(Value, Option<i32>), configured: &[&str], hint: &str) {
    assert_eq!((line["outcome"].as_str(), *code), (Some("failed"), Some(0)));
    assert_eq!(
        line["stop_tokens"],
        json!({"configured": configured, "detected": ["<|im_end|>"], "workaround": "template-eos", "leaked": true})
    );
    let own = &line["metadata"]["mlxk_harness"];
    let message = own["failure"]["message"].as_str().unwrap();
    assert!(message.contains("continued past the end (`<|im_end|>`)"), "{message}");
    assert_eq!(own["failure"]["hint"], hint);
    // Every answer that went on is clean with it.
    let found = |answer: &Value, what: &str| {
        answer["findings"].as_array().unwrap().iter().any(|finding| finding["what"] == what)
    };
    let answers = own["stop_answers"].as_array().unwrap();
    let past = answers.iter().filter(|answer| found(&answer["own"], "continued_past_end"));
    let remedied: Vec<&Value> = past.map(|answer| &answer["remedied"]).collect();
    assert!(!remedied.is_empty());
    for remedied in remedied {
        assert_eq!((&remedied["helps"], &remedied["run"]["findings"]), (&json!(true), &json!([])));
        assert_eq!(remedied["run"]["ending"], json!({"reason": "stop_token", "id": 2}));
    }
}

#[test]
fn without_its_stop_token_it_goes_on_and_the_end_of_its_template_helps() {
    let Some(model) = model() else { return };
    let mut bytes = fs::read(&model).unwrap();
    let at = bytes.windows(KEY.len()).position(|window| window == KEY).unwrap() + KEY.len();
    assert_eq!(bytes[at..at + 4], 2u32.to_le_bytes());
    // `<|endoftext|>`, which ends no turn.
    bytes[at..at + 4].copy_from_slice(&0u32.to_le_bytes());
    let folder = tempfile::tempdir().unwrap();
    let without = folder.path().join("SmolLM2-without.gguf");
    fs::write(&without, bytes).unwrap();
    let hint = "`template-eos` helps: write `tokenizer.ggml.eot_token_id = 2` into the GGUF file, or \
                `\"eos_token_id\": [0, 2]` in `generation_config.json` of a folder converted from it";
    needs_its_end(&run(&without), &["<|endoftext|>"], hint);
}

#[test]
fn a_folder_whose_files_all_lack_it_needs_it_too() {
    let Some(model) = model() else { return };
    let folder = tempfile::tempdir().unwrap();
    let without = folder.path().join("without");
    let converted = Command::new(env!("CARGO_BIN_EXE_mlxk-harness"))
        .args(["convert", model.to_str().unwrap(), without.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(converted.status.success(), "{}", String::from_utf8_lossy(&converted.stderr));
    for file in ["config.json", "tokenizer_config.json"] {
        let path = without.join(file);
        let text = fs::read_to_string(&path).unwrap();
        let mut content: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
        content
            .retain(|key, _| !["eos_token_id", "eos_token", "pad_token"].contains(&key.as_str()));
        fs::write(path, json!(content).to_string()).unwrap();
    }
    let others = [
        ("generation_config.json", json!({"bos_token_id": 1})),
        ("special_tokens_map.json", json!({"bos_token": "<|im_start|>"})),
    ];
    for (file, content) in others {
        fs::write(without.join(file), content.to_string()).unwrap();
    }
    let hint = "`template-eos` helps: write `\"eos_token_id\": [2]` in `generation_config.json`";
    needs_its_end(&run(&without), &[], hint);
}
