//! Sweeps as a user runs them: cells, their names and their order, and what is refused.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use crate::weights::{self, FLOAT32, Tweak};

/// A run in `folder` of a model that follows a script.
fn run(folder: &Path, behaviour: &str, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mlxk-harness"))
        .current_dir(folder)
        .env("HF_HUB_OFFLINE", "1")
        .args(["run", &format!("scripted:{behaviour}"), "--report-output", "report.jsonl"])
        .args(more)
        .output()
        .unwrap()
}

fn lines(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("report.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a line tells of its cell: the brackets of its test, its outcome, and how many samples it has.
fn brief(line: &Value) -> String {
    let test = line["test"].as_str().unwrap();
    let sizes = test.trim_end_matches(']').split_once("scripted-").map_or(test, |(_, sizes)| sizes);
    let samples = line["metadata"]["mlxk_harness"]["samples"].as_array().map_or(0, Vec::len);
    format!("{sizes} {} {samples}", line["outcome"].as_str().unwrap())
}

#[test]
fn every_size_under_every_condition_is_a_line_with_a_name_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let sweep = [
        "--scenario",
        "throughput",
        "--prompt-tokens",
        "4,8-16*2",
        "--generation-tokens",
        "3",
        "--depth",
        "0,32",
        "--kv-bits",
        "0,8",
        "--repetitions",
        "1",
    ];
    let output = run(folder.path(), "measured", &sweep);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let lines = lines(folder.path());
    let expected = [
        "p4-g3",
        "p4-g3-kv8",
        "p4-g3-d32",
        "p4-g3-d32-kv8",
        "p8-g3",
        "p8-g3-kv8",
        "p8-g3-d32",
        "p8-g3-d32-kv8",
        "p16-g3",
        "p16-g3-kv8",
        "p16-g3-d32",
        "p16-g3-d32-kv8",
    ];
    let names: Vec<_> = lines.iter().map(brief).collect();
    assert_eq!(names, expected.map(|name| format!("{name} passed 1")));
    let hashes = |line: &Value| {
        line["metadata"]["mlxk_harness"]["configuration_sha256"].as_str().unwrap().to_owned()
    };
    let mut hashes: Vec<_> = lines.iter().map(hashes).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 12, "each has its own configuration");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("  throughput d32 kv8       16    3 "), "{table}");
}

#[test]
fn a_sweep_that_is_killed_and_resumed_gives_the_rows_of_an_undisturbed_one() {
    let sweep = [
        "--scenario",
        "throughput",
        "--prompt-tokens",
        "4,8,16",
        "--generation-tokens",
        "2,3",
        "--resume",
    ];
    let rows = |folder: &Path| lines(folder).iter().map(brief).collect::<Vec<_>>();
    let undisturbed = tempfile::tempdir().unwrap();
    assert!(run(undisturbed.path(), "measured", &sweep).status.success());
    let expected = rows(undisturbed.path());
    assert_eq!(expected.len(), 6);
    assert!(expected.iter().all(|row| row.ends_with(" passed 8")), "{expected:?}");

    let folder = tempfile::tempdir().unwrap();
    let partial = folder.path().join("report.jsonl.partial");
    let mut child = Command::new(env!("CARGO_BIN_EXE_mlxk-harness"))
        .current_dir(folder.path())
        .args(["run", "scripted:measured", "--report-output", "report.jsonl"])
        .args(sweep)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // Somewhere in the third round: a line for the run, then one for each repetition.
    let kept = || fs::read_to_string(&partial).unwrap_or_default().lines().count();
    while kept() < 1 + 14 && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(partial.exists(), "it was killed on its way");
    assert!(run(folder.path(), "measured", &sweep).status.success());
    assert_eq!(rows(folder.path()), expected);
    let samples = |line: &Value| {
        let samples = line["metadata"]["mlxk_harness"]["samples"].as_array().unwrap();
        samples.iter().map(|sample| sample["visible_us"].to_string()).collect::<Vec<_>>()
    };
    let stamps = |folder: &Path| lines(folder).iter().map(samples).collect::<Vec<_>>();
    assert_eq!(stamps(folder.path()), stamps(undisturbed.path()));
    let children = |line: &Value| {
        let samples = line["metadata"]["mlxk_harness"]["samples"].as_array().unwrap();
        let first = samples.first().unwrap()["child_since_ms"].as_u64();
        samples.iter().filter(|sample| sample["child_since_ms"].as_u64() == first).count()
    };
    let first: Vec<_> = lines(folder.path()).iter().map(children).collect();
    assert!(first.iter().all(|count| (2..8).contains(count)), "{first:?}");
}

#[test]
fn what_cannot_be_swept_is_refused_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |flags: &[&str], expected: &str| {
        let output = run(folder.path(), "measured", flags);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(expected), "{flags:?}: {said}");
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
    };
    refused(&["--prompt-tokens", "512-128"], "`512-128` ends below its beginning");
    refused(&["--prompt-tokens", "0-8*2"], "`0-8*2` never ends");
    refused(&["--prompt-tokens", "8,0"], "`--prompt-tokens` must be 1 or more, each once");
    refused(&["--depth", "8,8"], "`--depth` must be 0 or more, each once");
    refused(&["--kv-bits", "4,7"], "`--kv-bits` must be 2, 3, 4, 5, 6, 8, or 0 for dense");
    refused(&["--batch", "4"], "`--batch` is not supported yet: requests run one at a time");
    refused(&["--sync=never"], "invalid value 'never' for '--sync[=<HOW>]'");
    refused(
        &["--scenario", "chat", "--depth", "8"],
        "`--depth` is of no use without the throughput scenario",
    );
    refused(
        &["--prompt-tokens", "1-1000", "--depth", "0,1"],
        "`scripted:measured` would have more than 1000 cells",
    );
    assert!(lines(folder.path()).is_empty());
}

#[test]
fn a_dry_run_tells_the_plan_and_measures_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let plan = ["--prompt-tokens", "4,8", "--generation-tokens", "3", "--repetitions", "4"];
    let dry = |more: &[&str]| {
        let output = run(folder.path(), "measured", &[&plan, more].concat());
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let first = dry(&["--dry-run"]);
    assert_eq!(
        first,
        "[1/1] scripted:measured, memory unknown: it is not on this machine and the manifest tells \
         no size\n  \
         throughput[p4]: 4 in, 3 out, 2 + 4 repetitions, – GiB, – min\n  \
         throughput[p8]: 8 in, 3 out, 2 + 4 repetitions, – GiB, – min\n  \
         chat: at most 128 out, 2 + 4 repetitions, – GiB, – min\n\n\
         3 cells; no time is predicted for cells that are not in `report.jsonl`\n"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn a_dry_run_tells_memory_from_the_headers_and_time_from_an_earlier_report() {
    let folder = tempfile::tempdir().unwrap();
    let llama = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/llama");
    fs::create_dir(folder.path().join("llama")).unwrap();
    weights::write(&llama, FLOAT32, &folder.path().join("llama"), Tweak::default());
    let model = "./llama";
    // Of a failed line, or another cell's, nothing is told.
    let line = |name: &str, outcome: &str, seconds: f64| {
        let performance = serde_json::json!({"duration_s": seconds});
        serde_json::json!({"test": name, "outcome": outcome, "performance": performance})
    };
    let name = |p: u32| format!("mlxk-harness::throughput[llama-p{p}-g3]");
    let earlier = format!(
        "{}\n{}\n{}\n",
        line(&name(4), "passed", 30.0),
        line(&name(8), "failed", 30.0),
        line("other", "passed", 1.0)
    );
    fs::write(folder.path().join("report.jsonl"), &earlier).unwrap();
    let dry = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_mlxk-harness"))
            .current_dir(folder.path())
            .args(["run", model, "--scenario", "throughput", "--report-output", "report.jsonl"])
            .args(["--prompt-tokens", "4,8", "--generation-tokens", "3", "--repetitions", "4"])
            .arg("--dry-run")
            .args(more)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let said = dry(&[]);
    assert!(said.contains("llama, memory from the headers of its files"), "{said}");
    // Two warm-ups and four repetitions of half a minute.
    assert!(said.contains("4 in, 3 out, 2 + 4 repetitions, 0.00 GiB, 3.0 min"), "{said}");
    assert!(said.contains("8 in, 3 out, 2 + 4 repetitions, 0.00 GiB, – min"), "{said}");
    // Headers do not tell of weights that are held otherwise than in the files.
    let said = dry(&["--dtype", "bfloat16"]);
    assert!(said.contains("memory unknown: its weights are cast or unpacked"), "{said}");
    assert!(said.contains("4 in, 3 out, 2 + 4 repetitions, – GiB"), "{said}");
    assert_eq!(fs::read_to_string(folder.path().join("report.jsonl")).unwrap(), earlier);
}

#[test]
fn a_target_is_aimed_at_and_both_ways_to_decode_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let both = ["--scenario", "throughput", "--sync=both", "--target-ci", "1%", "--budget", "10m"];
    let output = run(folder.path(), "measured", &both);
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    // A scripted token takes 20 ms, and 25 where each is waited for; scripted figures do not spread.
    let gain = "(throughput[pipelined]) decodes 1.25 times as fast as waiting for each token";
    assert!(said.contains(gain), "{said}");
    assert!(!said.contains("was wanted"), "{said}");
    let lines = lines(folder.path());
    let names: Vec<_> = lines.iter().map(brief).collect();
    assert_eq!(names, ["p512-g128 passed 8", "p512-g128-sync passed 8"]);
    let ids = |line: &Value| line["metadata"]["mlxk_harness"]["samples"][0]["ids_sha256"].clone();
    assert_eq!(ids(&lines[0]), ids(&lines[1]));
    let refused = |flags: &[&str], expected: &str| {
        let output = run(folder.path(), "measured", flags);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(expected), "{said}");
        assert_eq!(output.status.code(), Some(2));
    };
    refused(&["--target-ci", "1"], "write it like `1%`");
    refused(&["--target-ci", "1%", "--budget", "10"], "write it like `90s`, `10m` or `2h`");
    refused(&["--target-ci", "1%", "--repetitions", "5"], "`--target-ci` needs 6 repetitions");
}
