//! Which fields follow from others, and which nothing in an older line tells.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::SchemaVersion;

/// MiB of a GiB.
const MIB: f64 = 1024.0;

/// A field that follows from others.
pub(super) struct Derivation {
    /// Its JSON pointer.
    pub(super) field: &'static str,
    /// The version that declared it, or that its declared spelling came with.
    pub(super) since: SchemaVersion,
    /// What it follows from, for people.
    pub(super) from: &'static str,
    /// Its value; none where the line does not tell it.
    pub(super) make: fn(&Value) -> Option<Value>,
}

/// All of them.
pub(super) const DERIVATIONS: &[Derivation] = &[
    Derivation {
        field: "/performance/peak_ram_gb",
        since: SchemaVersion::V0_2_0,
        from: "`performance.ram_peak_mb` / 1024",
        make: |line| Some(json!(number(line, "/performance/ram_peak_mb")? / MIB)),
    },
    Derivation {
        field: "/system_health/swap_gb",
        since: SchemaVersion::V0_2_0,
        from: "`system_health.swap_used_mb` / 1024",
        make: |line| Some(json!(number(line, "/system_health/swap_used_mb")? / MIB)),
    },
    Derivation {
        field: "/system_health/swap_used_mb",
        since: SchemaVersion::V0_2_0,
        from: "`system_health.swap_gb` × 1024",
        make: |line| whole(number(line, "/system_health/swap_gb")? * MIB),
    },
    Derivation {
        field: "/system_health/zombies_detected",
        since: SchemaVersion::V0_2_0,
        from: "`system_health.zombie_processes`",
        make: |line| whole(number(line, "/system_health/zombie_processes")?),
    },
    Derivation {
        field: "/system_health/zombie_processes",
        since: SchemaVersion::V0_2_0,
        from: "`system_health.zombies_detected`",
        make: |line| whole(number(line, "/system_health/zombies_detected")?),
    },
    Derivation {
        field: "/system/hardware_profile/model_identifier",
        since: SchemaVersion::V0_2_0,
        from: "`system.hardware_profile.model`",
        make: |line| text(line, "/system/hardware_profile/model"),
    },
    Derivation {
        field: "/system/hardware_profile/model",
        since: SchemaVersion::V0_2_0,
        from: "`system.hardware_profile.model_identifier`",
        make: |line| text(line, "/system/hardware_profile/model_identifier"),
    },
    Derivation {
        field: "/system/hardware_profile/cores_physical",
        since: SchemaVersion::V0_2_0,
        from: "`chip_cores_performance` + `chip_cores_efficiency`",
        make: |line| {
            let performance = number(line, "/system/hardware_profile/chip_cores_performance")?;
            whole(performance + number(line, "/system/hardware_profile/chip_cores_efficiency")?)
        },
    },
    Derivation {
        field: "/test_end_ts",
        since: SchemaVersion::V0_2_2,
        from: "`timestamp`",
        make: |line| seconds(end(line)?),
    },
    Derivation {
        field: "/test_start_ts",
        since: SchemaVersion::V0_2_2,
        from: "`timestamp` - `duration`",
        make: |line| seconds(end(line)? - number(line, "/duration")? * 1e6),
    },
];

/// A field that no older line tells.
pub(super) struct Unknown {
    pub(super) field: &'static str,
    pub(super) since: SchemaVersion,
    /// Whether a line of its kind could have it.
    pub(super) applies: fn(&Value) -> bool,
}

/// What people should know to be missing.
pub(super) const UNKNOWN: &[Unknown] = &[
    Unknown { field: "/model/framework", since: SchemaVersion::V0_2_0, applies: has_model },
    Unknown { field: "/model/quantization", since: SchemaVersion::V0_2_0, applies: has_model },
    Unknown {
        field: "/performance/model_load_time_s",
        since: SchemaVersion::V0_2_0,
        applies: has_performance,
    },
    Unknown {
        field: "/performance/time_to_first_token_s",
        since: SchemaVersion::V0_2_0,
        applies: has_performance,
    },
    Unknown {
        field: "/performance/peak_ram_gb",
        since: SchemaVersion::V0_2_0,
        applies: has_performance,
    },
    Unknown { field: "/system/hardware_profile", since: SchemaVersion::V0_2_0, applies: |_| true },
    Unknown { field: "/system_health", since: SchemaVersion::V0_2_0, applies: |_| true },
    Unknown {
        field: "/metadata/inference_modality",
        since: SchemaVersion::V0_2_1,
        applies: has_model,
    },
    Unknown { field: "/test_start_ts", since: SchemaVersion::V0_2_2, applies: |_| true },
    Unknown { field: "/test_end_ts", since: SchemaVersion::V0_2_2, applies: |_| true },
];

fn has_model(line: &Value) -> bool {
    line.get("model").is_some()
}

fn has_performance(line: &Value) -> bool {
    line.get("performance").is_some()
}

fn number(line: &Value, pointer: &str) -> Option<f64> {
    line.pointer(pointer).and_then(Value::as_f64)
}

fn text(line: &Value, pointer: &str) -> Option<Value> {
    line.pointer(pointer).filter(|value| value.is_string()).cloned()
}

/// Microseconds from 1970 to the end of the test.
fn end(line: &Value) -> Option<f64> {
    let end: Timestamp = line.get("timestamp")?.as_str()?.parse().ok()?;
    Some(end.as_microsecond() as f64)
}

/// Of whole microseconds, in seconds; before 1970 there was no test.
fn seconds(microseconds: f64) -> Option<Value> {
    (microseconds >= 0.0).then(|| json!(microseconds.round() / 1e6))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked right before")]
fn whole(value: f64) -> Option<Value> {
    let is_count = (0.0..1e15).contains(&value.round());
    is_count.then(|| json!(value.round() as u64))
}
