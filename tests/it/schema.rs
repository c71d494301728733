//! The schemas: made from the types, equal to mlx-knife's in what they take, and kept by every file.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use mlxk_harness::report::{LineKind, SchemaVersion, check_line, check_line_as, schema};
use serde::Deserialize;
use serde_json::Value;

/// Each version that has a file of its own, and mlx-knife's name for the file.
const FILES: [(SchemaVersion, &str); 3] = [
    (SchemaVersion::V0_1_0, "0.1"),
    (SchemaVersion::V0_2_0, "0.2"),
    (SchemaVersion::V0_2_2, "0.2.2"),
];

fn at(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(at(path)).unwrap()
}

#[test]
fn schema_files_are_what_the_types_make() {
    for (version, name) in FILES {
        let path = format!("schemas/report-v{name}.schema.json");
        let made = schema::text(version);
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::write(at(&path), made).unwrap();
        } else {
            assert_eq!(read(&path), made, "run with `UPDATE_SCHEMAS=1` to rewrite `{path}`");
        }
    }
}

#[test]
fn the_current_schema_is_a_link_to_the_newest() {
    let link = fs::read_link(at("schemas/report-current.schema.json")).unwrap();
    assert_eq!(link, Path::new("report-v0.2.2.schema.json"));
    assert_eq!(SchemaVersion::CURRENT.name(), "0.2.2");
}

#[test]
fn every_report_in_the_repository_fits() {
    for folder in ["reports", "tests/fixtures/reports/valid"] {
        for file in fs::read_dir(at(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
                    if let Err(error) = check_line(line) {
                        panic!("{}:{}: {error}", path.display(), number + 1);
                    }
                }
            }
        }
    }
}

/// What mlx-knife's own tools said to a line.
#[derive(Deserialize)]
struct Verdict {
    /// The schemas that it fits.
    fits: Vec<String>,
    line: String,
    /// The property that it tries.
    place: String,
    /// What mlx-knife's report does with it.
    report: String,
}

fn verdicts() -> Vec<Verdict> {
    let text = read("tests/fixtures/reports/verdicts.jsonl");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn our_schemas_take_and_refuse_what_those_of_mlx_knife_do() {
    for Verdict { fits, line, .. } in verdicts() {
        for (version, name) in FILES {
            let theirs = fits.iter().any(|fit| fit == name);
            let ours = check_line_as(version, &line);
            assert_eq!(ours.is_ok(), theirs, "{name}: {line}: {ours:?}");
        }
    }
}

/// Where mlx-knife's validator refuses a line and `check` takes it. The validator knows only the newest schema; `check` takes
/// the one that the line names, and these lines name 0.1.0, whose objects below the root are open: what it does not declare
/// there may be anything. A key of the same name meant nothing when the line was written.
const TAKEN: [&str; 15] = [
    "metadata.inference_modality",
    "model.framework",
    "model.quantization",
    "performance.cleanup_time_s",
    "performance.model_load_time_s",
    "performance.peak_ram_gb",
    "performance.stable_ram_gb",
    "performance.time_to_first_token_s",
    "system.hardware_profile",
    "system.hardware_profile.chip",
    "system.hardware_profile.chip_cores_efficiency",
    "system.hardware_profile.chip_cores_performance",
    "system.hardware_profile.gpu_cores",
    "system.hardware_profile.metal_version",
    "system.hardware_profile.model_identifier",
];

/// Where mlx-knife's validator takes a line and `check` refuses it: the line names 0.1.0 or 0.2.0 and has a key at its root
/// that came later. The root is closed, and so by the schema that the line names it does not fit; whoever reads it by that
/// schema, as mlx-knife's own older releases do, refuses it.
const REFUSED: [&str; 19] = [
    "[everything]",
    "[reader]",
    "system_health",
    "system_health.quality_flags",
    "system_health.ram_free_gb",
    "system_health.swap_gb",
    "system_health.zombies_detected",
    "test_end_ts",
    "test_start_ts",
    "timeline",
    "timeline.cleanup_complete_ms",
    "timeline.first_token_ms",
    "timeline.model_load_complete_ms",
    "timeline.model_load_start_ms",
    "timeline.request_sent_ms",
    "timeline.server_ready_ms",
    "timeline.server_start_ms",
    "timeline.shutdown_request_ms",
    "timeline.stream_complete_ms",
];

#[test]
fn check_and_mlx_knifes_validator_differ_only_about_newer_keys_in_older_lines() {
    let [mut taken, mut refused] = [const { BTreeSet::new() }; 2];
    let mut asked = [0, 0];
    for Verdict { fits, line, place, .. } in verdicts() {
        let theirs = fits.iter().any(|fit| fit == "0.2.2");
        asked[usize::from(theirs)] += 1;
        let ours = check_line(&line);
        if let Ok(LineKind::Monitor) = ours {
            assert!(!theirs, "{line}");
        } else if ours.is_ok() != theirs {
            let older = [("0.1.0", "0.1"), ("0.2.0", "0.2")];
            let named = older.iter().find(|(version, _)| line.contains(&format!("\"{version}\"")));
            let (_, schema) = named.unwrap_or_else(|| panic!("{line}: {ours:?}"));
            assert_eq!(ours.is_ok(), fits.iter().any(|fit| fit == schema), "{line}: {ours:?}");
            if theirs { &mut refused } else { &mut taken }.insert(place);
        }
    }
    assert_eq!(taken.iter().map(String::as_str).collect::<Vec<_>>(), TAKEN);
    assert_eq!(refused.iter().map(String::as_str).collect::<Vec<_>>(), REFUSED);
    assert!(asked.iter().all(|lines| *lines > 300), "{asked:?}");
}

/// The names of all properties of a schema, such as `system.hardware_profile.chip`.
fn properties(schema: &Value, above: &str, names: &mut Vec<String>) {
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let name = format!("{above}{name}");
        properties(schema, &format!("{name}."), names);
        names.push(name);
    }
}

#[test]
fn every_property_was_tried_with_what_fits_and_what_does_not() {
    let mut tried: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    for Verdict { fits, place, .. } in verdicts() {
        let is_taken = fits.iter().any(|fit| fit == "0.2.2");
        tried.entry(place).or_default()[usize::from(is_taken)] += 1;
    }
    let mut names = Vec::new();
    properties(&schema::of(SchemaVersion::CURRENT), "", &mut names);
    assert!(names.len() > 60, "{names:?}");
    for name in names {
        let [refused, taken] = tried.get(&name).copied().unwrap_or_default();
        // Only text is free of any form, and then little is refused beside other types.
        assert!(refused >= 6 && taken >= 1, "{name}: {refused} refused, {taken} taken");
    }
}

#[test]
fn mlx_knifes_report_breaks_on_a_pass_without_duration_and_a_model_without_id() {
    let asked = verdicts().into_iter().filter(|verdict| {
        verdict.report != "not asked" && verdict.fits.iter().any(|fit| fit == "0.2.2")
    });
    let mut breaks = 0;
    for Verdict { line, report, .. } in asked {
        let has_duration = line.contains(r#""duration":"#);
        let has_passed = line.contains(r#""outcome":"passed""#);
        let has_model = line.contains(r#""model":{"#);
        let has_id = line.contains(r#""id":"#);
        let breaks_it = (has_passed && !has_duration) || (has_model && !has_id);
        assert_eq!(report == "crashes", breaks_it, "{line}");
        breaks += usize::from(breaks_it);
    }
    assert!(breaks > 10, "{breaks}");
}
