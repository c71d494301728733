//! More lines than anybody reads: what is told of them, and what memory it takes.

use std::{
    fs,
    io::{Read, Write},
    process::{Command, Stdio},
    thread,
};

use super::{super::harness::Harness, WHOLE};

/// Lines of `tests` tests in turns.
fn lines(count: usize, tests: usize) -> String {
    let line = |at: usize| WHOLE.replace("[c]", &format!("[{}]", at % tests)) + "\n";
    (0..count).map(line).collect()
}

#[test]
fn many_records_are_told_as_one_row_for_each_test() {
    let answer =
        Harness::new().file("a.jsonl", lines(2_500, 2)).args(["report", "a.jsonl"]).answer();
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let note = "2500 records in 2 rows: each row is all of one test, model, machine and outcome";
    assert!(answer.stdout.contains(note), "{}", answer.stdout);
    let rows =
        answer.stdout.lines().filter(|line| line.contains("passed") && line.contains("1250"));
    assert_eq!(rows.count(), 2, "{}", answer.stdout);
    assert!(answer.stdout.ends_with("\n2500 passed, 0 failed, 0 skipped\n"), "{}", answer.stdout);
}

#[test]
fn a_data_frame_has_every_record() {
    let harness = Harness::new().file("a.jsonl", lines(2_500, 2) + "{\n");
    let harness = harness.args(["report", "a.jsonl", "--format", "csv"]);
    let shown = harness.answer();
    assert_eq!((shown.code, shown.stdout.lines().count()), (Some(1), 2_501), "{}", shown.stderr);
    let written = harness.args(["--output", "a.csv"]);
    assert_eq!(written.answer().stdout, "");
    assert_eq!(written.read("a.csv"), shown.stdout);
}

/// KiB that a command holds at most while it reads `bytes` of lines through a pipe.
///
/// The end of the lines is held back until its memory was looked at.
#[cfg(target_os = "linux")]
fn most_kib(command: &str, bytes: usize) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("lines.jsonl");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let mut child = Command::new(env!("CARGO_BIN_EXE_mlxk-harness"))
        .arg(command)
        .arg(&pipe)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = child.stdout.take().unwrap();
    let reader = thread::spawn(move || output.read_to_end(&mut Vec::new()).unwrap());
    let mut file = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    let text = lines(1_000, 1_000);
    let mut written = 0;
    while written < bytes {
        file.write_all(text.as_bytes()).unwrap();
        written += text.len();
    }
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    drop(file);
    assert!(child.wait().unwrap().success());
    reader.join().unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    most.trim().trim_end_matches(" kB").parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_lines() {
    for command in ["check", "report"] {
        let [few, many] = [4 << 20, 32 << 20].map(|bytes| most_kib(command, bytes));
        // Of 28 MiB more it must not hold a quarter.
        assert!(many < few + (7 << 10), "{command}: {few} KiB, then {many} KiB");
    }
}
