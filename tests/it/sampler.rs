//! The machine is looked at beside a run or a command: what is written, and that the command's end is passed on.

#![cfg(test)]

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
};

use mlxk_harness::cli::Exit;
use serde_json::Value;

use super::harness::Harness;

const BRIEFLY: [&str; 12] = [
    "--repetitions",
    "1",
    "--warmup",
    "1",
    "--prompt-tokens",
    "8",
    "--generation-tokens",
    "4",
    "--max-tokens",
    "8",
    "--report-output",
    "report.jsonl",
];

/// A run of a script with the machine looked at as `how` says.
fn run(behaviour: &str, how: &[&str]) -> Harness {
    Harness::new().args(["run", &format!("scripted:{behaviour}")]).more(&BRIEFLY).more(how)
}

/// The samples of a file and its summary; every line is held against what `memplot.py` takes of it.
#[track_caller]
fn samples(text: &str) -> (Vec<Value>, Value) {
    let mut lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    let last = lines.pop().expect("there is a last line");
    let summary = last.get("summary").expect("the last line is the summary").clone();
    for line in &lines {
        assert!(line.get("summary").is_none());
        for key in ["elapsed_s", "ram_free_gb", "swap_used_mb", "ts"] {
            assert!(line[key].is_number(), "`{key}` is missing in {line}");
        }
        let nulls = line.as_object().expect("an object").values().filter(|value| value.is_null());
        assert_eq!(nulls.count(), 0, "what is unknown is absent: {line}");
    }
    (lines, summary)
}

/// What happened, each event in a few words.
fn events(samples: &[Value]) -> Vec<String> {
    let events = samples.iter().filter_map(|sample| sample["events"].as_array()).flatten();
    let brief = |event: &Value| {
        let mut words = vec![event["event"].as_str().expect("a name").to_owned()];
        words.extend(event["scenario"].as_str().map(str::to_owned));
        if let Some(repetition) = event["repetition"].as_u64() {
            let is_warmup = event["warmup"].as_bool().expect("it is one or none");
            words.push(format!("{}{repetition}", if is_warmup { "w" } else { "r" }));
        }
        words.extend(event["outcome"].as_str().filter(|end| *end != "passed").map(str::to_owned));
        words.join(" ")
    };
    events.map(brief).collect()
}

#[test]
fn a_run_has_its_events_in_order() {
    let harness = run("measured", &["--sample=20"]);
    assert_eq!(harness.answer().code, Some(0));
    let (samples, _) = samples(&harness.read("report.memory.jsonl"));
    assert_eq!(
        events(&samples),
        [
            "child_start",
            "load",
            "loaded",
            "cell throughput",
            "cell chat",
            "prefill throughput w1",
            "decode throughput w1",
            "repetition_end throughput w1",
            "prefill chat w1",
            "decode chat w1",
            "repetition_end chat w1",
            "prefill throughput r1",
            "decode throughput r1",
            "repetition_end throughput r1",
            "cell_end throughput",
            "prefill chat r1",
            "decode chat r1",
            "repetition_end chat r1",
            "cell_end chat",
            "unload",
            "child_end",
        ]
    );
    let stamps: Vec<f64> = samples
        .iter()
        .filter_map(|sample| sample["events"].as_array())
        .flatten()
        .map(|event| event["elapsed_s"].as_f64().expect("each event has its time"))
        .collect();
    assert!(stamps.is_sorted(), "{stamps:?}");
}

#[test]
fn check_takes_every_line_for_one_of_the_memory_monitor() {
    let harness = run("measured", &["--sample", "--sample-output", "a/b.jsonl"]);
    assert_eq!(harness.answer().code, Some(0));
    let text = harness.read("a/b.jsonl");
    let lines = text.lines().count();
    Harness::new()
        .file("m.jsonl", &text)
        .args(["check", "m.jsonl"])
        .stdout(&format!("m.jsonl: 0 lines fit, {lines} are of the memory monitor\n"))
        .exit(Exit::Ok);
}

#[test]
fn a_child_that_dies_ends_its_cell_and_the_next_is_watched() {
    let harness = run("kill@decode:4", &["--sample"]);
    assert_eq!(harness.answer().code, Some(Exit::No as i32));
    let (samples, _) = samples(&harness.read("report.memory.jsonl"));
    let events = events(&samples);
    let around: Vec<_> = events
        .iter()
        .filter(|event| event.starts_with("child") || event.starts_with("cell"))
        .collect();
    assert_eq!(
        around,
        [
            "child_start",
            "cell throughput",
            "cell chat",
            "cell_end throughput failed",
            "child_end",
            "child_start",
            "cell_end chat",
            "child_end",
        ]
    );
}

#[test]
fn the_time_between_two_looks_is_told_as_it_was() {
    let harness = Harness::new().args([
        "monitor",
        "--interval",
        "20",
        "--output",
        "m.jsonl",
        "--",
        "sleep",
        "0.3",
    ]);
    assert_eq!(harness.answer().code, Some(0));
    let (samples, summary) = samples(&harness.read("m.jsonl"));
    assert!(samples[0].get("interval_ms").is_none(), "nothing came before the first");
    for pair in samples.windows(2) {
        let elapsed = |sample: &Value| sample["elapsed_s"].as_f64().expect("a number") * 1e3;
        let between = elapsed(&pair[1]) - elapsed(&pair[0]);
        let told = pair[1]["interval_ms"].as_f64().expect("a number");
        // Both ends are rounded to milliseconds.
        assert!((told - between).abs() < 1.1, "{told} {between}");
    }
    assert_eq!(summary["samples"], samples.len());
    assert_eq!(summary["interval_ms"], 20);
    assert_eq!(summary["exit_code"], 0);
    // The last look comes when the command ends, and not when it is due.
    let (_, due) = samples.split_last().expect("there are some");
    let told = due.iter().filter_map(|sample| sample["interval_ms"].as_f64());
    assert_eq!(summary["interval_max_ms"].as_f64(), told.reduce(f64::max));
    let free = samples.iter().filter_map(|sample| sample["ram_free_gb"].as_f64());
    assert_eq!(summary["ram_free_min_gb"].as_f64(), free.reduce(f64::min));
}

#[test]
fn lines_are_there_while_the_command_lives_and_tell_of_it() {
    // It ends only once it can read three lines.
    let script = "while [ $(wc -l < m.jsonl) -lt 3 ]; do sleep 0.02; done";
    let harness = Harness::new().args([
        "monitor",
        "--interval=20",
        "--output=m.jsonl",
        "--",
        "sh",
        "-c",
        script,
    ]);
    assert_eq!(harness.answer().code, Some(0));
    let (samples, summary) = samples(&harness.read("m.jsonl"));
    let resident: Vec<f64> =
        samples.iter().filter_map(|sample| sample["child_resident_mb"].as_f64()).collect();
    assert!(!resident.is_empty() && resident.iter().all(|size| *size > 0.0), "{resident:?}");
    assert_eq!(summary["child_resident_max_mb"].as_f64(), resident.into_iter().reduce(f64::max));
    assert_eq!(events(&samples), ["child_start", "child_end"]);
}

#[test]
fn nothing_looks_unless_it_is_asked_to() {
    let harness = run("measured", &[]);
    assert_eq!(harness.answer().code, Some(0));
    assert!(harness.path("report.jsonl").is_file());
    assert!(!harness.path("report.memory.jsonl").exists());
}

#[track_caller]
fn ends(command: &[&str], code: u8) {
    let harness = Harness::new().args(["monitor", "--"]).more(command);
    assert_eq!(harness.answer().code, Some(code.into()), "{command:?}");
}

#[test]
fn a_command_ends_as_it_would_alone() {
    ends(&["true"], 0);
    ends(&["sh", "-c", "exit 7"], 7);
    ends(&["sh", "-c", "exit 255"], 255);
    ends(&["sh", "-c", "kill -KILL $$"], 137);
    ends(&["sh", "-c", "kill -TERM $$"], 143);
    ends(&["mlxk-harness-has-no-such-program"], 127);
    ends(&["/"], 126);
}

#[test]
fn what_a_command_says_is_not_touched() {
    let harness =
        Harness::new().args(["--quiet", "monitor", "sh", "-c", "echo out; echo err >&2; exit 3"]);
    let answer = harness.answer();
    assert_eq!((answer.stdout.as_str(), answer.stderr.as_str()), ("out\n", "err\n"));
    assert_eq!(answer.code, Some(3));
}

/// Sends `signal` to a monitor alone, whose command answers it.
#[track_caller]
fn forwards(signal: &str, code: i32) {
    let script =
        "trap 'exit 42' INT; trap 'exit 43' TERM; echo ready; while :; do sleep 0.02; done";
    let mut monitor = Command::new(env!("CARGO_BIN_EXE_mlxk-harness"))
        .args(["monitor", "--", "sh", "-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // Not that of a terminal these tests may run in.
        .process_group(0)
        .spawn()
        .expect("the harness starts");
    let mut said = BufReader::new(monitor.stdout.take().expect("it is piped")).lines();
    assert_eq!(said.next().expect("a line").expect("text"), "ready");
    let id = monitor.id().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().expect("kill").success());
    assert_eq!(monitor.wait().expect("it is ours").code(), Some(code), "{signal}");
}

#[test]
fn signals_are_handed_on() {
    forwards("-INT", 42);
    forwards("-TERM", 43);
}

#[test]
fn what_was_measured_before_is_not_written_over() {
    let stderr =
        "error: cannot write samples to `m.jsonl`: it holds something already; name another file\n";
    let folder = Harness::new()
        .file("m.jsonl", "{}\n")
        .args(["monitor", "--output", "m.jsonl", "--", "touch", "ran"])
        .stderr(stderr)
        .exit(Exit::Io);
    assert!(!folder.path().join("ran").exists());
    assert_eq!(read(&folder.path().join("m.jsonl")), "{}\n");
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_is_told_of_and_ends_nothing() {
    let harness =
        Harness::new().args(["monitor", "--output", "/dev/full", "--", "sh", "-c", "exit 5"]);
    let answer = harness.answer();
    assert!(
        answer.stderr.contains("warning: cannot write samples to `/dev/full`"),
        "{}",
        answer.stderr
    );
    assert_eq!(answer.code, Some(5));
}

#[test]
fn samples_and_report_are_two_files() {
    let harness = run("measured", &["--sample-output", "./report.jsonl"]);
    let answer = harness.answer();
    assert_eq!(answer.stderr, "error: `./report.jsonl` is the report: name another file\n");
    assert_eq!(answer.code, Some(Exit::Io as i32));
    assert_eq!(harness.read("report.jsonl"), "");
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a file")
}
