//! A run that was killed or interrupted goes on where it was.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::hub::faults::on_small_disk;
use crate::weights::{self, FLOAT32, Tweak};

/// Kills that a run must bear.
const KILLS: u32 = 100;

/// A run in `folder` of models that follow scripts, two cells each.
fn run(folder: &Path, models: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mlxk-harness"));
    command
        .current_dir(folder)
        .arg("run")
        .args(models.iter().map(|model| format!("scripted:{model}")))
        .args(["--repetitions", "4", "--prompt-tokens", "8", "--generation-tokens", "16"])
        .args(["--max-tokens", "32", "--resume", "--report-output", "report.jsonl"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// The lines of the report: test, outcome and samples; every one must be whole.
fn lines(folder: &Path) -> Vec<(String, String, usize)> {
    let text = fs::read_to_string(folder.join("report.jsonl")).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is torn");
    let brief = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let samples = line["metadata"]["mlxk_harness"]["samples"].as_array().map_or(0, Vec::len);
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        (text("test"), text("outcome"), samples)
    };
    text.lines().map(brief).collect()
}

/// Whether a process works in `folder`; only Linux tells.
fn is_inhabited(folder: &Path) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut folders =
        processes.filter_map(|process| fs::read_link(process.path().join("cwd")).ok());
    folders.any(|other| other == folder)
}

#[test]
fn a_run_that_is_killed_a_hundred_times_publishes_what_an_undisturbed_one_does() {
    let models = ["measured", "flood@decode:32"];
    let undisturbed = tempfile::tempdir().unwrap();
    let began = Instant::now();
    assert!(run(undisturbed.path(), &models).status().unwrap().success());
    let whole = began.elapsed();
    let expected = lines(undisturbed.path());
    assert_eq!(expected.len(), 4);

    let mut state = 7_u32;
    let (mut kills, mut resumed) = (0, 0);
    while kills < KILLS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        loop {
            let mut child = run(&path, &models).spawn().unwrap();
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            thread::sleep(whole.mul_f64(f64::from(state >> 8) / f64::from(1_u32 << 24)));
            let ended = child.try_wait().unwrap();
            if let Some(status) = ended {
                assert!(status.success());
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            let has_more_to_do = path.join("report.jsonl.partial").exists();
            resumed += u32::from(has_more_to_do);
            if !has_more_to_do && !lines(&path).is_empty() {
                break; // It had published everything.
            }
            if kills >= KILLS {
                assert!(run(&path, &models).status().unwrap().success());
                break;
            }
        }
        assert_eq!(lines(&path), expected);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "nothing but the report is left");
        let gone = (0..200).any(|_| {
            thread::sleep(Duration::from_millis(50));
            !is_inhabited(&path)
        });
        assert!(gone, "a child outlives its parent");
    }
    assert!(resumed > KILLS / 4, "only {resumed} were killed with work to go on with");
}

#[test]
fn repetitions_before_an_interruption_are_not_measured_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = run(folder.path(), &["pause@prefill:16"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    said.find(|line| line.as_ref().is_ok_and(|line| line.contains("chat, repetition 1 of 4")));
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.unwrap().success());
    let rest: Vec<_> = said.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(rest.iter().any(|line| line.contains("`--resume` goes on with this run")), "{rest:?}");
    let before = lines(folder.path());
    let ends: Vec<_> = before.iter().map(|(_, end, samples)| (end.as_str(), *samples)).collect();
    assert_eq!(ends, [("failed", 2), ("failed", 1)], "the first was at its second");

    let output = run(folder.path(), &["pause@prefill:16"]).stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    for again in ["throughput, repetition 1", "throughput, repetition 2", "chat, repetition 1"] {
        assert!(!said.contains(again), "{said}");
    }
    // The one that lags behind catches up.
    let order = ["chat, repetition 2", "throughput, repetition 3", "chat, repetition 3"];
    let places: Vec<_> = order.map(|turn| said.find(turn).expect(turn)).to_vec();
    assert!(places.is_sorted(), "{said}");
    let after: Vec<_> = lines(folder.path()).split_off(2);
    let ends: Vec<_> = after.iter().map(|(_, end, samples)| (end.as_str(), *samples)).collect();
    assert_eq!(ends, [("passed", 4), ("passed", 4)]);
    assert_eq!(before[0].0, after[0].0, "it is the same test");
    let text = fs::read_to_string(folder.path().join("report.jsonl")).unwrap();
    for known in [2, 1] {
        let note = format!("{known} of 4 repetitions were measured before the run was interrupted");
        assert!(text.contains(&note), "{note}");
    }
    assert!(!folder.path().join("report.jsonl.partial").exists());
}

/// A sweep of three times two cells of a real model in `folder`, eight repetitions each.
fn sweep(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mlxk-harness"));
    command
        .current_dir(folder)
        .args(["run", "./tiny", "--scenario", "throughput", "--device", "cpu", "--resume"])
        .args(["--prompt-tokens", "4,8,16", "--generation-tokens", "6,8", "--repetitions", "8"])
        .args(["--report-output", "report.jsonl"]);
    command
}

/// Of a line's samples, child, place and prompt.
fn turns(line: &Value) -> Vec<[u64; 3]> {
    let samples = line["metadata"]["mlxk_harness"]["samples"].as_array().unwrap();
    let of = |sample: &Value| {
        ["child_since_ms", "place", "prompt"].map(|key| sample[key].as_u64().unwrap_or_default())
    };
    samples.iter().map(of).collect()
}

#[test]
fn a_sweep_of_a_real_model_that_is_killed_and_resumed_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let llama = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/llama");
    fs::create_dir(folder.path().join("tiny")).unwrap();
    weights::write(&llama, FLOAT32, &folder.path().join("tiny"), Tweak::default());
    let mut child =
        sweep(folder.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let partial = folder.path().join("report.jsonl.partial");
    // In the third round: a line for the run, then one for each repetition.
    let kept = || fs::read_to_string(&partial).unwrap_or_default().lines().count();
    while kept() < 1 + 14 && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(partial.exists() && lines(folder.path()).is_empty(), "it was killed on its way");

    let output = sweep(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!partial.exists());
    let text = fs::read_to_string(folder.path().join("report.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = lines.iter().map(|line| line["test"].as_str().unwrap()).collect();
    let expected = ["p4-g6", "p4-g8", "p8-g6", "p8-g8", "p16-g6", "p16-g8"];
    assert_eq!(names, expected.map(|sizes| format!("mlxk-harness::throughput[tiny-{sizes}-cpu]")));
    let mut all = BTreeSet::new();
    for line in &lines {
        assert_eq!(line["outcome"], "passed");
        let turns = turns(line);
        assert_eq!(turns.len(), 8);
        assert!(turns.is_sorted(), "later repetitions come later: {turns:?}");
        assert_eq!(turns.iter().map(|turn| turn[2]).collect::<Vec<_>>(), [0, 1, 2, 3, 0, 1, 2, 3]);
        let first = turns.iter().filter(|turn| turn[0] == turns[0][0]).count();
        assert!((2..8).contains(&first), "{first} before the kill");
        all.extend(turns.iter().map(|turn| [turn[0], turn[1]]));
        assert_eq!(
            line["metadata"]["mlxk_harness"]["run"],
            lines[0]["metadata"]["mlxk_harness"]["run"]
        );
    }
    assert_eq!(all.len(), 6 * 8, "no repetition stands twice");
    assert_eq!(all.iter().map(|turn| turn[0]).collect::<BTreeSet<_>>().len(), 2, "two children");

    let table = String::from_utf8(output.stdout).unwrap();
    let rows = table.lines().filter(|row| row.starts_with("  throughput "));
    let sizes: Vec<_> = rows
        .map(|row| row.split_whitespace().skip(1).take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(sizes, ["4 6", "4 8", "8 6", "8 8", "16 6", "16 8"], "{table}");
    assert!(table.ends_with("6 passed, 0 failed, 0 skipped\n"), "{table}");
    assert!(table.lines().take(15).all(|row| row.chars().count() <= 100), "{table}");
}

#[test]
fn a_disk_that_fills_up_ends_the_run_and_leaves_earlier_lines_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let can_mount = on_small_disk(folder.path(), "true").output();
    if !can_mount.is_ok_and(|output| output.status.success()) {
        return;
    }
    // Room for the beginning of a repetition or two; fifty of them make a line of some 100 KB.
    let script = "cd \"$HF_HOME\" && echo earlier > r.jsonl && head -c 188000 /dev/zero > fill && \
                  \"$0\" run scripted:measured scripted:flood@decode --repetitions 50 \
                  --scenario throughput --report-output r.jsonl > /dev/null; echo $?; cat r.jsonl";
    let output = on_small_disk(folder.path(), script)
        .arg(env!("CARGO_BIN_EXE_mlxk-harness"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "4\nearlier\n", "{said}");
    assert!(
        said.contains("warning: this run cannot be resumed: No space left on device"),
        "{said}"
    );
    assert!(said.contains("error: cannot append to the report `r.jsonl`: No space left"), "{said}");
    assert!(said.contains("hint: look at the free space"), "{said}");
    assert!(said.contains("1 of 2 models were not run"), "what follows would be lost: {said}");
}
