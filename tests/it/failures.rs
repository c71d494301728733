//! What happens when a child or its parent ends before its time: with real processes, and a script for a model.

#![cfg(test)]

mod ends;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

fn harness() -> Command {
    Command::new(env!("CARGO_BIN_EXE_mlxk-harness"))
}

/// A worker whose model follows a script, and its job of one cell.
fn worker(behaviour: &str) -> (Child, ChildStdin) {
    let mut child = harness()
        .args(["worker", &format!("scripted:{behaviour}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the harness starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let job = json!({
        "settings": {
            "dequantize": false,
            "device": "auto",
            "sampling": {"temperature": 0.0, "top_p": 1.0, "min_p": 0.0, "top_k": 0, "seed": 0},
        },
        "cells": [{
            "scenario": "throughput",
            "prompt_tokens": 8,
            "generation_tokens": 4,
            "prefill_chunk": 2048,
            "warmup": 1,
            "repetitions": 1,
        }],
    });
    writeln!(stdin, "{job}").expect("the worker reads its job");
    (child, stdin)
}

/// Reads what a child says until it names `event`.
fn read_until(child: &mut Child, event: &str) -> Vec<String> {
    let stdout = child.stdout.as_mut().expect("a pipe");
    let mut events = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let message: Value = serde_json::from_str(&line.expect("text")).expect("a message");
        // These come when they come.
        if message["event"] == "alive" {
            continue;
        }
        events.push(message["event"].as_str().expect("a name").to_owned());
        if events.last().is_some_and(|last| last == event) {
            return events;
        }
    }
    panic!("`{event}` did not come after {events:?}");
}

fn ends(child: &mut Child) -> ExitStatus {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().expect("the child is ours") {
            return status;
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("the child is ours");
    panic!("the child did not end");
}

#[test]
fn a_worker_tells_its_work_step_by_step() {
    let (mut child, stdin) = worker("measured");
    assert_eq!(
        read_until(&mut child, "done"),
        [
            "started",
            "predicted",
            "warning",
            "loaded",
            "cell_started",
            "found",
            "trial_started",
            "decoded",
            "trial",
            "trial_started",
            "decoded",
            "trial",
            "found",
            "cell_done",
            "done",
        ]
    );
    assert!(ends(&mut child).success());
    drop(stdin);
}

#[test]
fn a_worker_whose_parent_is_gone_ends_in_the_middle_of_its_work() {
    let (mut child, stdin) = worker("hang@decode");
    read_until(&mut child, "decoded");
    thread::sleep(Duration::from_millis(300));
    assert_eq!(child.try_wait().expect("the child is ours"), None, "it hangs");
    // What the system does with the pipe when a parent dies.
    drop(stdin);
    assert!(!ends(&mut child).success());
}

/// Runs one model that follows a script and gives the exit status and the lines of its report.
fn run(behaviour: &str, more: &[&str]) -> (Option<i32>, Vec<Value>) {
    let folder = tempfile::tempdir().expect("a folder");
    let report = folder.path().join("report.jsonl");
    let output = run_command(behaviour, &report).args(more).output().expect("the harness starts");
    let lines = fs::read_to_string(&report).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    let lines = lines.lines().map(|line| serde_json::from_str(line).expect("a line is JSON"));
    (output.status.code(), lines.collect())
}

fn run_command(behaviour: &str, report: &Path) -> Command {
    let mut command = harness();
    command
        .args(["run", &format!("scripted:{behaviour}"), "--repetitions", "2", "--warmup", "1"])
        .args(["--prompt-tokens", "8", "--generation-tokens", "16", "--max-tokens", "32"])
        .arg("--report-output")
        .arg(report);
    command
}

/// A line in a few words: how it ended, why, and how many repetitions it kept.
fn brief(line: &Value) -> String {
    let provenance = &line["metadata"]["mlxk_harness"];
    let failure = &provenance["failure"];
    let why = match (failure["kind"].as_str(), failure["stage"].as_str()) {
        (Some(kind), Some(stage)) => format!(": {kind} in {stage}"),
        _ => String::new(),
    };
    let samples = provenance["samples"].as_array().map_or(0, Vec::len);
    let outcome = line["outcome"].as_str().expect("each line has an outcome");
    format!("{outcome}{why}, {samples} samples")
}

#[track_caller]
fn case(behaviour: &str, exit: i32, expected: [&str; 2]) {
    case_with(&[], behaviour, exit, expected);
}

#[track_caller]
fn case_with(more: &[&str], behaviour: &str, exit: i32, expected: [&str; 2]) {
    let (status, lines) = run(behaviour, more);
    let lines: Vec<String> = lines.iter().map(brief).collect();
    assert_eq!(lines, expected, "{behaviour}");
    assert_eq!(status, Some(exit), "{behaviour}");
}

#[test]
fn a_death_in_one_cell_leaves_its_line_and_the_other_cell_is_measured() {
    case("kill@decode:16", 1, ["failed: sigkill in decode, 0 samples", "passed, 2 samples"]);
    case("abort@prefill:16", 1, ["failed: sigabrt in prefill, 0 samples", "passed, 2 samples"]);
    // A cell that fails has its line before those that take more turns.
    case("panic@decode:32", 1, ["failed: panic in decode, 0 samples", "passed, 2 samples"]);
    case("exit@decode:16", 1, ["failed: ended_early in decode, 0 samples", "passed, 2 samples"]);
    case("garbage@decode:16", 1, ["failed: protocol in decode, 0 samples", "passed, 2 samples"]);
}

#[test]
fn a_death_in_load_leaves_a_line_for_every_cell() {
    case("kill@load", 1, ["failed: sigkill in load, 0 samples"; 2]);
}

#[test]
fn a_death_in_cleanup_keeps_what_was_measured() {
    case("abort@cleanup", 1, ["passed, 2 samples", "failed: sigabrt in cleanup, 2 samples"]);
}

/// The harness with so much memory to map, in KiB; only Linux holds a process to it.
fn within(kibibytes: u64) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit -v {kibibytes}; exec \"$0\" \"$@\"")])
        .arg(env!("CARGO_BIN_EXE_mlxk-harness"))
        // Each of its threads maps some.
        .env("OPENBLAS_NUM_THREADS", "1");
    command
}

#[test]
fn a_model_that_memory_does_not_suffice_for_is_a_line_and_the_next_is_measured() {
    let model =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(".models/SmolLM2-135M-Instruct.Q4_1.gguf");
    if !cfg!(target_os = "linux") || !model.exists() && std::env::var_os("CI").is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let report = folder.path().join("report.jsonl");
    let run = |kibibytes: u64, models: &[&str]| {
        within(kibibytes)
            .args(["run", "--scenario", "throughput", "--repetitions", "1"])
            .args(["--prompt-tokens", "2", "--generation-tokens", "2"])
            .args(models)
            .arg("--report-output")
            .arg(&report)
            .output()
            .expect("the harness starts")
    };
    // What the program itself needs, and half of what the model does.
    let mut needed = (100_000..2_000_000).step_by(25_000);
    let own = needed.find(|&own| run(own, &["scripted:measured"]).status.success());
    fs::remove_file(&report).expect("a report");
    let limit = own.expect("2 GB are enough") + 50_000;
    let output = run(limit, &[model.to_str().expect("text"), "scripted:measured"]);
    let lines = fs::read_to_string(&report).expect("a report");
    let lines: Vec<_> =
        lines.lines().map(|line| brief(&serde_json::from_str(line).expect("JSON"))).collect();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(lines, ["failed: out_of_memory in load, 0 samples", "passed, 1 samples"], "{said}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_model_beyond_the_budget_is_skipped_in_mlx_knifes_words_and_the_next_is_measured() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = folder.path().join("report.jsonl");
    fs::create_dir(folder.path().join("large")).expect("a folder");
    let weights = fs::File::create(folder.path().join("large/model.safetensors")).expect("a file");
    weights.set_len(10 << 30).expect("a sparse file");
    let output = harness()
        .args(["run", "--scenario", "throughput", "--repetitions", "1", "--memory-budget", "9GB"])
        .arg(folder.path().join("large"))
        .args(["scripted:measured", "--report-output"])
        .arg(&report)
        .output()
        .expect("the harness starts");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = fs::read_to_string(&report).expect("a report");
    let lines: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(
        lines.iter().map(brief).collect::<Vec<_>>(),
        ["skipped, 0 samples", "passed, 1 samples"]
    );
    assert_eq!(lines[0]["model"]["id"], "large");
    let reason = lines[0]["metadata"]["skip_reason"].as_str().expect("a reason");
    assert!(reason.contains("Model requires 12.0GB but only 9.0GB available ("), "{reason}");
}

#[test]
fn a_child_for_each_cell_loads_for_each() {
    let loads = |isolate: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = run_command("measured", &folder.path().join("report.jsonl"));
        let output = command.args(["--isolate", isolate]).output().expect("the harness starts");
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stderr).matches(": loaded in ").count()
    };
    assert_eq!((loads("model"), loads("cell")), (1, 2));
}

#[test]
fn an_interrupted_run_ends_the_repetition_in_hand_and_a_second_time_at_once() {
    let interrupt = |times: u32| {
        let folder = tempfile::tempdir().expect("a folder");
        let report = folder.path().join("report.jsonl");
        let mut command = run_command("pause@prefill", &report);
        let mut run = command.stderr(Stdio::piped()).spawn().expect("the harness starts");
        let mut said = BufReader::new(run.stderr.take().expect("it is piped")).lines();
        said.find(|line| line.as_ref().is_ok_and(|line| line.contains("repetition 1 of 2")));
        for _ in 0..times {
            let id = run.id().to_string();
            assert!(Command::new("kill").args(["-INT", &id]).status().expect("kill").success());
            // Two within a moment count as one.
            thread::sleep(Duration::from_millis(300));
        }
        said.for_each(drop);
        assert_eq!(ends(&mut run).code(), Some(130));
        let lines = fs::read_to_string(&report).expect("a report");
        let lines = lines.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        lines.map(|line| brief(&line)).collect::<Vec<_>>()
    };
    // The first cell has its first repetition, the second is at it.
    let [one, none] =
        [1, 0].map(|samples| format!("failed: interrupted in prefill, {samples} samples"));
    assert_eq!(interrupt(1), [one.as_str(), one.as_str()]);
    let mut at_once = interrupt(2);
    at_once.sort_unstable();
    assert_eq!(at_once, [none.as_str(), one.as_str()]);
}

#[test]
fn a_flood_on_standard_error_disturbs_nothing() {
    case("flood@decode", 0, ["passed, 2 samples"; 2]);
}

#[test]
fn no_worker_outlives_a_killed_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = folder.path().join("report.jsonl");
    let mut parent = run_command("hang@decode", &report)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the harness starts");
    let worker = wait_for(|| processes().find(|process| process.parent == parent.id()))
        .expect("the run starts a worker");
    thread::sleep(Duration::from_millis(500));
    parent.kill().expect("the run is ours");
    parent.wait().expect("the run is ours");
    let is_gone = wait_for(|| {
        let lives = processes().any(|process| process.id == worker.id && !process.is_zombie);
        (!lives).then_some(())
    });
    if is_gone.is_none() {
        let orphan = worker.id.to_string();
        let killed = Command::new("kill").args(["-KILL", &orphan]).status();
        panic!("process {orphan} still lived; killed: {killed:?}");
    }
}

struct Process {
    id: u32,
    parent: u32,
    is_zombie: bool,
}

fn processes() -> impl Iterator<Item = Process> {
    let output = Command::new("ps")
        .args(["-A", "-o", "pid=", "-o", "ppid=", "-o", "stat="])
        .output()
        .expect("`ps` lists processes");
    let text = String::from_utf8(output.stdout).expect("`ps` writes text");
    let lines: Vec<Process> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some(Process {
                id: words.next()?.parse().ok()?,
                parent: words.next()?.parse().ok()?,
                is_zombie: words.next()?.starts_with('Z'),
            })
        })
        .collect();
    lines.into_iter()
}

fn wait_for<T>(mut found: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(found) = found() {
            return Some(found);
        }
        thread::sleep(Duration::from_millis(50));
    }
    None
}
