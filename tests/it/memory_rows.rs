//! What a line tells of memory, from children that run a model on MLX.

#![cfg(test)]

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    harness::Harness,
    weights::{self, FLOAT32, Tweak},
};

/// A folder with a small checkpoint in it: one layer of Llama's that attends in full.
fn checkpoint() -> TempDir {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/llama");
    let folder = tempfile::tempdir().unwrap();
    weights::write(&fixture, FLOAT32, folder.path(), Tweak::default());
    folder
}

/// The memory that a child tells of each measured repetition, with the cell it was of, in order.
fn told(folder: &Path, prompts: &[u32]) -> Vec<(u64, Value)> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mlxk-harness"))
        .arg("worker")
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let cell = |prompt_tokens: &u32| {
        json!({
            "scenario": "throughput",
            "prompt_tokens": prompt_tokens,
            "generation_tokens": 4,
            "prefill_chunk": 2048,
            "warmup": 0,
            "repetitions": 2,
        })
    };
    let job = json!({
        "settings": {
            "dequantize": false,
            "device": "cpu",
            "sampling": {"temperature": 0.0, "top_p": 1.0, "min_p": 0.0, "top_k": 0, "seed": 0},
        },
        "cells": prompts.iter().map(cell).collect::<Vec<_>>(),
    });
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{job}").unwrap();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    let lines = String::from_utf8(output.stdout).unwrap();
    let messages = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    messages
        .filter(|message| message["event"] == "trial")
        .map(|message| (message["cell"].as_u64().unwrap(), message["trial"]["memory"].clone()))
        .collect()
}

#[test]
fn a_small_cell_after_a_big_one_does_not_inherit_its_peak() {
    let folder = checkpoint();
    let told = told(folder.path(), &[2_000, 8]);
    // A busy machine has repetitions run again, so that they need not alternate.
    let of = |cell: u64| told.iter().filter(move |(of, _)| *of == cell).map(|(_, memory)| memory);
    let last_big = told.iter().rposition(|(cell, _)| *cell == 0);
    assert!(told.iter().skip(last_big.unwrap()).any(|(cell, _)| *cell == 1), "{told:?}");
    for (big, small) in of(0).flat_map(|big| of(1).map(move |small| (big, small))) {
        let bytes = |memory: &Value, key: &str| memory[key].as_u64().unwrap();
        let (peak, after) = (bytes(big, "peak_bytes"), bytes(small, "peak_bytes"));
        assert!(peak > 10 * after, "{peak} {after}");
        if cfg!(target_os = "linux") {
            let process = |memory: &Value| bytes(memory, "process_peak_bytes");
            // Most of what the big one took on top of the small one is seen in the process too.
            let more = process(big) - process(small);
            assert!(more > (peak - after) / 2, "{more} {told:?}");
        }
        for memory in [big, small] {
            assert!(bytes(memory, "active_bytes") <= bytes(memory, "peak_bytes"));
            if cfg!(target_os = "linux") {
                assert!(bytes(memory, "process_peak_bytes") >= bytes(memory, "peak_bytes"));
                assert!(bytes(memory, "process_peak_bytes") >= bytes(memory, "process_bytes"));
            } else {
                assert!(memory.get("process_peak_bytes").is_none(), "{memory}");
            }
        }
    }
}

#[test]
fn a_line_has_memory_from_three_sources_and_how_far_they_are_apart() {
    let folder = checkpoint();
    let model = folder.path().to_str().unwrap();
    let harness = Harness::new()
        .args(["run", model, "--scenario", "throughput", "--repetitions", "2", "--warmup", "1"])
        .more(&["--prompt-tokens", "300", "--generation-tokens", "4", "--device", "cpu"])
        .more(&["--report-output", "report.jsonl"]);
    let answer = harness.answer();
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let line: Value = serde_json::from_str(harness.read("report.jsonl").trim()).unwrap();
    let ours = &line["metadata"]["mlxk_harness"];
    let memory = &ours["memory"];

    let shown = Harness::new().args(["show", model, "--context", "304", "--json"]).answer();
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(memory["prediction"], shown["prediction"], "{memory}");
    let number = |path: &str| memory.pointer(path).and_then(Value::as_i64);
    let gap = |name: &str| number(&format!("/gaps/{name}"));
    let peak = number("/allocator/peak_bytes").unwrap();
    let predicted = number("/prediction/total_bytes").unwrap();
    assert_eq!(gap("allocator_peak_minus_prediction"), Some(peak - predicted));
    let loaded = ours["load"]["memory"]["active_bytes"].as_i64().unwrap();
    let weights = number("/prediction/weight_bytes").unwrap();
    assert_eq!(gap("loaded_minus_predicted_weights"), Some(loaded - weights));
    // What is loaded is the weights, and hardly more.
    assert!((loaded - weights).abs() * 20 < weights, "{loaded} {weights}");
    let process = number("/process/peak_bytes");
    assert_eq!(process.is_some(), cfg!(target_os = "linux"));
    assert_eq!(gap("process_peak_minus_allocator_peak"), process.map(|bytes| bytes - peak));
    assert_eq!(gap("process_peak_minus_prediction"), process.map(|bytes| bytes - predicted));
    let counts = if cfg!(target_os = "macos") { "phys_footprint" } else { "VmRSS" };
    assert_eq!(memory["process"]["counts"], counts);

    let health = &ours["health"];
    for look in ["before", "after"] {
        assert!(
            health[look]["free_bytes"].is_u64() && health[look]["taken_bytes"].is_u64(),
            "{health}"
        );
    }
    assert!(ours["cleanup"]["released_us"].is_u64(), "{ours}");
    // So little memory comes and goes unseen.
    assert!(ours["cleanup"].get("memory_back_us").is_none(), "{ours}");
}

#[test]
fn nothing_is_predicted_of_weights_that_are_cast() {
    let folder = checkpoint();
    let harness = Harness::new()
        .args(["run", folder.path().to_str().unwrap(), "--scenario", "throughput"])
        .more(&["--repetitions", "1", "--warmup", "0", "--dtype", "bfloat16", "--device", "cpu"])
        .more(&["--prompt-tokens", "8", "--generation-tokens", "2"])
        .more(&["--report-output", "report.jsonl"]);
    assert_eq!(harness.answer().code, Some(0));
    let line: Value = serde_json::from_str(harness.read("report.jsonl").trim()).unwrap();
    let memory = &line["metadata"]["mlxk_harness"]["memory"];
    assert!(memory["allocator"]["peak_bytes"].is_u64(), "{memory}");
    assert!(
        memory.get("prediction").is_none()
            && memory["gaps"].get("loaded_minus_predicted_weights").is_none()
    );
}
