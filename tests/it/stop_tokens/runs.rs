//! `run --scenario stop` on scripted token streams: what the line says, to the letter, and how the run ends.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use super::tokenizer;

/// What a run wrote and said, and how it ended.
pub(super) struct Ran {
    lines: Vec<Value>,
    pub(super) said: String,
    pub(super) code: Option<i32>,
}

pub(super) fn run(behaviour: &str, more: &[&str]) -> Ran {
    run_model(&format!("scripted:{behaviour}"), more)
}

fn run_model(model: &str, more: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.jsonl");
    let output = Command::new(env!("CARGO_BIN_EXE_mlxk-harness"))
        .args(["run", model, "--scenario", "stop"])
        .args(more)
        .arg("--report-output")
        .arg(&report)
        .output()
        .unwrap();
    let lines = fs::read_to_string(&report).unwrap_or_default();
    Ran {
        lines: lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        said: String::from_utf8(output.stdout).unwrap()
            + &String::from_utf8(output.stderr).unwrap(),
        code: output.status.code(),
    }
}

impl Ran {
    #[track_caller]
    pub(super) fn only(&self) -> &Value {
        assert_eq!(self.lines.len(), 1, "{}", self.said);
        &self.lines[0]
    }
}

pub(super) fn own(line: &Value) -> &Value {
    &line["metadata"]["mlxk_harness"]
}

#[test]
fn a_model_that_stops_where_it_should_passes() {
    let ran = run("says@clean", &[]);
    let line = ran.only();
    assert_eq!((line["outcome"].as_str(), ran.code), (Some("passed"), Some(0)), "{}", ran.said);
    assert_eq!(line["test"], "mlxk-harness::stop[scripted-s1-g128]");
    assert_eq!(
        line["stop_tokens"],
        json!({"configured": ["<|im_end|>"], "detected": ["<|im_end|>"], "workaround": "none", "leaked": false})
    );
    let cell = json!({
        "scenario": "stop", "prompt_set": 1, "max_tokens": 128, "depth": 0, "prefill_chunk": 2048,
        "decode": "pipelined", "warmup": 0, "repetitions": 0,
    });
    assert_eq!(own(line)["cell"], cell);
    let answers = own(line)["stop_answers"].as_array().unwrap();
    let asked: Vec<_> = answers
        .iter()
        .map(|it| (it["prompt"].as_str().unwrap(), it["sampling"].as_str().unwrap()))
        .collect();
    let prompts = ["sentence", "list", "code", "turn", "empty"];
    let all: Vec<_> =
        prompts.iter().flat_map(|prompt| [(*prompt, "greedy"), (*prompt, "seeded")]).collect();
    assert_eq!(asked, all);
    // 100 and the sum of its bytes is the id of a scripted word.
    assert_eq!(
        answers[0],
        json!({
            "prompt": "sentence", "prompt_text": "Write one sentence about cats.", "sampling": "greedy",
            "max_tokens": 50,
            "own": {
                "ids": [495, 669, 146, 2], "raw_text": "Cats sleep.<|im_end|>", "text": "Cats sleep.",
                "ending": {"reason": "stop_token", "id": 2}, "tokens": 4, "thinking_tokens": 0,
                "answer_tokens": 3, "first_answer_token": 0, "detected": ["<|im_end|>"], "findings": [],
            },
        })
    );
}

#[test]
fn a_model_that_goes_on_fails_with_its_evidence_and_the_run_does_not() {
    let ran = run("says@past", &[]);
    let line = ran.only();
    assert_eq!((line["outcome"].as_str(), ran.code), (Some("failed"), Some(0)), "{}", ran.said);
    assert_eq!(
        line["stop_tokens"],
        json!({"configured": ["<|endoftext|>"], "detected": ["<|im_end|>"], "workaround": "template-eos",
               "leaked": true})
    );
    assert_eq!(
        own(line)["failure"],
        json!({
            "stage": "decode", "kind": "stop_tokens",
            "message": "10 of 10 answers misbehaved: leaked (`<|im_end|>`), continued past the end (`<|im_end|>`)",
            "hint": "`template-eos` helps: write `\"eos_token_id\": [2, 3]` in `generation_config.json`",
        })
    );
    let answer = &own(line)["stop_answers"][0];
    assert_eq!(
        answer["own"]["findings"],
        json!([
            {"what": "leaked", "marker": "<|im_end|>", "token": 3, "spelled_with": 1,
             "text": "Cats sleep.<|im_end|>\nMore cats."},
            {"what": "continued_past_end", "marker": "<|im_end|>", "token": 3, "spelled_with": 1,
             "text": "Cats sleep.<|im_end|>\nMore cats."},
        ])
    );
    let remedied = &answer["remedied"];
    assert_eq!(remedied["rule"], "template-eos");
    assert_eq!(remedied["stop"], json!(["<|im_end|>", "<|endoftext|>"]));
    assert_eq!(remedied["generation_config_line"], "\"eos_token_id\": [2, 3]");
    assert_eq!(
        (&remedied["helps"], &remedied["run"]["text"]),
        (&json!(true), &json!("Cats sleep."))
    );
    assert!(ran.said.contains("`template-eos` helps"), "{}", ran.said);
    assert_eq!(run("says@past", &["--strict-stop"]).code, Some(1));
    assert_eq!(run("says@clean", &["--strict-stop"]).code, Some(0));
}

#[test]
fn a_marker_spelled_as_text_leaks_and_no_rule_is_named() {
    let ran = run("says@spelled", &[]);
    let line = ran.only();
    assert_eq!(
        line["stop_tokens"],
        json!({"configured": ["<|im_end|>"], "detected": ["<|im_end|>"], "workaround": "none", "leaked": true})
    );
    let finding = &own(line)["stop_answers"][0]["own"]["findings"][0];
    assert_eq!((&finding["token"], &finding["spelled_with"]), (&json!(2), &json!(4)));
    assert_eq!(
        own(line)["failure"]["message"],
        "10 of 10 answers misbehaved: leaked (`<|im_end|>`)"
    );
    assert_eq!(own(line)["failure"].get("hint"), None);
}

#[test]
fn thinking_that_the_template_opened_is_counted_apart() {
    let ran = run("says@thinking", &[]);
    let line = ran.only();
    assert_eq!(line["outcome"], "passed", "{}", ran.said);
    let answer = &own(line)["stop_answers"][0]["own"];
    assert_eq!(
        (&answer["thinking_tokens"], &answer["answer_tokens"], &answer["first_answer_token"]),
        (&json!(2), &json!(3), &json!(4))
    );
}

#[test]
fn a_loop_is_told_and_no_failure() {
    let ran = run("says@loop", &[]);
    let line = ran.only();
    assert_eq!(line["outcome"], "passed", "{}", ran.said);
    let answer = &own(line)["stop_answers"][0]["own"];
    assert_eq!(answer["ending"], json!({"reason": "repetition_loop", "period": 1, "times": 24}));
    assert_eq!(answer["findings"][0]["what"], "repetition_loop");
    assert_eq!(line["stop_tokens"]["detected"], json!([]));
}

#[test]
fn a_cell_that_breaks_off_keeps_the_answers_that_came() {
    for (behaviour, kind) in [("fail@decode:128", "scripted"), ("kill@decode:128", "sigkill")] {
        let ran = run(behaviour, &[]);
        let line = ran.only();
        assert_eq!((line["outcome"].as_str(), ran.code), (Some("failed"), Some(1)), "{}", ran.said);
        assert_eq!(own(line)["failure"]["kind"], kind);
        assert_eq!(own(line)["stop_answers"].as_array().unwrap().len(), 2);
        assert_eq!(
            line["stop_tokens"],
            json!({"configured": ["<|im_end|>"], "detected": ["<|im_end|>"], "workaround": "none", "leaked": false})
        );
    }
}

#[test]
fn a_cell_without_an_answer_says_only_what_is_configured() {
    let ran = run("fail@decode:50", &[]);
    let line = ran.only();
    assert_eq!(line["stop_tokens"], json!({"configured": ["<|im_end|>"]}));
    let skipped = run("refuse@prepare:128", &[]);
    assert_eq!(skipped.only()["outcome"], "skipped");
    assert_eq!(skipped.only().get("stop_tokens"), None);
}

#[test]
fn a_model_that_cannot_be_loaded_still_says_what_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/llama");
    let config = fs::read_to_string(fixture.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["eos_token_id"] = json!([2, 7]);
    fs::write(path("config.json"), config.to_string()).unwrap();
    fs::write(path("tokenizer.json"), tokenizer(&[(2, "</s>")]).to_string()).unwrap();
    // A single tensor, and none of those that the model needs.
    let header = json!({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).to_string();
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat();
    fs::write(path("model.safetensors"), bytes).unwrap();
    let ran = run_model(folder.path().to_str().unwrap(), &[]);
    let line = ran.only();
    assert_eq!((line["outcome"].as_str(), ran.code), (Some("failed"), Some(1)), "{}", ran.said);
    assert_eq!(own(line)["failure"]["stage"], "load");
    assert_eq!(line["stop_tokens"], json!({"configured": ["</s>", "<id:7>"]}));
}

#[test]
fn it_comes_after_what_is_timed_and_only_on_request() {
    let more = [
        "--scenario",
        "throughput",
        "--prompt-tokens",
        "8",
        "--generation-tokens",
        "4",
        "--max-tokens",
        "16",
    ];
    let ran = run("says@past", &more);
    let scenarios: Vec<_> =
        ran.lines.iter().map(|line| own(line)["cell"]["scenario"].as_str().unwrap()).collect();
    assert_eq!(scenarios, ["throughput", "stop"], "{}", ran.said);
    // What leaks does not fail what is timed.
    assert_eq!(ran.lines[0]["outcome"], "passed");
    assert_eq!(ran.lines[1]["test"], "mlxk-harness::stop[scripted-s1-g16]");
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.jsonl");
    let output = Command::new(env!("CARGO_BIN_EXE_mlxk-harness"))
        .args(["run", "scripted:measured", "--repetitions", "1", "--report-output"])
        .arg(&report)
        .output()
        .unwrap();
    assert!(output.status.success());
    assert!(!fs::read_to_string(&report).unwrap().contains("::stop["));
}

#[test]
fn lines_fit_their_schema() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.jsonl");
    for version in ["0.2.0", "0.2.2"] {
        let run = Command::new(env!("CARGO_BIN_EXE_mlxk-harness"))
            .args([
                "run",
                "scripted:says@past",
                "--scenario",
                "stop",
                "--schema",
                version,
                "--report-output",
            ])
            .arg(&report)
            .status();
        assert!(run.unwrap().success());
    }
    let check = Command::new(env!("CARGO_BIN_EXE_mlxk-harness"))
        .arg("check")
        .arg(&report)
        .output()
        .unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
}
