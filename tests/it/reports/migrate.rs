//! `migrate`.

use mlxk_harness::cli::Exit;
use serde_json::{Value, json};

use super::{super::harness::Harness, BARE, REAL};

#[test]
fn lines_go_to_standard_output_and_the_account_does_not() {
    let line = BARE.replace(": ", ":").replace(", ", ",").replace("0.2.0", "0.2.2");
    let migrated = line.replace(
        '}',
        r#","test_end_ts":1769767200.0,"metadata":{"mlxk_migration":{"by":"VERSION","from":"0.2.0","derived":["/test_end_ts"],"metadata":"added"}}}"#,
    );
    Harness::new()
        .file("a.jsonl", format!("{BARE}\n"))
        .args(["migrate", "a.jsonl", "--to", "0.2.2"])
        .stdout(&format!("{migrated}\n").replace("VERSION", env!("CARGO_PKG_VERSION")))
        .stderr(
            "1 line of 0.2.0 to 0.2.2\n\
             derived `test_end_ts` from `timestamp` in 1 line\n\
             unknown `test_start_ts` in 1 line: nothing there tells it\n",
        )
        .exit(Exit::Ok);
}

#[test]
fn real_files_become_strict_json_and_fit() {
    let folder = Harness::new()
        .file("real.jsonl", REAL)
        .args(["--quiet", "migrate", "real.jsonl", "--to", "0.2.2", "--output", "new.jsonl"])
        .exit(Exit::Ok);
    let text = std::fs::read_to_string(folder.path().join("new.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), REAL.lines().count());
    let numbers = &lines[1]["metadata"]["mlxk_migration"]["numbers"];
    assert_eq!(numbers, &json!({"/model/size_gb": "Infinity"}));
    assert_eq!(std::fs::read_to_string(folder.path().join("real.jsonl")).unwrap(), REAL);
    let answer = Harness::new().file("new.jsonl", &text).args(["check", "new.jsonl"]).answer();
    assert_eq!(answer.code, Some(0));
    assert!(
        answer.stdout.contains("4 lines fit, 2 are of the memory monitor;"),
        "{}",
        answer.stdout
    );
}

#[test]
fn nothing_is_written_over() {
    let folder = Harness::new()
        .file("a.jsonl", BARE)
        .args(["migrate", "a.jsonl", "--to", "0.2.2", "--output", "a.jsonl"])
        .stderr(
            "error: `a.jsonl` is there already\n\n  \
             hint: name a file that is not there yet, or remove this one\n",
        )
        .exit(Exit::Usage);
    assert_eq!(std::fs::read_to_string(folder.path().join("a.jsonl")).unwrap(), BARE);
}

#[test]
fn a_line_that_means_nothing_is_left_out_and_named() {
    let answer = Harness::new()
        .file("a.jsonl", format!("{{\n{BARE}\n"))
        .args(["--quiet", "migrate", "a.jsonl", "--to", "0.2.0"])
        .answer();
    assert_eq!(answer.code, Some(Exit::No as i32));
    assert_eq!(answer.stdout, format!("{BARE}\n"));
    assert!(answer.stderr.starts_with("error: a.jsonl:1 is left out: the line is not JSON: "));
}

#[test]
fn only_what_can_be_written_can_be_asked_for() {
    let answer =
        Harness::new().file("a.jsonl", BARE).args(["migrate", "a.jsonl", "--to", "0.1.0"]).answer();
    assert_eq!(answer.code, Some(Exit::Usage as i32));
    assert!(answer.stderr.contains("[possible values: 0.2.0, 0.2.2]"), "{}", answer.stderr);
}
