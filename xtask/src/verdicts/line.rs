//! What lines to be judged are made of: the keys that each needs, and values to try.

/// What every line needs, by the schema or by mlx-knife's report. Version 0.1.0 fits every schema, so that only the case itself decides.
pub(super) const NEEDED: [(&str, &str); 6] = [
    ("schema_version", r#""0.1.0""#),
    ("timestamp", r#""2026-01-30T10:00:00+00:00""#),
    ("mlx_knife_version", r#""2.0.8""#),
    ("test", r#""a::b""#),
    ("outcome", r#""passed""#),
    ("duration", "1.5"),
];

/// One value of each kind that a schema can tell apart.
pub(super) const VALUES: [&str; 12] = [
    "null",
    "true",
    "0",
    "2.0",
    "0.5",
    "-1",
    r#""text""#,
    "[]",
    r#"["text"]"#,
    "[1]",
    "{}",
    r#"{"text":1}"#,
];

pub(super) const NUMBERS: [&str; 5] =
    ["Infinity", "-Infinity", "NaN", "1e2", "18446744073709551616"];

pub(super) const SCHEMA_VERSIONS: [&str; 10] =
    ["0.1.0", "0.2.0", "0.2.1", "0.2.2", "0.1", "0.2.3", "0.3.0", "1.0.0", "v0.2.2", "0.2.2 "];

pub(super) const PROGRAM_VERSIONS: [&str; 14] = [
    "2.0.8",
    "2.0.4b3",
    "2.0.4-beta.9",
    "0.1.0-dev",
    "10.20.30",
    "2.0.8 or so",
    "2.0",
    "2.0.",
    "v2.0.8",
    " 2.0.8",
    "2..8",
    "2.0.x",
    "unknown",
    "mlxk-harness-0.1.0",
];

pub(super) const TIMESTAMPS: [&str; 4] =
    ["2026-01-30T10:00:00Z", "2026-01-30", "yesterday", "2026-13-45T99:00:00"];

pub(super) const ENDINGS: [&str; 6] = ["passed", "failed", "skipped", "Passed", "error", ""];

/// Keys that no schema declares at the root.
pub(super) const STRANGERS: [&str; 5] = ["contributor", "seed", "mlxk_harness", "Model", ""];

/// Lines that are not made from the schema.
pub(super) const LINES: [&str; 18] = [
    "{",
    "{}",
    "[]",
    "null",
    "3",
    r#""text""#,
    "Infinity",
    "not JSON",
    "{'outcome': 'passed'}",
    r#"{"outcome":"passed",}"#,
    "[{}",
    "{} {}",
    "// nothing",
    r#"{"elapsed_s":0.2,"ram_free_gb":20.0,"swap_used_mb":0,"ts":1.0}"#,
    r#"{"summary":{"samples":3,"interval_ms":200}}"#,
    r#"{"ts":1.0,"elapsed_s":0.2,"ram_free_gb":20.0,"swap_used_mb":0,"gpu_device_util":Infinity}"#,
    r#"{"elapsed_s":0.2,"outcome":"passed"}"#,
    "\u{feff}{}",
];

/// The needed keys, with `changes` to them or beside them.
pub(super) fn with(changes: &[(&str, &str)]) -> String {
    let change = |key: &str| changes.iter().find(|(changed, _)| *changed == key);
    let mut all: Vec<_> =
        NEEDED.into_iter().map(|(key, value)| *change(key).unwrap_or(&(key, value))).collect();
    let is_new = |key: &str| NEEDED.iter().all(|(needed, _)| *needed != key);
    all.extend(changes.iter().filter(|(key, _)| is_new(key)));
    object(&all)
}

pub(super) fn object(fields: &[(&str, &str)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(key, value)| format!("{key:?}:{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_needed_key_is_changed_in_its_place() {
        assert!(with(&[("test", "1")]).contains(r#""test":1,"outcome":"passed","duration":1.5}"#));
    }
}
