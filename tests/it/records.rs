//! Records of every kind of outcome: what they say, and what they leave out.

mod golden;
mod health;
mod macs;
mod measured;
mod outcomes;
mod stops;

use mlxk_harness::{
    host::{
        Host,
        fitness::{Fitness, Grade, Reason},
    },
    measure::outcome::Outcome,
    plan::{Cell, Conditions, Device, KvPacking, Sampling, Settings},
    report::{Context, Journal, Record, SchemaVersion, check_line, encode, record},
};
use serde_json::{Value, json};

use self::outcomes::{
    answered, at, bare_context, chat, context, failed, loaded, measured, skipped, throughput,
};

/// The record, once it was found to fit its schema; of a version that stays, so that a release changes no test.
fn published(context: &Context, cell: &Cell, outcome: &Outcome) -> Record {
    let mut record = record(context, cell, &Settings::default(), outcome);
    encode(&record).unwrap();
    record.metadata.as_mut().unwrap().mlxk_harness.version = "0.0.0";
    record
}

fn as_json(record: &Record) -> Value {
    serde_json::from_str(&encode(record).unwrap()).unwrap()
}

#[test]
fn figures_are_those_of_the_trace() {
    let record = published(&context(), &throughput(), &measured());
    let performance = record.performance.unwrap();
    // 2 tokens in 1/16 s and in 1/8 s: 32 and 16 a second.
    assert_eq!(performance.tokens_per_sec, Some(24.0));
    assert_eq!(performance.time_to_first_token_s, Some(0.25));
    assert_eq!(performance.peak_ram_gb, Some(2.0));
    assert_eq!(performance.ram_peak_mb, Some(2048.0));
    assert_eq!(performance.stable_ram_gb, Some(0.5));
    assert_eq!(performance.completion_tokens, Some(3));
    let ours = record.metadata.unwrap().mlxk_harness;
    // 320 tokens in 1/16 s and in 5/16 s.
    assert_eq!(ours.prompt_tokens_per_sec, Some(3072.0));
    assert_eq!(ours.first_request_time_to_first_token_s, Some(0.75));
}

#[test]
fn start_and_end_are_told_where_the_version_knows_them() {
    let context = Context { schema: SchemaVersion::V0_2_2, ..context() };
    let record = published(&context, &throughput(), &measured());
    assert_eq!(record.test_start_ts, Some(1_769_767_197.5));
    assert_eq!(record.test_end_ts, Some(1_769_767_200.0));
}

#[test]
fn a_failed_cell_keeps_its_samples_and_claims_no_figure() {
    let outcome = Outcome { trials: measured().trials, loaded: Some(loaded()), ..failed() };
    let line = as_json(&published(&context(), &throughput(), &outcome));
    assert_eq!(
        line["performance"],
        serde_json::json!({"model_load_time_s": 1.25, "stable_ram_gb": 0.5})
    );
    assert!(line["metadata"]["mlxk_harness"]["definitions"].is_null());
    let samples = line["metadata"]["mlxk_harness"]["samples"].as_array();
    assert_eq!(samples.map(Vec::len), Some(2));
}

#[test]
fn a_duration_is_the_time_spent_whatever_the_clock_says() {
    let outcome = Outcome { started: at("2026-01-30T10:01:00Z"), ..measured() };
    let record = published(&context(), &throughput(), &outcome);
    assert_eq!(record.duration, Some(2.5));
}

#[test]
fn the_fitness_of_the_machine_is_told_with_its_reasons() {
    let fitness = Fitness {
        grade: Grade::B,
        reasons: vec![Reason {
            grade: Grade::B,
            rule: "swap_used",
            text: "swap in use: 1.50 GiB".to_owned(),
        }],
        not_judged: vec!["jitter"],
    };
    let host = Host { fitness: Some(fitness), ..context().host };
    let context = Context { host, ..context() };
    let line = as_json(&published(&context, &throughput(), &measured()));
    let expected = json!({
        "grade": "B",
        "reasons": [{"grade": "B", "rule": "swap_used", "text": "swap in use: 1.50 GiB"}],
        "not_judged": ["jitter"],
    });
    assert_eq!(line["metadata"]["mlxk_harness"]["host"]["fitness"], expected);
}

#[test]
fn a_machine_that_tells_nothing_leaves_gaps_and_no_zeros() {
    let outcome = Outcome { runtime: None, ..measured() };
    let line = as_json(&published(&bare_context(), &throughput(), &outcome));
    for section in [
        "/system",
        "/system_health",
        "/metadata/mlxk_harness/host",
        "/metadata/mlxk_harness/health",
    ] {
        assert!(line.pointer(section).is_none(), "{section}");
    }
}

#[test]
fn settings_that_differ_from_the_default_are_in_the_name_and_in_the_metadata() {
    let settings = Settings {
        device: Device::Cpu,
        sampling: Sampling { temperature: 0.7, ..Sampling::default() },
        ..Settings::default()
    };
    let kv = Some(KvPacking { bits: 4, group_size: 64, start: 0 });
    let conditions = Conditions { depth: 16, kv, ..Conditions::default() };
    let cell = Cell { conditions, ..throughput() };
    let record = record(&context(), &cell, &settings, &measured());
    assert!(record.test.ends_with("-p320-g3-d16-kv4-cpu-temperature0.7]"), "{}", record.test);
    let line = as_json(&record);
    let ours = &line["metadata"]["mlxk_harness"];
    assert_eq!(ours["settings"]["device"], "cpu");
    assert_eq!(ours["cell"]["kv"], json!({"bits": 4, "group_size": 64, "start": 0}));
    assert_eq!(ours["cell"]["depth"], 16);
    assert_eq!(ours["cell"]["prefill_chunk"], 2048);
    assert_eq!(ours["cell"]["decode"], "pipelined");
}

#[test]
fn no_line_tells_where_it_was_made() {
    for (cell, outcome) in
        [(throughput(), measured()), (throughput(), failed()), (chat(), skipped())]
    {
        let text = encode(&published(&context(), &cell, &outcome)).unwrap();
        for private in ["/Users", "/home", "/Volumes", "/opt", "byron"] {
            assert!(!text.contains(private), "{private}: {text}");
        }
    }
}

#[test]
fn a_journal_holds_what_every_reader_takes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.jsonl");
    let mut journal = Journal::open(&path).unwrap();
    for outcome in [measured(), failed(), skipped()] {
        let record = published(&context(), &throughput(), &outcome);
        journal.append(&record).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 3);
    for line in text.lines() {
        check_line(line).unwrap();
    }
}

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/reports/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn mlx_knife_was_shown_the_records_of_today() {
    let context = Context { schema: SchemaVersion::V0_2_2, ..context() };
    let mut lines = String::new();
    for (cell, outcome) in [
        (throughput(), measured()),
        (chat(), answered()),
        (throughput(), failed()),
        (chat(), skipped()),
        (stops::stop(), stops::clean()),
        (stops::stop(), stops::misbehaving()),
    ] {
        lines.push_str(&encode(&published(&context, &cell, &outcome)).unwrap());
        lines.push('\n');
    }
    let path = fixture("valid/assembled.jsonl");
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(path, lines).unwrap();
    } else {
        let shown = std::fs::read_to_string(path).unwrap();
        assert!(lines == shown, "run with `UPDATE_SCHEMAS=1`, then `cargo xtask verdicts`");
    }
}

#[track_caller]
fn rendered(expected: &str) {
    let text = std::fs::read_to_string(fixture("rendered.txt")).unwrap();
    assert!(text.lines().any(|line| line.trim() == expected), "{expected}\n{text}");
}

#[test]
fn mlx_knifes_report_shows_machine_health_and_models() {
    rendered("# Benchmark Report v1.1: 2.0.8");
    rendered("**Hardware:** Mac14,13, 12 cores");
    rendered("**Tests:** 6 total (3 passed, 1 skipped)");
    rendered("Swap (MB):         min=1536, max=1536, avg=1536.0");
    rendered("RAM free (GB):     min=20.0, max=20.0, avg=20.0");
    rendered("Zombies:           min=2, max=2");
    rendered("| Qwen3-0.6B-4bit | 0.3 GB | Text | 3 | 7.5s | 20.0 |");
    rendered("| throughput | Text | 1 | Qwen3 (2.5s) | Qwen3 (2.5s) | 2.5s |");
    rendered("| chat | Text | 1 | Qwen3 (2.5s) | Qwen3 (2.5s) | 2.5s |");
    // A line that found misbehaviour is failed, and counts nowhere there.
    rendered("| stop | Text | 1 | Qwen3 (2.5s) | Qwen3 (2.5s) | 2.5s |");
}
