//! Ends of a child that its parent has to find out: it hangs, freezes, lets go of its pipe, or takes all memory.

use std::{
    io::{BufRead, BufReader},
    time::Instant,
};

use serde_json::Value;

use super::{case, case_with, run, worker};

#[test]
fn a_worker_that_hangs_is_given_up_in_its_stage_and_the_other_cell_is_measured() {
    let case = |behaviour, expected| case_with(&["--timeout", "2"], behaviour, 1, expected);
    case("hang@load", ["failed: timeout in load, 0 samples"; 2]);
    case("hang@prepare:16", ["failed: timeout in resolve, 0 samples", "passed, 2 samples"]);
    case("hang@prompt:16", ["failed: timeout in prompt, 0 samples", "passed, 2 samples"]);
    case("hang@prefill:16", ["failed: timeout in prefill, 0 samples", "passed, 2 samples"]);
    case("hang@decode:32", ["failed: timeout in decode, 0 samples", "passed, 2 samples"]);
}

#[test]
fn a_stage_has_a_patience_of_its_own() {
    // The others would be waited for longer than a test may take.
    let case = |stage: &str, expected| {
        case_with(&["--timeout", &format!("{stage}=2")], &format!("hang@{stage}:16"), 1, expected);
    };
    case("prefill", ["failed: timeout in prefill, 0 samples", "passed, 2 samples"]);
    case("decode", ["failed: timeout in decode, 0 samples", "passed, 2 samples"]);
    case_with(&["--timeout", "load=2"], "hang@load", 1, ["failed: timeout in load, 0 samples"; 2]);
}

#[test]
fn a_worker_that_does_not_end_is_killed_and_what_it_said_counts() {
    let (code, lines) = run("hang@cleanup", &["--timeout", "cleanup=1"]);
    assert_eq!(code, Some(0));
    let warnings = |line: &Value| line["metadata"]["mlxk_harness"]["warnings"].to_string();
    let words = "after the last answer, the child said no more, did not end either within 1 s";
    assert_eq!(lines.iter().map(super::brief).collect::<Vec<_>>(), ["passed, 2 samples"; 2]);
    assert!(lines.iter().any(|line| warnings(line).contains(words)), "{lines:?}");
}

#[test]
fn a_frozen_worker_is_told_from_one_that_lives() {
    let more = ["--timeout", "5"];
    let frozen = ["failed: frozen in decode, 0 samples", "passed, 2 samples"];
    case_with(&more, "freeze@decode:16", 1, frozen);
    let lives = ["failed: timeout in decode, 0 samples", "passed, 2 samples"];
    case_with(&more, "hang@decode:16", 1, lives);
}

#[test]
fn a_worker_that_hangs_says_that_it_lives_and_where_it_is() {
    let (mut child, stdin) = worker("hang@decode");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut beats = Vec::new();
    for line in lines {
        let message: Value = serde_json::from_str(&line.expect("text")).expect("a message");
        if message["event"] == "alive" && message["stage"] == "decode" {
            beats.push(Instant::now());
        }
        if beats.len() == 2 {
            break;
        }
    }
    assert_eq!(beats.len(), 2);
    drop(stdin);
    super::ends(&mut child);
}

#[test]
fn a_worker_that_lets_go_of_its_pipe_fails_its_cell_and_the_other_is_measured() {
    let closed = ["failed: lingered in decode, 0 samples", "passed, 2 samples"];
    case_with(&["--timeout", "cleanup=1"], "close@decode:16", 1, closed);
}

#[test]
fn a_worker_that_takes_memory_without_end_fails_its_cell_and_the_other_is_measured() {
    // Where no process is held to a limit, the script has it killed.
    let kind = if cfg!(target_os = "linux") { "out_of_memory" } else { "sigkill" };
    let failed = format!("failed: {kind} in decode, 0 samples");
    case("swell@decode:16", 1, [&failed, "passed, 2 samples"]);
}
