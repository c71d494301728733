//! One published line: the keys of mlx-knife's format, and the only place that spells them.
//!
//! The doc comments here and in [`super::sections`] are the descriptions in `schemas/`. Three marks
//! tell a property's standing:
//!
//! - `extend("since" = …)`: the version that declared it first; older schemas leave it out.
//! - `skip`: written but declared by no schema. Either the real readers look for this spelling, or
//!   it is ours alone.
//! - no mark: declared since 0.1.0.
//!
//! An absent value is an absent key; `null` fits no schema.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    provenance::Provenance,
    sections::{Model, Performance, StopTokens, System, SystemHealth, Timeline},
    version::{MlxKnifeVersion, SchemaVersion},
};

/// One line of a report.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub struct Record {
    /// Version of the format that this line follows.
    #[schemars(with = "String")]
    pub schema_version: SchemaVersion,
    /// When the test ended: date and time as in ISO 8601, in UTC.
    #[schemars(extend("format" = "date-time"))]
    pub timestamp: String,
    /// When the test began, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), extend("since" = "0.2.2"))]
    pub test_start_ts: Option<f64>,
    /// When the test ended, in seconds since 1970: `timestamp`, ready for arithmetic.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), extend("since" = "0.2.2"))]
    pub test_end_ts: Option<f64>,
    /// Version of mlx-knife, or of the program whose contract the line follows: three numbers, then
    /// anything.
    #[schemars(with = "String", regex(pattern = r"^\d+\.\d+\.\d+"))]
    pub mlx_knife_version: MlxKnifeVersion,
    /// What was tested: `path::name[parameters]`. Readers group by the name between the last `::`
    /// and the bracket.
    pub test: String,
    /// How it ended.
    pub outcome: Ending,
    /// Wall time of the test, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub duration: Option<f64>,
    /// The model that was tested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// What was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub performance: Option<Performance>,
    /// Which tokens should end an answer, and whether they did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_tokens: Option<StopTokens>,
    /// The machine and what runs on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<System>,
    /// How the machine was doing before the test.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("since" = "0.2.0"))]
    pub system_health: Option<SystemHealth>,
    /// When the stages of the test were reached, in milliseconds from one common zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("since" = "0.2.0"))]
    pub timeline: Option<Timeline>,
    /// Anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// Every repetition was measured.
    Passed,
    /// It went wrong.
    Failed,
    /// It was not done.
    Skipped,
}

/// Anything that has no place of its own.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub struct Metadata {
    /// What went into the model beside text, or `text`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("since" = "0.2.1"))]
    pub inference_modality: Option<Modality>,
    /// Why a test was skipped, after `Skipped: `.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub skip_reason: Option<String>,
    /// All that is ours.
    #[schemars(skip)]
    pub mlxk_harness: Provenance,
}

/// What goes into a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Modality {
    /// Images.
    Vision,
    /// Nothing but text.
    Text,
    /// Sound.
    Audio,
    /// Moving images.
    Video,
}
