//! Lines of every version, there and back.

use serde_json::{Value, json};

use super::*;
use crate::report::check_line_as;

/// As the example of November 2025 has it: a passed test with performance, of which nothing else is told.
const V0_1_0: &str = r#"{"schema_version": "0.1.0", "timestamp": "2025-11-16T10:30:00Z",
    "mlx_knife_version": "2.0.2", "test": "live/t.py::test_stop[phi]", "outcome": "passed",
    "duration": 12.5, "model": {"id": "mlx-community/phi-3", "size_gb": 2.8, "family": "phi-3"},
    "performance": {"tokens_per_sec": 45.2, "ram_peak_mb": 3200, "prompt_tokens": 15}}"#;

/// With the spellings of the schema, and no others.
const V0_2_0: &str = r#"{"schema_version": "0.2.0", "timestamp": "2025-12-20T10:00:00.25+00:00",
    "mlx_knife_version": "2.0.4b3", "test": "live/t.py::test_run[text_00]", "outcome": "passed",
    "duration": 2.25, "model": {"id": "org/x", "size_gb": 1.7, "framework": "MLX"},
    "system": {"hardware_profile": {"model_identifier": "Mac14,13", "chip_cores_performance": 8,
        "chip_cores_efficiency": 4}},
    "system_health": {"swap_gb": 1.5, "ram_free_gb": 20.5, "zombies_detected": 2}}"#;

/// As mlx-knife writes: its own spellings, and a size that is no number.
const V0_2_1: &str = r#"{"schema_version": "0.2.1", "timestamp": "2026-01-15T09:00:00.5+00:00",
    "mlx_knife_version": "2.0.4-beta.7", "test": "live/v.py::test_see[vision_02]", "outcome": "skipped",
    "duration": 0.001, "metadata": {"skip_reason": "Skipped: 49.9 GB", "inference_modality": "vision"},
    "model": {"id": "org/v", "size_gb": Infinity},
    "system_health": {"swap_used_mb": 1536, "ram_free_gb": 3.14, "zombie_processes": 1},
    "system": {"hardware_profile": {"model": "Mac14,13", "cores_physical": 12}}}"#;

const V0_2_2: &str = r#"{"schema_version": "0.2.2", "timestamp": "2026-01-30T10:00:00+00:00",
    "test_start_ts": 1769767197.5, "test_end_ts": 1769767200.0, "mlx_knife_version": "0.1.0",
    "test": "mlxk-harness::chat[x]", "outcome": "failed", "duration": 2.5, "model": {"id": "org/x"},
    "metadata": {"mlxk_harness": {"failure": {"kind": "signal"}}}}"#;

#[track_caller]
fn migrated(target: SchemaVersion, text: &str) -> Value {
    let line = Migration::new(target).line(text).unwrap();
    check_line_as(target, &line).unwrap();
    serde_json::from_str(&line).unwrap()
}

#[test]
fn memory_of_the_first_version_is_told_in_the_newer_unit() {
    let line = migrated(SchemaVersion::V0_2_0, V0_1_0);
    assert_eq!(line["schema_version"], "0.2.0");
    // 3200 / 1024.
    assert_eq!(line["performance"]["peak_ram_gb"], json!(3.125));
    assert_eq!(line["performance"]["ram_peak_mb"], json!(3200));
    let block = json!({"by": env!("CARGO_PKG_VERSION"), "from": "0.1.0",
        "derived": ["/performance/peak_ram_gb"], "metadata": "added"});
    assert_eq!(line["metadata"], json!({"mlxk_migration": block}));
}

#[test]
fn start_and_end_follow_from_timestamp_and_duration() {
    let line = migrated(SchemaVersion::V0_2_2, V0_1_0);
    // `date -u -d 2025-11-16T10:30:00Z +%s` is 1763289000.
    assert_eq!(line["test_end_ts"], json!(1_763_289_000.0));
    assert_eq!(line["test_start_ts"], json!(1_763_288_987.5));
    let without = V0_1_0.replace(r#""duration": 12.5, "#, "");
    let line = migrated(SchemaVersion::V0_2_2, &without);
    assert_eq!(line["test_end_ts"], json!(1_763_289_000.0));
    assert!(line.get("test_start_ts").is_none());
    let line = migrated(SchemaVersion::V0_2_2, &V0_1_0.replace("T10:30:00Z", " in the morning"));
    assert!(line.get("test_end_ts").is_none());
}

#[test]
fn each_spelling_follows_from_the_other() {
    let line = migrated(SchemaVersion::V0_2_2, V0_2_0);
    assert_eq!(line["system_health"]["swap_used_mb"], json!(1536));
    assert_eq!(line["system_health"]["zombie_processes"], json!(2));
    let profile = &line["system"]["hardware_profile"];
    assert_eq!((&profile["model"], &profile["cores_physical"]), (&json!("Mac14,13"), &json!(12)));
    let line = migrated(SchemaVersion::V0_2_2, V0_2_1);
    assert_eq!(line["system_health"]["swap_gb"], json!(1.5));
    assert_eq!(line["system_health"]["zombies_detected"], json!(1));
    assert_eq!(line["system"]["hardware_profile"]["model_identifier"], "Mac14,13");
}

#[test]
fn what_has_no_place_goes_below_the_metadata() {
    let line = migrated(SchemaVersion::V0_2_0, V0_2_2);
    assert!(line.get("test_start_ts").is_none());
    let block = &line["metadata"]["mlxk_migration"];
    let kept = json!({"/test_start_ts": 1_769_767_197.5, "/test_end_ts": 1_769_767_200.0});
    assert_eq!(block["kept"], kept);
    assert_eq!(block["from"], "0.2.2");
    assert_eq!(line["metadata"]["mlxk_harness"]["failure"]["kind"], "signal");
}

#[test]
fn what_the_newer_version_gives_another_type_is_kept_apart() {
    let text = V0_1_0.replace(r#""ram_peak_mb": 3200"#, r#""peak_ram_gb": "3 GB""#);
    let line = migrated(SchemaVersion::V0_2_0, &text);
    assert!(line["performance"].get("peak_ram_gb").is_none());
    let kept = &line["metadata"]["mlxk_migration"]["kept"];
    assert_eq!(kept, &json!({"/performance/peak_ram_gb": "3 GB"}));
}

#[test]
fn what_is_no_number_is_written_as_text() {
    for target in [SchemaVersion::V0_2_0, SchemaVersion::V0_2_2] {
        let line = migrated(target, V0_2_1);
        assert!(line["model"].get("size_gb").is_none());
        let numbers = &line["metadata"]["mlxk_migration"]["numbers"];
        assert_eq!(numbers, &json!({"/model/size_gb": "Infinity"}));
    }
}

#[test]
fn there_and_back_a_line_is_what_it_was() {
    for (text, there, back) in [
        (V0_2_0, SchemaVersion::V0_2_2, SchemaVersion::V0_2_0),
        (V0_2_2, SchemaVersion::V0_2_0, SchemaVersion::V0_2_2),
    ] {
        let away = Migration::new(there).line(text).unwrap();
        let line = migrated(back, &away);
        assert_eq!(line, serde_json::from_str::<Value>(text).unwrap());
    }
}

#[test]
fn a_detour_changes_nothing() {
    for text in [V0_1_0, V0_2_1] {
        let straight = migrated(SchemaVersion::V0_2_2, text);
        let detour = Migration::new(SchemaVersion::V0_2_0).line(text).unwrap();
        assert_eq!(migrated(SchemaVersion::V0_2_2, &detour), straight);
    }
}

#[test]
fn what_needs_no_change_stays_to_the_byte() {
    let sample = r#"{"ts": 1.0, "elapsed_s": NaN , "ram_free_gb": 20.0, "swap_used_mb": 0}"#;
    let sample = &sample.replace("NaN", "0.50");
    for text in [V0_2_2, sample] {
        assert_eq!(Migration::new(SchemaVersion::V0_2_2).line(text).unwrap(), text);
    }
}

#[test]
fn a_line_that_does_not_fit_its_own_version_is_refused() {
    for text in [
        V0_2_2.replace("0.2.2", "0.2.0"),
        V0_2_0.replace("passed", "done"),
        V0_2_0.replace(r#""system": {"#, r#""metadata": {"mlxk_migration": 3}, "system": {"#),
        "{".to_owned(),
    ] {
        assert!(Migration::new(SchemaVersion::V0_2_2).line(&text).is_err(), "{text}");
    }
}

#[test]
fn the_account_tells_what_was_and_was_not_derived() {
    let mut migration = Migration::new(SchemaVersion::V0_2_2);
    migration.line(V0_1_0).unwrap();
    migration.line(V0_2_2).unwrap();
    let account = migration.account();
    let records = [(SchemaVersion::V0_1_0, 1), (SchemaVersion::V0_2_2, 1)];
    assert_eq!(account.records, records.into());
    let fields: Vec<_> =
        account.fields.iter().map(|((field, fate), _)| (field.as_str(), fate)).collect();
    let expected = [
        ("/metadata/inference_modality", &Fate::Unknown),
        ("/model/framework", &Fate::Unknown),
        ("/model/quantization", &Fate::Unknown),
        ("/performance/model_load_time_s", &Fate::Unknown),
        ("/performance/peak_ram_gb", &Fate::Derived("`performance.ram_peak_mb` / 1024")),
        ("/performance/time_to_first_token_s", &Fate::Unknown),
        ("/system/hardware_profile", &Fate::Unknown),
        ("/system_health", &Fate::Unknown),
        ("/test_end_ts", &Fate::Derived("`timestamp`")),
        ("/test_start_ts", &Fate::Derived("`timestamp` - `duration`")),
    ];
    assert_eq!(fields, expected);
}
