//! The examples in `reports/README.md` are run as they stand, with `jq` and `DuckDB` from Python's package index.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// A `jq` that is Python's binding to the same library: `jq [-r|-c] PROGRAM FILE…`.
const JQ: &str = r#"#!/usr/bin/env python3
import json, sys, jq
option, program, *files = sys.argv[1:]
for line in (line for file in files for line in open(file)):
    for value in jq.compile(program).input_text(line):
        print(value if option == "-r" and isinstance(value, str) else json.dumps(value))
"#;

/// Where Python finds both, or none where `cargo xtask test` did not put them; CI does so, and fails without.
fn packages() -> Option<PathBuf> {
    let folder = root().join(".mlx/report_tools");
    (folder.exists() || std::env::var_os("CI").is_some()).then_some(folder)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The code of the README, each block with its language.
fn blocks() -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join("reports/README.md")).unwrap();
    let parts: Vec<_> = text.split("```").collect();
    let blocks = parts.chunks(2).filter_map(|pair| pair.get(1));
    let blocks = blocks.map(|block| block.split_once('\n').unwrap());
    blocks.map(|(language, code)| (language.to_owned(), code.to_owned())).collect()
}

/// Runs a block in the root of the repository, and hands back what it prints.
#[track_caller]
fn run(language: &str, code: &str, packages: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    let jq = folder.path().join("jq");
    fs::write(&jq, JQ).unwrap();
    fs::set_permissions(&jq, fs::Permissions::from_mode(0o755)).unwrap();
    let shell = if language == "sh" { "sh" } else { "python3" };
    let path = std::env::var("PATH").unwrap();
    let output = Command::new(shell)
        .args(["-c", code])
        .current_dir(root())
        .env("PATH", format!("{}:{path}", folder.path().display()))
        .env("PYTHONPATH", packages)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{code}\n{errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_example_answers_with_what_the_reports_hold() {
    let Some(packages) = packages() else {
        return;
    };
    let blocks = blocks();
    let languages: Vec<_> = blocks.iter().map(|(language, _)| language.as_str()).collect();
    assert_eq!(languages, ["sh", "sh", "sh", "python", "python"]);
    let answers: Vec<_> =
        blocks.iter().map(|(language, code)| run(language, code, &packages)).collect();
    let reports = fs::read_dir(root().join("reports")).unwrap().map(|file| file.unwrap().path());
    let reports = reports.filter(|path| path.extension().is_some_and(|end| end == "jsonl"));
    let texts: Vec<_> = reports.map(|path| fs::read_to_string(path).unwrap()).collect();
    let lines: Vec<_> = texts.iter().flat_map(|text| text.lines()).collect();
    let passed = lines.iter().filter(|line| line.contains(r#""outcome":"passed""#)).count();
    assert!(passed > 0, "there are reports");
    assert_eq!(answers[0].lines().count(), lines.len(), "{}", answers[0]);
    assert_eq!(answers[1].lines().count(), passed, "{}", answers[1]);
    assert_eq!(answers[2].lines().count(), lines.len(), "{}", answers[2]);
    for answer in &answers {
        assert!(answer.contains("SmolLM2-135M-Instruct"), "{answer}");
    }
    // `DuckDB` draws a table of what it found.
    assert!(answers[4].matches("throughput").count() >= 1, "{}", answers[4]);
}

#[test]
fn a_wrong_example_would_be_noticed() {
    let Some(packages) = packages() else {
        return;
    };
    let code = r#"jq -r 'error("no")' reports/*.jsonl"#;
    let wrong = std::panic::catch_unwind(|| run("sh", code, &packages));
    assert!(wrong.is_err());
}
