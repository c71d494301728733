//! What is accepted is what the validator takes, with the same findings.

use std::cell::Cell;

use proptest::{
    prelude::*,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Map, Value, json};

use super::{
    super::{lint::Linter, validate},
    *,
};

const LINES: [&str; 3] = [
    include_str!("../../../tests/fixtures/reports/valid/assembled.jsonl"),
    include_str!("../../../tests/fixtures/reports/valid/as-mlx-knife-writes.jsonl"),
    include_str!("../../../tests/fixtures/reports/rendered/2026-02-11-v2.0.4-wet.jsonl"),
];

fn names() -> Names {
    Names { user: Some("byron".to_owned()), host: Some("enchantress".to_owned()) }
}

/// Where `text` is accepted, the validator takes it as the same and finds the same in it.
#[track_caller]
fn agree(text: &str) -> bool {
    let Some(scanned) = line(text, &names()) else {
        return false;
    };
    let (kind, written) = validate::examine(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(kind, scanned.kind, "{text}");
    if kind != LineKind::Monitor {
        assert_eq!(Facts::of(&written.value), scanned.facts, "{text}");
    }
    let fast = Linter::new(names()).look(1, text).unwrap();
    assert_eq!(fast, Linter::new(names()).judge(1, text).unwrap(), "{text}");
    true
}

#[test]
fn every_schema_has_a_shape() {
    for version in SchemaVersion::ALL {
        assert!(Shape::of_version(version).is_some(), "{version}");
    }
}

#[test]
fn lines_as_they_are_written_are_accepted() {
    for text in LINES.iter().flat_map(|text| text.lines()) {
        // Only Python reads `Infinity`, and no schema describes the monitor's summary.
        let is_for_the_validator = text.contains("Infinity") || text.contains("{\"summary\"");
        assert_eq!(agree(text), !is_for_the_validator, "{text}");
    }
}

#[test]
fn whatever_mlx_knife_was_asked_about_is_judged_alike() {
    let verdicts = include_str!("../../../tests/fixtures/reports/verdicts.jsonl");
    let [mut accepted, mut all] = [0; 2];
    for verdict in verdicts.lines() {
        let verdict: Value = serde_json::from_str(verdict).unwrap();
        accepted += usize::from(agree(verdict["line"].as_str().unwrap()));
        all += 1;
    }
    assert!(all > 300 && accepted > 100, "{accepted} of {all}");
}

#[test]
fn what_only_looks_like_a_line_that_fits_is_left_to_the_validator() {
    let bare = r#"{"schema_version": "0.2.0", "timestamp": "t", "mlx_knife_version": "2.0.8", "test": "a::b", "outcome": "passed"}"#;
    assert!(agree(bare));
    for (from, to) in [
        (r#""outcome": "passed""#, r#""outcome": "done""#),
        (r#", "outcome": "passed""#, ""),
        ("2.0.8", "2.0"),
        (r#""a::b""#, "3"),
        (r#""a::b""#, "null"),
        ("}", r#", "outcome": "failed"}"#),
        ("}", r#", "duration": -1}"#),
        ("}", r#", "duration": 1e999}"#),
        ("}", r#", "test_start_ts": 1}"#),
        ("}", r#", "model": {"id": "\ud800"}}"#),
        ("}", r#", "model": {"id": "a", "id": 3}}"#),
        ("}", r#", "performance": {"prompt_tokens": 1.5}}"#),
        ("}", r#", "system_health": {"quality_flags": ["degraded_ram"]}}"#),
        ("}", r#", "contributor": {}}"#),
        ("}", "} {}"),
        ("0.2.0", "0.3.0"),
        (r#"{"schema_version": "0.2.0","#, r#"{"model": {"schema_version": "0.2.0"},"#),
        (r#"{"schema_version""#, r#"{"model": {"schema_version": "0.2.2"}, "schema_version""#),
    ] {
        let text = bare.replacen(from, to, 1);
        let text = if from == "}" { bare.replace('}', to) } else { text };
        assert_ne!(text, bare);
        assert!(line(&text, &names()).is_none(), "{text}");
    }
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let deep = bare.replace('}', &format!(r#", "metadata": {{"deep": {deep}}}}}"#));
    assert!(line(&deep, &names()).is_none());
}

/// Any value, with what is private now and then.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..40).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![
            "passed",
            "failed",
            "0.2.0",
            "0.2.2",
            "2.0.8",
            "clean",
            "degraded_ram",
            "vision",
            "",
            "/Users/ada/x",
            "see /opt/x/y",
            "by byron",
            "on Enchantress.",
            "a@b.org",
            "x.local",
            "C:\\x\\y",
            "t::chat[x][vision_phase]",
            "org/x",
            "2026-01-30T10:00:00Z",
            "\"\n\u{e9}",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let names =
            prop::sample::select(vec!["model", "id", "run", "a/b", "mlxk_harness", "size_gb"]);
        let entries = prop::collection::vec((names, inner.clone()), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            entries.prop_map(|entries| {
                let entries = entries.into_iter().map(|(name, value)| (name.to_owned(), value));
                Value::Object(entries.collect::<Map<_, _>>())
            }),
        ]
    })
}

/// Where a value is put: places that a schema or a rule speaks of, and one that none does.
fn pointer() -> impl Strategy<Value = &'static str> {
    let mut pointers: Vec<_> = Place::ALL.iter().map(|place| place.pointer()).collect();
    pointers.extend([
        "/metadata/else",
        "/model/size_gb",
        "/system_health/quality_flags/0",
        "/else",
    ]);
    pointers.extend(["/performance/prompt_tokens", "/stop_tokens/leaked", "/mlx_knife_version"]);
    prop::sample::select(pointers)
}

fn put(line: &mut Value, pointer: &str, value: Value) {
    let (above, key) = pointer.rsplit_once('/').unwrap();
    match line.pointer_mut(above) {
        Some(Value::Object(keys)) => drop(keys.insert(key.to_owned(), value)),
        Some(Value::Array(items)) => items.extend([value]),
        _ => {}
    }
}

#[test]
fn a_line_with_anything_anywhere_is_judged_alike() {
    let lines: Vec<_> = LINES.iter().flat_map(|text| text.lines()).collect();
    let changes = prop::collection::vec((pointer(), value()), 0..3);
    let cases = (0..lines.len(), changes, prop::option::of(pointer()));
    let config = ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let accepted = Cell::new(0);
    let outcome = runner.run(&cases, |(at, changes, missing)| {
        let Ok(mut value) = serde_json::from_str::<Value>(lines[at]) else {
            return Ok(());
        };
        for (pointer, new) in changes {
            put(&mut value, pointer, new);
        }
        if let Some((above, key)) = missing.and_then(|pointer| pointer.rsplit_once('/'))
            && let Some(keys) = value.pointer_mut(above).and_then(Value::as_object_mut)
        {
            keys.shift_remove(key);
        }
        accepted.set(accepted.get() + usize::from(agree(&value.to_string())));
        Ok(())
    });
    outcome.unwrap();
    assert!((400..1_600).contains(&accepted.get()), "{} of 2000", accepted.get());
}

#[test]
fn samples_of_the_monitor_are_accepted_and_records_are_none() {
    assert!(agree(&json!({"ts": 1.5, "elapsed_s": 0.2, "swap_used_mb": 0}).to_string()));
    for text in [
        r#"{"elapsed_s": "1"}"#,
        r#"{"elapsed_s": 1, "outcome": "passed"}"#,
        r#"{"elapsed_s": 1, "\u006futcome": "passed"}"#,
        r#"{"ts": "\"elapsed_s\""}"#,
    ] {
        assert!(line(text, &names()).is_none(), "{text}");
    }
}
