//! `submit`.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use mlxk_harness::cli::Exit;
use serde_json::Value;

use super::{super::harness::Harness, BARE, REAL, WHOLE};

fn personal() -> String {
    let test = WHOLE.replace("a::b[c]", "a::b[/Users/ada/models/x-p8]");
    let stderr =
        r#", "metadata": {"stderr": ["at /opt/mlx/ops.cpp:12: bad", "by byron"]}, "system": "#;
    format!("{}\n{WHOLE}\n", test.replace(r#", "system": "#, stderr))
}

fn submit(text: &str) -> Harness {
    Harness::new()
        .file("day.jsonl", text)
        .variable("USER", "byron")
        .variable("HOME", "/srv/byron")
        .args(["submit", "day.jsonl"])
}

/// The files of a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let read = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(&path).unwrap())
    };
    files.map(read).collect()
}

#[test]
fn what_is_replaced_and_what_would_leave_is_shown() {
    let answer = submit(&personal()).args(["--dry-run"]).answer();
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let shown: Vec<_> = answer.stdout.lines().collect();
    assert_eq!(
        shown[..5],
        [
            "replaced:",
            "  line 1: `/metadata/stderr/0`: path; left is `at ops.cpp:12: bad`",
            "  line 1: `/metadata/stderr/1`: user; left is `by USER`",
            "  line 1: `/test`: home folder; left is `a::b[x-p8]`",
            "would leave this machine:",
        ]
    );
    assert!(shown[5].contains(" bytes  2026-01-30-v2.0.8-mac14-13-"), "{shown:?}");
    assert_eq!(shown.len(), 9);
    assert_eq!(answer.stderr, "nothing was written\n");
}

#[test]
fn a_bundle_is_sealed_clean_and_always_the_same() {
    let bundle = || {
        let harness = submit(&personal());
        let answer = harness.answer();
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        assert_eq!(harness.read("day.jsonl"), personal());
        let folder = harness.path("day-submission");
        let files = files(&folder);
        let sums = Command::new("sha256sum")
            .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
            .current_dir(&folder)
            .output();
        // Where there is no such program, as on macOS, nothing is compared.
        if let Ok(sums) = sums {
            assert!(sums.status.success(), "{}", String::from_utf8_lossy(&sums.stdout));
        }
        files
    };
    let files = bundle();
    assert_eq!(files, bundle());
    let (name, lines) = files.iter().find(|(name, _)| name.starts_with("2026-01-30")).unwrap();
    for secret in ["byron", "/ada", "/Users", "/opt"] {
        let tells = files.values().any(|text| text.contains(secret));
        assert!(!tells, "{secret}: {files:#?}");
    }
    // The second line had nothing personal.
    assert_eq!(lines.lines().nth(1), Some(WHOLE));
    let summary: Value = serde_json::from_str(&files["summary.json"]).unwrap();
    assert_eq!(summary["records"], 2);
    assert_eq!(summary["machines"]["Mac14,13"], 2);
    assert_eq!(summary["first"], "2026-01-30T10:00:00Z");
    let request = &files["PULL_REQUEST.md"];
    assert!(request.starts_with("# Add benchmark records of Mac14,13\n"), "{request}");
    assert!(request.contains(&format!("Put `{name}` into `reports/`")), "{request}");
    assert!(request.contains("\n- 3 personal texts were replaced"), "{request}");
    let judged = Harness::new().file(name, lines).args(["check", name]).answer();
    assert_eq!(judged.code, Some(0), "{}", judged.stdout);
    assert!(!judged.stdout.contains("[path]") && !judged.stdout.contains("[home]"));
}

#[test]
fn a_file_that_does_not_pass_check_is_not_submitted_and_its_lines_are_named() {
    let bad = WHOLE.replace("passed", "done");
    let harness = submit(&format!("{WHOLE}\n{bad}\n{{\n{{\n{{\n"));
    let answer = harness.answer();
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(Exit::No as i32), ""));
    let told: Vec<_> = answer.stderr.lines().collect();
    assert!(told[0].starts_with("error: day.jsonl:2: `/outcome`: \"done\" is none of"), "{told:?}");
    assert!(told[1].starts_with("error: day.jsonl:3: the line is not JSON"), "{told:?}");
    assert_eq!(told[3], "error: 4 lines of `day.jsonl` cannot be submitted, so nothing is");
    assert!(!harness.path("day-submission").exists());
}

#[test]
fn nothing_is_written_over_and_no_record_is_no_report() {
    let there = submit(WHOLE).file("day-submission/mine.txt", "mine");
    let answer = there.answer();
    assert_eq!(answer.code, Some(Exit::Usage as i32));
    assert!(answer.stderr.starts_with("error: `day-submission` is there already"));
    assert_eq!(there.read("day-submission/mine.txt"), "mine");
    let empty = submit("\n").answer();
    assert_eq!(empty.code, Some(Exit::No as i32));
    assert!(empty.stderr.starts_with("error: `day.jsonl` has no record"), "{}", empty.stderr);
    let missing = Harness::new().args(["submit", "no.jsonl"]).answer();
    assert_eq!(missing.code, Some(Exit::Io as i32), "{}", missing.stderr);
}

#[test]
fn words_are_hidden_and_kept_on_request() {
    let text = BARE.replace("a::b", "a::byron of acme");
    let answer = submit(&text).args(["--dry-run", "--hide", "acme", "--keep", "byron"]).answer();
    let change = "  line 1: `/test`: word; left is `a::byron of WORD`\n";
    assert!(answer.stdout.contains(change), "{}", answer.stdout);
}

#[test]
fn lines_as_mlx_knife_writes_them_have_nothing_personal_and_stay_as_they_are() {
    let harness = submit(REAL);
    let answer = harness.answer();
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    assert!(answer.stdout.starts_with("nothing personal was found\n"), "{}", answer.stdout);
    let files = files(&harness.path("day-submission"));
    assert!(files.values().any(|text| text == REAL));
}
