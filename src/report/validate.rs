//! Judges lines by the schemas in `schemas/`: our own before they are written, anyone's on request.

use std::sync::LazyLock;

use jsonschema::{ValidationError, Validator, error::ValidationErrorKind};
use serde_json::Value;
use thiserror::Error;

use super::{
    lenient::{self, Written},
    record::Record,
    version::SchemaVersion,
};

/// Characters of a reason that is told with the value it speaks of; a longer value is left out.
const LONGEST_REASON: usize = 200;

static V0_1_0: LazyLock<Validator> =
    LazyLock::new(|| compile(include_str!("../../schemas/report-v0.1.schema.json")));
static V0_2_0: LazyLock<Validator> =
    LazyLock::new(|| compile(include_str!("../../schemas/report-v0.2.schema.json")));
static V0_2_2: LazyLock<Validator> =
    LazyLock::new(|| compile(include_str!("../../schemas/report-v0.2.2.schema.json")));

/// What a line of a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// A record that fits the schema of its version.
    Record(SchemaVersion),
    /// A sample or the summary of mlx-knife's memory monitor. No schema describes them.
    Monitor,
}

/// Why a line is no record.
#[derive(Debug, Error)]
pub enum LineError {
    /// It is not JSON, even as Python understands it.
    #[error("the line is not JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    /// It is no text: which byte of it is the first that is none, counted from 1.
    #[error("byte {0} is not UTF-8")]
    NotText(usize),
    /// It is longer than anything that is read.
    #[error("the line is longer than 64 MiB")]
    TooLong,
    /// It does not fit the schema of its version, or names none that exists.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
}

/// A value that does not fit a schema.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {reason}{more}", place = place(pointer), more = more(*others))]
pub struct Mismatch {
    /// Where it stands, as a JSON pointer; empty for the line itself.
    pub pointer: String,
    /// What is wrong with it, on one line.
    pub reason: String,
    /// How many more mismatches there are.
    pub others: usize,
}

fn place(pointer: &str) -> String {
    if pointer.is_empty() { "the line".to_owned() } else { format!("`{pointer}`") }
}

fn more(others: usize) -> String {
    match others {
        0 => String::new(),
        others => format!(" (and {others} more)"),
    }
}

/// Judges one line of a file by the schema of the version that it names, else by the newest.
///
/// Numbers may be such as only Python reads. A date is any text: mlx-knife asserts no formats.
///
/// # Errors
///
/// See [`LineError`].
pub fn check_line(text: &str) -> Result<LineKind, LineError> {
    Ok(examine(text)?.0)
}

/// What a line is, as [`check_line`] judges it, and what stands in it.
///
/// # Errors
///
/// See [`LineError`].
pub(super) fn examine(text: &str) -> Result<(LineKind, Written), LineError> {
    let line = lenient::read(text).map_err(LineError::NotJson)?;
    if is_of_monitor(&line.value) {
        return Ok((LineKind::Monitor, line));
    }
    let named = line.value.get("schema_version").and_then(Value::as_str);
    let version = named.and_then(|name| name.parse().ok());
    let version = version.unwrap_or(SchemaVersion::CURRENT);
    against(version, &line.value)?;
    Ok((LineKind::Record(version), line))
}

/// Judges one line of a file by the schema for `version`, whatever version it names.
///
/// # Errors
///
/// See [`LineError`].
pub fn check_line_as(version: SchemaVersion, text: &str) -> Result<(), LineError> {
    let line = lenient::read(text).map_err(LineError::NotJson)?;
    Ok(against(version, &line.value)?)
}

/// The first mismatch, in the order of the schema.
pub(super) fn against(version: SchemaVersion, line: &Value) -> Result<(), Mismatch> {
    let validator = match version.schema() {
        SchemaVersion::V0_1_0 => &V0_1_0,
        SchemaVersion::V0_2_0 => &V0_2_0,
        SchemaVersion::V0_2_1 | SchemaVersion::V0_2_2 => &V0_2_2,
    };
    let mut errors = validator.iter_errors(line);
    match errors.next() {
        None => Ok(()),
        Some(first) => Err(Mismatch {
            pointer: first.instance_path().to_string(),
            reason: reason(&first),
            others: errors.count(),
        }),
    }
}

/// The text of `record`, without a line break, once it fits the schema of its version.
///
/// # Errors
///
/// [`LineError`], and then the harness has a bug.
pub fn encode(record: &Record) -> Result<String, LineError> {
    let text = serde_json::to_string(record).map_err(LineError::NotJson)?;
    let line = serde_json::from_str(&text).map_err(LineError::NotJson)?;
    against(record.schema_version, &line)?;
    Ok(text)
}

pub(super) fn is_of_monitor(line: &Value) -> bool {
    let Some(keys) = line.as_object() else {
        return false;
    };
    let is_record = keys.contains_key("schema_version") || keys.contains_key("outcome");
    let is_summary = keys.len() == 1 && line["summary"].is_object();
    !is_record && (line["elapsed_s"].is_number() || is_summary)
}

fn reason(error: &ValidationError<'_>) -> String {
    let reason = if let ValidationErrorKind::Enum { options } = error.kind() {
        // The library names two choices and counts the rest.
        let names = options.as_array().into_iter().flatten();
        let names: Vec<_> = names.map(Value::to_string).collect();
        format!("{} is none of {}", error.instance(), names.join(", "))
    } else {
        error.to_string()
    };
    let reason = if reason.len() > LONGEST_REASON { error.masked().to_string() } else { reason };
    reason.replace(['\n', '\r'], " ")
}

fn compile(schema: &str) -> Validator {
    let schema = serde_json::from_str(schema).expect("is JSON: made by `report::schema`");
    jsonschema::draft7::options()
        .should_validate_formats(false)
        .build(&schema)
        .expect("is a schema: made by `report::schema`")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line that fits, with `more` keys.
    fn line(version: &str, more: &str) -> String {
        format!(
            r#"{{"schema_version": "{version}", "timestamp": "2026-01-30T10:00:00+00:00",
                "mlx_knife_version": "2.0.8", "test": "a::b", "outcome": "passed"{more}}}"#
        )
    }

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        assert_eq!(check_line(text).unwrap_err().to_string(), expected);
    }

    #[test]
    fn a_line_is_judged_by_its_own_version() {
        let timing = r#", "test_start_ts": 1.5"#;
        let kind = check_line(&line("0.2.2", timing)).unwrap();
        assert_eq!(kind, LineKind::Record(SchemaVersion::V0_2_2));
        refused(
            &line("0.2.0", timing),
            "the line: Additional properties are not allowed ('test_start_ts' was unexpected)",
        );
    }

    #[test]
    fn a_mismatch_names_its_place_and_reason() {
        refused(
            &line("0.2.0", r#", "model": {"size_gb": null}"#),
            r#"`/model/size_gb`: null is not of type "number""#,
        );
        refused(
            &line("0.2.0", r#", "system_health": {"quality_flags": ["degraded_ram", 3]}"#)
                .replace("passed", "done"),
            r#"`/outcome`: "done" is none of "passed", "failed", "skipped" (and 3 more)"#,
        );
    }

    #[test]
    fn a_version_that_does_not_exist_is_refused_by_name() {
        refused(
            &line("0.3.0", ""),
            r#"`/schema_version`: "0.3.0" is none of "0.2.2", "0.2.1", "0.2.0", "0.1.0""#,
        );
    }

    #[test]
    fn what_only_python_calls_a_number_is_taken_where_a_number_is() {
        assert!(check_line(&line("0.2.2", r#", "model": {"size_gb": Infinity}"#)).is_ok());
        assert!(check_line(&line("0.2.2", r#", "model": {"size_gb": -Infinity}"#)).is_err());
        let tokens = r#", "performance": {"prompt_tokens": Infinity}"#;
        assert!(check_line(&line("0.2.2", tokens)).is_err());
    }

    #[test]
    fn a_torn_line_is_not_json() {
        let error = check_line(r#"{"schema_version": "0.2.0", "ti"#).unwrap_err();
        assert!(matches!(error, LineError::NotJson(_)), "{error}");
    }

    #[test]
    fn samples_of_the_memory_monitor_are_their_own_kind() {
        for text in [
            r#"{"ts": 1.0, "elapsed_s": 0.2, "ram_free_gb": 20.0, "swap_used_mb": 0}"#,
            r#"{"summary": {"samples": 3, "interval_ms": 200}}"#,
        ] {
            assert_eq!(check_line(text).unwrap(), LineKind::Monitor, "{text}");
        }
        assert!(check_line(r#"{"summary": 3}"#).is_err());
        assert!(check_line(r#"{"elapsed_s": 1, "outcome": "passed"}"#).is_err());
    }

    #[test]
    fn a_long_value_is_not_repeated_in_the_reason() {
        let long = format!(r#", "model": {{"id": {:?}}}"#, vec![7; 500]);
        refused(&line("0.2.2", &long), r#"`/model/id`: value is not of type "string""#);
    }
}
