//! The cells of a model take turns: in which order they are measured, and what a death in between leaves.

use std::{fs, process::Command};

use serde_json::Value;

/// What a run of two cells, one of 16 tokens and a chat of 32, wrote and said.
struct Ran {
    lines: Vec<Value>,
    said: String,
}

fn run(behaviour: &str, more: &[&str]) -> Ran {
    run_times(behaviour, ["4", "1"], more)
}

/// With so many repetitions and warm-ups.
fn run_times(behaviour: &str, [repetitions, warmup]: [&str; 2], more: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.jsonl");
    let output = Command::new(env!("CARGO_BIN_EXE_mlxk-harness"))
        .args(["run", &format!("scripted:{behaviour}")])
        .args(["--repetitions", repetitions, "--warmup", warmup])
        .args(["--prompt-tokens", "8", "--generation-tokens", "16", "--max-tokens", "32"])
        .args(more)
        .arg("--report-output")
        .arg(&report)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let lines = fs::read_to_string(&report).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    Ran { lines, said }
}

impl Ran {
    /// The line of a scenario.
    fn line(&self, scenario: &str) -> &Value {
        let is = |line: &&Value| line["metadata"]["mlxk_harness"]["cell"]["scenario"] == scenario;
        self.lines.iter().find(is).unwrap_or_else(|| panic!("{scenario}: {}", self.said))
    }

    /// Of a scenario's samples, child and place; children are counted from 0 in the order in which they began.
    fn order(&self, scenario: &str) -> Vec<(usize, u64)> {
        let samples = |line: &Value| {
            let samples = line["metadata"]["mlxk_harness"]["samples"].as_array().cloned();
            samples.unwrap_or_default()
        };
        let child = |sample: &Value| sample["child_since_ms"].as_u64().unwrap();
        let mut children: Vec<_> =
            self.lines.iter().flat_map(samples).map(|sample| child(&sample)).collect();
        children.sort_unstable();
        children.dedup();
        let which = |sample: &Value| children.iter().position(|other| *other == child(sample));
        let of = |sample: &Value| (which(sample).unwrap(), sample["place"].as_u64().unwrap());
        samples(self.line(scenario)).iter().map(of).collect()
    }

    fn failure(&self, scenario: &str) -> &Value {
        &self.line(scenario)["metadata"]["mlxk_harness"]["failure"]["kind"]
    }

    fn warnings(&self, scenario: &str) -> String {
        self.line(scenario)["metadata"]["mlxk_harness"]["warnings"].to_string()
    }
}

#[test]
fn cells_take_turns_repetition_by_repetition() {
    let ran = run("measured", &[]);
    // Two warm-ups, then throughput and chat in turns.
    assert_eq!(ran.order("throughput"), [(0, 2), (0, 4), (0, 6), (0, 8)]);
    assert_eq!(ran.order("chat"), [(0, 3), (0, 5), (0, 7), (0, 9)]);
    assert_eq!(ran.lines[0], *ran.line("throughput"));
}

#[test]
fn with_a_child_for_each_cell_they_come_one_after_the_other() {
    let ran = run("measured", &["--isolate", "cell"]);
    assert_eq!(ran.order("throughput"), [(0, 1), (0, 2), (0, 3), (0, 4)]);
    assert_eq!(ran.order("chat"), [(1, 1), (1, 2), (1, 3), (1, 4)]);
}

#[test]
fn warm_ups_of_one_length_agree_after_two() {
    let ran = run_times("measured", ["1", "2"], &[]);
    assert_eq!((ran.order("throughput"), ran.order("chat")), (vec![(0, 4)], vec![(0, 5)]));
}

#[test]
fn a_death_in_the_third_round_keeps_two_of_the_cell_and_the_other_goes_on_where_it_was() {
    // The fourth request: one warm-up and three repetitions.
    let ran = run("kill@decode:16#4", &[]);
    assert_eq!(ran.failure("throughput"), "sigkill");
    assert_eq!(ran.order("throughput"), [(0, 2), (0, 4)]);
    assert_eq!(ran.failure("chat"), &Value::Null);
    assert_eq!(ran.order("chat"), [(0, 3), (0, 5), (1, 1), (1, 2)]);
    let note = "2 of 4 repetitions were measured by another child, after one had ended";
    assert!(ran.warnings("chat").contains(note), "{}", ran.warnings("chat"));
    assert!(!ran.warnings("throughput").contains("another child"));
    // What went wrong behind it leaves the first cell as it was.
    let ran = run("abort@prefill:32#4", &[]);
    assert_eq!(ran.failure("chat"), "sigabrt");
    assert_eq!(ran.order("chat"), [(0, 3), (0, 5)]);
    assert_eq!(ran.order("throughput"), [(0, 2), (0, 4), (0, 6), (1, 1)]);
}

#[test]
fn a_repetition_that_fails_ends_its_cell_and_the_child_goes_on() {
    let ran = run("fail@decode:16#3", &[]);
    assert_eq!(ran.failure("throughput"), "scripted");
    assert_eq!(ran.order("throughput"), [(0, 2)]);
    assert_eq!(ran.order("chat"), [(0, 3), (0, 5), (0, 6), (0, 7)]);
    assert_eq!(ran.said.matches(": loaded in ").count(), 1);
}

#[test]
fn children_begin_after_the_machine_rested() {
    let began = |ran: &Ran, scenario: &str| {
        let sample = &ran.line(scenario)["metadata"]["mlxk_harness"]["samples"][0];
        sample["child_since_ms"].as_u64().unwrap()
    };
    let rested = run_times("measured", ["1", "1"], &["--isolate", "cell", "--cooldown", "1"]);
    let [first, second] = ["throughput", "chat"].map(|scenario| began(&rested, scenario));
    assert!(second - first >= 1_000, "{}", rested.said);
}
