//! The rules, each with the reader that stumbles.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Finding, Names,
    private::{self, Leak},
};

/// Seconds below which mlx-knife's report takes a test for one that runs no model.
const SHORTEST: f64 = 0.5;

/// One rule about one line.
pub(super) struct Rule {
    /// What a finding is called by.
    pub(super) name: &'static str,
    /// Where a line breaks it, and what follows.
    pub(super) look: fn(&Value) -> Option<(&'static str, &'static str)>,
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

fn text<'a>(line: &'a Value, pointer: &str) -> Option<&'a str> {
    line.pointer(pointer).and_then(Value::as_str)
}

fn number(line: &Value, pointer: &str) -> Option<f64> {
    line.pointer(pointer).and_then(Value::as_f64)
}

fn is(line: &Value, outcome: &str) -> bool {
    text(line, "/outcome") == Some(outcome)
}

fn duration(line: &Value) -> Found {
    let is_missing = line.get("duration").is_none();
    if is_missing && is(line, "passed") {
        Some(("", "there is no `duration`: mlx-knife's report breaks on a passed line without one"))
    } else {
        (is_missing && is(line, "failed"))
            .then_some(("", "there is no `duration`: no plot can tell when the test began"))
    }
}

fn short(line: &Value) -> Found {
    let is_short = number(line, "/duration").is_some_and(|seconds| seconds < SHORTEST);
    let is_of_model = line.get("model").is_some() && is(line, "passed");
    (is_short && is_of_model)
        .then_some(("/duration", "below 0.5 s mlx-knife's report leaves a test out of its tables"))
}

fn model_id(line: &Value) -> Found {
    let model = line.get("model")?;
    let message = "there is no `model.id`: mlx-knife's report breaks on a model without one";
    model.get("id").is_none().then_some(("/model", message))
}

fn unnamed(line: &Value) -> Found {
    let reason = text(line, "/metadata/skip_reason").unwrap_or_default();
    let is_for_memory = reason.contains("GB") || reason.contains("RAM");
    let is_unnamed = line.get("model").is_none() && is(line, "skipped") && is_for_memory;
    is_unnamed.then_some(("", "a model was skipped and is not named: nobody can tell which"))
}

fn health(line: &Value) -> Found {
    let Some(health) = line.get("system_health") else {
        let message =
            "there is no `system_health`: mlx-knife's report counts the line as not clean";
        return Some(("", message));
    };
    let message = "there is no `ram_free_gb`: mlx-knife's report takes that for 0, and so degraded";
    health.get("ram_free_gb").is_none().then_some(("/system_health", message))
}

/// Which of two spellings stands alone: the first, declared by the schemas, or the second, read by mlx-knife.
fn alone(line: &Value, declared: &'static str, read: &'static str) -> Found {
    match (line.pointer(declared), line.pointer(read)) {
        (Some(_), None) => {
            Some((declared, "mlx-knife's report does not look at this spelling; it reads another"))
        }
        (None, Some(_)) => {
            Some((read, "no schema declares this spelling; readers of the schema look for another"))
        }
        _ => None,
    }
}

fn swap(line: &Value) -> Found {
    alone(line, "/system_health/swap_gb", "/system_health/swap_used_mb")
}

fn zombies(line: &Value) -> Found {
    alone(line, "/system_health/zombies_detected", "/system_health/zombie_processes")
}

fn machine(line: &Value) -> Found {
    alone(line, "/system/hardware_profile/model_identifier", "/system/hardware_profile/model")
}

fn timestamp(line: &Value) -> Found {
    let is_time = text(line, "/timestamp")?.parse::<Timestamp>().is_ok();
    let message = "this is no date and time with a zone: nobody can tell when the test ended";
    (!is_time).then_some(("/timestamp", message))
}

fn timing(line: &Value) -> Found {
    let [start, end] = ["/test_start_ts", "/test_end_ts"].map(|pointer| number(line, pointer));
    (end? < start?).then_some(("/test_end_ts", "the test ended before it began"))
}

fn modality(line: &Value) -> Found {
    let has_model = line.get("model").is_some();
    // Nothing told it before 0.2.1.
    let is_old = matches!(text(line, "/schema_version"), Some("0.1.0" | "0.2.0"));
    let is_missing = line.pointer("/metadata/inference_modality").is_none();
    let message = "there is no `inference_modality`: mlx-knife's report shows `-`";
    (has_model && is_missing && !is_old).then_some(("/metadata", message))
}

fn phase(line: &Value) -> Found {
    let test = text(line, "/test")?;
    let is_phase = test.ends_with("[vision_phase]") || test.ends_with("[text_phase]");
    let message =
        "a phase that was written by hand: its time is counted again in the test around it";
    is_phase.then_some(("/test", message))
}

/// Everything that tells where or by whom the line was made.
pub(super) fn leaks(line: &Value, names: &Names, findings: &mut Vec<Finding>) {
    walk(line, &mut String::new(), &mut |pointer, text| {
        let Some(leak) = private::leak(text, names) else {
            return;
        };
        let (rule, message) = match leak {
            Leak::Home => ("home", "this tells a user's folder"),
            Leak::Path => ("path", "this holds an absolute path"),
            Leak::User => ("name", "this holds the name of the user"),
            Leak::Host => ("name", "this holds the name of a machine"),
            Leak::Address => ("name", "this holds an e-mail address"),
        };
        findings.push(Finding::new(rule, pointer, message));
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
