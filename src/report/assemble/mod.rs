//! An outcome becomes a record.

mod figures;
mod machine;
mod origin;
mod prompts;
mod roofline;
mod stop_tokens;

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

use super::{
    family::Family,
    identity::test_name,
    record::{Ending, Metadata, Modality, Record},
    redact::{model_id, redact},
    sections::Model,
    version::{MlxKnifeVersion, SchemaVersion, Timing},
};
use crate::{
    host::{Health, Host},
    hub::Fetched,
    measure::{
        message::ModelFacts,
        outcome::{Outcome, Verdict},
    },
    plan::{Cell, Settings},
};

/// What a record tells beside its cell and outcome.
#[derive(Clone, Debug)]
pub struct Context {
    /// The version of the format to follow.
    pub schema: SchemaVersion,
    /// The value of `mlx_knife_version`.
    pub mlx_knife_version: MlxKnifeVersion,
    /// The machine.
    pub host: Host,
    /// How the machine was doing before the cell.
    pub health: Health,
    /// How it was doing right after, where that was asked.
    pub health_after: Option<Health>,
    /// When the memory of the cell's child was back, where that was waited for and seen.
    pub memory_back: Option<MemoryBack>,
    /// What is known of the model before it is loaded.
    pub model: ModelHint,
    /// Settings that a name need not tell.
    pub defaults: Settings,
    /// What tells the cell from others, where its run can be resumed.
    pub mark: Option<Mark>,
}

/// When the memory of a child was back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBack {
    /// Microseconds from the last answer until no more memory was taken than before the child was started.
    pub us: u64,
    /// Give or take so many bytes.
    pub within_bytes: u64,
}

/// What tells a cell from all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The id of its run.
    pub run: String,
    /// The hash of all that decides what is measured: see [`super::configuration`].
    pub configuration: String,
}

/// What is known of a model before it is loaded, so that a failed load names its model too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelHint {
    /// The hub id or a path; of a path only the base name is published.
    pub id: String,
    /// The commit of a hub snapshot.
    pub revision: Option<String>,
    /// Bytes of all files of the model.
    pub size_bytes: Option<u64>,
    /// What fetching it from the hub took, where this run did.
    pub fetched: Option<Fetched>,
}

/// The record of a cell.
///
/// Figures are medians over the measured repetitions, peaks are maxima. A cell that failed or was
/// skipped has no figures but those of the load. Texts for people are redacted.
pub fn record(context: &Context, cell: &Cell, settings: &Settings, outcome: &Outcome) -> Record {
    let loaded = outcome.loaded.as_ref();
    let facts = loaded.map(|loaded| &loaded.model);
    let id = facts.map_or(context.model.id.as_str(), |facts| facts.id.as_str());
    let (start, end) = match context.schema.timing() {
        Timing::EndOnly => (None, None),
        Timing::StartAndEnd => {
            (seconds_since_1970(outcome.started), seconds_since_1970(outcome.ended))
        }
    };
    Record {
        schema_version: context.schema,
        timestamp: timestamp(outcome.ended),
        test_start_ts: start,
        test_end_ts: end,
        mlx_knife_version: context.mlx_knife_version.clone(),
        test: test_name(id, cell, settings, &context.defaults),
        outcome: ending(&outcome.verdict),
        duration: Some(outcome.spent.as_secs_f64()),
        model: Some(model(id, facts, &context.model)),
        performance: figures::performance(outcome),
        stop_tokens: stop_tokens::stop_tokens(cell, outcome),
        system: machine::system(&context.host, outcome.runtime.as_ref()),
        system_health: machine::system_health(&context.health),
        timeline: figures::timeline(outcome),
        metadata: Some(Metadata {
            inference_modality: Some(Modality::Text),
            skip_reason: skip_reason(&outcome.verdict),
            mlxk_harness: origin::provenance(context, cell, settings, outcome),
        }),
    }
}

fn ending(verdict: &Verdict) -> Ending {
    match verdict {
        Verdict::Measured => Ending::Passed,
        Verdict::Skipped(_) => Ending::Skipped,
        Verdict::Failed(_) => Ending::Failed,
    }
}

/// As pytest words it, with our kind where pytest has a sentence of its own.
fn skip_reason(verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::Skipped(skip) => Some(format!("Skipped: {}: {}", skip.kind, redact(&skip.reason))),
        Verdict::Measured | Verdict::Failed(_) => None,
    }
}

fn model(id: &str, facts: Option<&ModelFacts>, hint: &ModelHint) -> Model {
    let id = model_id(id);
    let family = Family::of(id);
    let size = facts.map(|facts| facts.size_bytes).or(hint.size_bytes);
    Model {
        id: Some(id.to_owned()),
        size_gb: size.map(gibibytes).map(to_hundredths),
        family: Some(family.name.to_owned()),
        variant: Some(family.variant),
        framework: facts.map(framework),
        quantization: facts.map(quantization),
    }
}

fn framework(facts: &ModelFacts) -> String {
    match facts.format.as_str() {
        "gguf" => "GGUF".to_owned(),
        _ => "MLX".to_owned(),
    }
}

/// In mlx-knife's short form: `4-bit affine, group 64` is `4bit`, `bfloat16` is `bf16`.
fn quantization(facts: &ModelFacts) -> String {
    let Some(packed) = &facts.quantization else {
        return match facts.dtype.as_str() {
            "bfloat16" => "bf16".to_owned(),
            "float16" => "fp16".to_owned(),
            "float32" => "fp32".to_owned(),
            other => other.to_owned(),
        };
    };
    let first = packed.split([' ', ',']).next().unwrap_or(packed);
    first.replace("-bit", "bit")
}

/// With an offset and not with `Z`, which Python reads only since 3.11.
fn timestamp(time: SystemTime) -> String {
    // A clock outside the years that jiff counts is no clock.
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string()
}

fn seconds_since_1970(time: SystemTime) -> Option<f64> {
    let elapsed = time.duration_since(UNIX_EPOCH).ok()?;
    Some(elapsed.as_secs_f64())
}

/// What every reader of these files means by "GB".
fn gibibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_073_741_824.0
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

fn to_hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[track_caller]
    fn packed(quantization_of: Option<&str>, dtype: &str, expected: &str) {
        let facts = ModelFacts {
            quantization: quantization_of.map(str::to_owned),
            dtype: dtype.to_owned(),
            ..ModelFacts::default()
        };
        assert_eq!(quantization(&facts), expected);
    }

    #[test]
    fn quantization_is_told_in_its_short_form() {
        packed(Some("4-bit affine, group 64"), "bfloat16", "4bit");
        packed(Some("mxfp4, group 32"), "bfloat16", "mxfp4");
        packed(None, "bfloat16", "bf16");
        packed(None, "float16", "fp16");
        packed(None, "float8", "float8");
    }

    #[test]
    fn a_time_is_told_in_utc_to_the_microsecond() {
        // date -u -d @1769767200 is 2026-01-30 10:00:00
        let time = UNIX_EPOCH + Duration::from_nanos(1_769_767_200_123_456_789);
        assert_eq!(timestamp(time), "2026-01-30T10:00:00.123456+00:00");
        assert_eq!(timestamp(UNIX_EPOCH), "1970-01-01T00:00:00.000000+00:00");
    }

    #[test]
    fn sizes_are_in_powers_of_two() {
        // 4.22 GiB, and a little
        assert_eq!(to_hundredths(gibibytes(4_532_186_112)).to_string(), "4.22");
        assert_eq!(mebibytes(1_572_864).to_string(), "1.5");
    }
}
