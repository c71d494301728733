//! `check`.

use mlxk_harness::cli::Exit;
use serde_json::{Value, json};

use super::{super::harness::Harness, BARE, REAL, WHOLE};

#[test]
fn lines_that_fit_are_counted() {
    let other = WHOLE.replace("[c]", "[d]");
    Harness::new()
        .file("report.jsonl", format!("{WHOLE}\n\n{other}\n"))
        .args(["check", "--strict", "report.jsonl"])
        .stdout("report.jsonl: 2 lines fit\n")
        .exit(Exit::Ok);
}

#[test]
fn lines_that_do_not_fit_are_named_with_their_reason() {
    let bad = WHOLE.replace(r#""passed""#, r#""done""#);
    let mut text = format!("{WHOLE}\n{bad}\n{{\n").into_bytes();
    text.extend(b"\xff\n");
    let stdout = "\
report.jsonl:2: `/outcome`: \"done\" is none of \"passed\", \"failed\", \"skipped\"
report.jsonl:3: the line is not JSON: EOF while parsing an object at line 1 column 1
report.jsonl:4: byte 1 is not UTF-8
report.jsonl: 1 line fits, 3 do not
";
    Harness::new()
        .file("report.jsonl", text)
        .args(["check", "report.jsonl"])
        .stdout(stdout)
        .exit(Exit::No);
}

#[test]
fn a_file_that_cannot_be_read_does_not_hide_the_others() {
    Harness::new()
        .file("b.jsonl", format!("{WHOLE}\n"))
        .args(["check", "a.jsonl", "b.jsonl"])
        .stdout("b.jsonl: 1 line fits\n")
        .stderr("error: cannot read `a.jsonl`: No such file or directory (os error 2)\n")
        .exit(Exit::Io);
}

const STUMBLES: &str = "\
a.jsonl:1: warning: there is no `duration`: mlx-knife's report breaks on a passed line without one [duration]
a.jsonl:1: warning: there is no `system_health`: mlx-knife's report counts the line as not clean [health]
a.jsonl: warning: no line has `system.hardware_profile.model`: it is not told which machine this was [hardware]
a.jsonl: 1 line fits; 3 warnings
";

#[test]
fn what_readers_stumble_over_is_a_no_only_where_that_is_asked_for() {
    let check = || Harness::new().file("a.jsonl", BARE).args(["check", "a.jsonl"]);
    check().stdout(STUMBLES).exit(Exit::Ok);
    check().args(["--strict"]).stdout(STUMBLES).exit(Exit::No);
}

#[test]
fn a_warning_that_comes_again_and_again_is_counted() {
    let text: String = (0..6)
        .map(|n| WHOLE.replace("2.5", "0.25").replace("[c]", &format!("[{n}]")) + "\n")
        .collect();
    let text = text.replace(r#", "system": "#, r#", "model": {"id": "org/x"}, "system": "#);
    let answer = Harness::new().file("a.jsonl", &text).args(["check", "a.jsonl"]).answer();
    let lines: Vec<_> = answer.stdout.lines().collect();
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert!(lines[2].starts_with("a.jsonl:3: warning: `/duration`: below 0.5 s "), "{lines:?}");
    let end = ["a.jsonl: warning: 3 more of [short]", "a.jsonl: 6 lines fit; 6 warnings"];
    assert_eq!(lines[3..], end);
}

#[test]
fn every_quirk_of_real_files_is_told_by_name() {
    let answer = Harness::new().file("r.jsonl", REAL).args(["check", "--json", "r.jsonl"]).answer();
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let told: Vec<Value> =
        answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (summary, told) = told.split_last().unwrap();
    let told: Vec<_> = told.iter().map(|told| (told["line"].as_u64(), &told["rule"])).collect();
    for expected in [
        (Some(1), "spelling"),
        (Some(2), "number"),
        (Some(3), "phase"),
        (Some(3), "health"),
        (Some(4), "duration"),
    ] {
        assert!(told.iter().any(|(line, rule)| (*line, *rule) == (expected.0, &json!(expected.1))));
    }
    assert_eq!(
        (&summary["fit"], &summary["unfit"], &summary["monitor"]),
        (&json!(4), &json!(0), &json!(2))
    );
}

#[test]
fn annotations_name_file_and_line() {
    let text = format!("{}\n{{\n", WHOLE.replace("a::b", "/Users/ada/b"));
    let stdout = "\
::warning file=a.jsonl,line=1,title=home::`/test`: this tells a user's folder [home]
::error file=a.jsonl,line=2,title=line::the line is not JSON: EOF while parsing an object at line 1 column 1
a.jsonl: 1 line fits, 1 does not; 1 warning
";
    Harness::new()
        .file("a.jsonl", text)
        .args(["check", "--format", "github", "a.jsonl"])
        .stdout(stdout)
        .exit(Exit::No);
}

#[test]
fn the_name_of_the_user_is_found_and_not_repeated() {
    let text = WHOLE.replace("[c]", "[of byron]");
    let stdout = "\
a.jsonl:1: warning: `/test`: this holds the name of the user [name]
a.jsonl: 1 line fits; 1 warning
";
    Harness::new()
        .file("a.jsonl", text)
        .variable("USER", "byron")
        .args(["check", "a.jsonl"])
        .stdout(stdout)
        .exit(Exit::Ok);
}

#[test]
fn our_own_lines_give_no_reader_a_reason_to_stumble() {
    // The golden lines after these name the same tests again, as no run does.
    let ours = include_str!("../../fixtures/reports/valid/assembled.jsonl");
    let ours: Vec<_> = ours.lines().take(2).collect();
    Harness::new()
        .file("a.jsonl", ours.join("\n"))
        .args(["check", "--strict", "a.jsonl"])
        .stdout("a.jsonl: 2 lines fit\n")
        .exit(Exit::Ok);
}
