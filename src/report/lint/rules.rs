//! The rules, each with the reader that stumbles.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    super::scan::{Facts, Place},
    Finding, Names, leaking,
};

/// Seconds below which mlx-knife's report takes a test for one that runs no model.
const SHORTEST: f64 = 0.5;

/// One rule about one line.
pub(super) struct Rule {
    /// What a finding is called by.
    pub(super) name: &'static str,
    /// Where a line breaks it, and what follows.
    pub(super) look: fn(&Facts<'_>) -> Option<(&'static str, &'static str)>,
}

/// All of them, in the order they are told.
pub(super) const RULES: &[Rule] = &[
    Rule { name: "duration", look: duration },
    Rule { name: "short", look: short },
    Rule { name: "model-id", look: model_id },
    Rule { name: "unnamed", look: unnamed },
    Rule { name: "health", look: health },
    Rule { name: "spelling", look: swap },
    Rule { name: "spelling", look: zombies },
    Rule { name: "spelling", look: machine },
    Rule { name: "timestamp", look: timestamp },
    Rule { name: "timing", look: timing },
    Rule { name: "modality", look: modality },
    Rule { name: "phase", look: phase },
];

/// What a rule finds.
type Found = Option<(&'static str, &'static str)>;

fn is(line: &Facts<'_>, outcome: &str) -> bool {
    line.text(Place::Outcome) == Some(outcome)
}

fn duration(line: &Facts<'_>) -> Found {
    let is_missing = !line.has(Place::Duration);
    if is_missing && is(line, "passed") {
        Some(("", "there is no `duration`: mlx-knife's report breaks on a passed line without one"))
    } else {
        (is_missing && is(line, "failed"))
            .then_some(("", "there is no `duration`: no plot can tell when the test began"))
    }
}

fn short(line: &Facts<'_>) -> Found {
    let is_short = line.number(Place::Duration).is_some_and(|seconds| seconds < SHORTEST);
    let is_of_model = line.has(Place::Model) && is(line, "passed");
    (is_short && is_of_model)
        .then_some(("/duration", "below 0.5 s mlx-knife's report leaves a test out of its tables"))
}

fn model_id(line: &Facts<'_>) -> Found {
    let message = "there is no `model.id`: mlx-knife's report breaks on a model without one";
    (line.has(Place::Model) && !line.has(Place::ModelId)).then_some(("/model", message))
}

fn unnamed(line: &Facts<'_>) -> Found {
    let reason = line.text(Place::SkipReason).unwrap_or_default();
    let is_for_memory = reason.contains("GB") || reason.contains("RAM");
    let is_unnamed = !line.has(Place::Model) && is(line, "skipped") && is_for_memory;
    is_unnamed.then_some(("", "a model was skipped and is not named: nobody can tell which"))
}

fn health(line: &Facts<'_>) -> Found {
    if !line.has(Place::Health) {
        let message =
            "there is no `system_health`: mlx-knife's report counts the line as not clean";
        return Some(("", message));
    }
    let message = "there is no `ram_free_gb`: mlx-knife's report takes that for 0, and so degraded";
    (!line.has(Place::RamFree)).then_some(("/system_health", message))
}

/// Which of two spellings stands alone: the first, declared by the schemas, or the second, read by mlx-knife.
fn alone(line: &Facts<'_>, declared: Place, read: Place) -> Found {
    match (line.has(declared), line.has(read)) {
        (true, false) => Some((
            declared.pointer(),
            "mlx-knife's report does not look at this spelling; it reads another",
        )),
        (false, true) => Some((
            read.pointer(),
            "no schema declares this spelling; readers of the schema look for another",
        )),
        _ => None,
    }
}

fn swap(line: &Facts<'_>) -> Found {
    alone(line, Place::SwapGb, Place::SwapUsedMb)
}

fn zombies(line: &Facts<'_>) -> Found {
    alone(line, Place::ZombiesDetected, Place::ZombieProcesses)
}

fn machine(line: &Facts<'_>) -> Found {
    alone(line, Place::ProfileModelIdentifier, Place::ProfileModel)
}

fn timestamp(line: &Facts<'_>) -> Found {
    let is_time = line.text(Place::Timestamp)?.parse::<Timestamp>().is_ok();
    let message = "this is no date and time with a zone: nobody can tell when the test ended";
    (!is_time).then_some(("/timestamp", message))
}

fn timing(line: &Facts<'_>) -> Found {
    let [start, end] = [Place::TestStart, Place::TestEnd].map(|place| line.number(place));
    (end? < start?).then_some(("/test_end_ts", "the test ended before it began"))
}

fn modality(line: &Facts<'_>) -> Found {
    // Nothing told it before 0.2.1.
    let is_old = matches!(line.text(Place::SchemaVersion), Some("0.1.0" | "0.2.0"));
    let is_missing = !line.has(Place::InferenceModality);
    let message = "there is no `inference_modality`: mlx-knife's report shows `-`";
    (line.has(Place::Model) && is_missing && !is_old).then_some(("/metadata", message))
}

fn phase(line: &Facts<'_>) -> Found {
    let test = line.text(Place::Test)?;
    let is_phase = test.ends_with("[vision_phase]") || test.ends_with("[text_phase]");
    let message =
        "a phase that was written by hand: its time is counted again in the test around it";
    is_phase.then_some(("/test", message))
}

/// Everything that tells where or by whom the line was made.
pub(super) fn leaks(line: &Value, names: &Names, findings: &mut Vec<Finding>) {
    walk(line, &mut String::new(), &mut |pointer, text| {
        let found = leaking(text, names);
        findings.extend(found.map(|(rule, message)| Finding::new(rule, pointer, message)));
    });
}

/// Shows `look` every text below `value` with its place, names of keys left out.
fn walk(value: &Value, pointer: &mut String, look: &mut impl FnMut(&str, &str)) {
    let length = pointer.len();
    match value {
        Value::String(text) => look(pointer, text),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                pointer.push('/');
                pointer.push_str(&at.to_string());
                walk(item, pointer, look);
                pointer.truncate(length);
            }
        }
        Value::Object(keys) => {
            for (key, item) in keys {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
                walk(item, pointer, look);
                pointer.truncate(length);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
