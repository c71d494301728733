//! A run fetches what it measures.

use std::{
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use mlxk_harness::cli::Exit;
use serde_json::Value;

use super::{
    expect, for_bytes, harness, hub, loadable,
    processes::{self, half},
    server::{COMMIT, Fault, Hub},
    snapshot, tensor,
};
use crate::harness::Harness;

/// Arguments that measure a model briefly and say so in `report.jsonl`.
const BRIEFLY: [&str; 8] = [
    "--scenario",
    "throughput",
    "--prompt-tokens",
    "4",
    "--generation-tokens",
    "2",
    "--report-output",
    "report.jsonl",
];

#[test]
fn a_model_is_fetched_measured_and_not_fetched_again() {
    let files = loadable();
    let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    let hub = files.into_iter().fold(Hub::new(), |hub, (name, bytes)| hub.file(name, bytes));
    let hub = hub.file("modeling_evil.py", "import os");
    let harness = harness(&hub).args(["run", "org/name", "--repetitions", "1"]).more(&BRIEFLY);
    expect(&harness.answer(), Exit::Ok);
    assert!(for_bytes(&hub.take_seen()) > 0);
    expect(&harness.answer(), Exit::Ok);
    assert_eq!(hub.take_seen().len(), 0, "the second run asks for nothing at all");
    let lines = lines(&harness);
    let (first, second) =
        (&lines[0]["metadata"]["mlxk_harness"], &lines[1]["metadata"]["mlxk_harness"]);
    assert_eq!(first["revision"], COMMIT);
    assert_eq!(second["revision"], COMMIT);
    assert_eq!(first["download"]["bytes"], bytes);
    assert!(first["download"]["seconds"].as_f64().unwrap() > 0.0);
    assert!(second.get("download").is_none());
    assert!(!snapshot(&harness).join("modeling_evil.py").exists());
    let offline = harness.variable("HF_HUB_OFFLINE", "1");
    expect(&offline.answer(), Exit::Ok);
    assert_eq!(hub.take_seen().len(), 0);
}

#[test]
fn every_model_of_a_run_is_fetched_before_the_first_is_measured() {
    let hub = hub(1000).file("a.gguf", "GGUF1").file("b.gguf", "GGUF2");
    let harness = harness(&hub).args(["run", "org/name:a.gguf", "org/name:b.gguf"]);
    let answer = harness.answer();
    // Neither is a model, but both have arrived when the first line is written.
    expect(&answer, Exit::No);
    let at = |text: &str| answer.stderr.find(text).expect(text);
    assert!(at("org/name:b.gguf: fetching") < at("[1/2] org/name:a.gguf"), "{}", answer.stderr);
    assert!(answer.stdout.contains("org/name:b.gguf"), "{}", answer.stdout);
}

/// The lines of the report.
fn lines(harness: &Harness) -> Vec<Value> {
    let report = harness.read("report.jsonl");
    report.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_model_that_is_measured_beside_a_download_says_so() {
    let files = loadable();
    let hub = files.into_iter().fold(Hub::new(), |hub, (name, bytes)| hub.file(name, bytes));
    // Some seconds long, and no model.
    let hub = hub.file("b.gguf", tensor(16_000_000)).fault("b.gguf", Fault::Slow);
    let run = ["run", "org/name", "org/name:b.gguf", "--repetitions", "20"];
    let run = |more: &[&str]| {
        let harness = harness(&hub).args(run).more(&BRIEFLY).more(more);
        let answer = harness.answer();
        expect(&answer, Exit::No);
        assert!(answer.stdout.contains("1 passed, 1 failed"), "{}", answer.stdout);
        let warnings = &lines(&harness)[0]["metadata"]["mlxk_harness"]["warnings"];
        let warned = warnings.as_array().into_iter().flatten();
        warned.filter(|text| text.as_str().unwrap().contains("was downloaded meanwhile")).count()
    };
    assert_eq!((run(&["--overlap-download"]), run(&[])), (1, 0));
}

#[test]
fn a_run_that_is_interrupted_while_it_fetches_ends_and_keeps_what_came() {
    let hub = processes::slow();
    let harness = harness(&hub);
    let mut child = Command::new(env!("CARGO_BIN_EXE_mlxk-harness"))
        .args(["run", "org/name", "--report-output"])
        .arg(harness.path("report.jsonl"))
        .envs(processes::environment(&harness, &hub))
        .env_remove("HF_HUB_CACHE")
        .env_remove("HF_HUB_OFFLINE")
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while half(&harness).is_none_or(|bytes| bytes == 0) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it began");
        thread::sleep(Duration::from_millis(5));
    }
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupted.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(Exit::Interrupted as i32), "{said}");
    assert!(said.contains("1 of 1 models were not run"), "{said}");
    assert!(half(&harness).is_some_and(|bytes| bytes > 0), "what came is kept");
    // The rest comes with the next run.
    hub.take_seen();
    assert!(processes::start(&harness, &hub).wait().unwrap().success());
    let resumed = hub.take_seen().iter().any(|seen| seen.host == "store" && seen.from > 0);
    assert!(resumed, "nothing is fetched twice");
}
