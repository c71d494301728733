//! `metadata.mlxk_harness`: where a line's figures come from, down to every stamp.
//!
//! No schema declares it, so it may grow. What it holds is told in `schemas/MIGRATIONS.md`.

use serde::{Serialize, Serializer};

use super::memory::MemoryDetail;
use crate::{
    host::{Health, Power, fitness::Fitness},
    measure::{
        engine::PromptKind,
        findings::TextLikelihood,
        load::LoadPhase,
        outcome::{Failure, Skip},
        rates::{FORMULAS, Formula},
        reference::Compared,
        roofline::{Decode, Prefill, Roofline},
        steadiness::{Canary, Flag},
        stop_answers::StopAnswer,
        trial::{Finish, Memory, Order, Trial},
    },
    plan::{Conditions, Scenario, Settings},
    report::statistics::Statistics,
};

/// Where a line's figures come from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Provenance {
    /// Version of the harness.
    pub version: &'static str,
    /// The id of the run, which its lines share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Hash of all that decides what is measured: model, commit, settings, cell and harness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration_sha256: Option<String>,
    /// Version of the MLX library.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mlx_version: Option<String>,
    /// Version of the `mlx-rs` crate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mlx_rs_version: Option<String>,
    /// The processor that ran the model: `cpu` or `gpu`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The commit of a hub snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// What was asked.
    pub cell: CellFacts,
    /// How the model was loaded and run.
    pub settings: Settings,
    /// Whether prompts were ids drawn at random.
    pub random_ids: bool,
    /// What its prompts were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompts: Option<PromptDetail>,
    /// Whether every prompt that was repeated was answered with the same tokens each time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers_agree: Option<bool>,
    /// How well the model foretells the shipped text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub likelihood: Option<TextLikelihood>,
    /// How greedy answers compare with those of another run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Compared>,
    /// Prompt tokens read a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_tokens_per_sec: Option<f64>,
    /// From the first request, a warm-up where there was one, until its first token, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_request_time_to_first_token_s: Option<f64>,
    /// How far repetitions agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistics: Option<Statistics>,
    /// What speaks against the figures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Flag>,
    /// Which definition each published figure follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definitions: Option<Definitions>,
    /// Every figure that the repetitions give.
    #[serde(skip_serializing_if = "Figures::is_empty")]
    pub figures: Figures,
    /// The checkpoint, where it was loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelDetail>,
    /// Fetching the model, where this run did; no part of the load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download: Option<DownloadDetail>,
    /// The load, taken apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadDetail>,
    /// Memory from three sources, where any tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryDetail>,
    /// Releasing the model, where it came to that; only the last cell of a child has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleanup: Option<CleanupDetail>,
    /// How the machine was doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthDetail>,
    /// What the model asks of the machine, what that can give, and what was made use of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roofline: Option<RooflineDetail>,
    /// The machine, as far as no schema has a place for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostDetail>,
    /// What a reader of the figures must know, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Why the cell failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Why the cell was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip: Option<Skip>,
    /// The repetitions before, which no figure counts but that of the first request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warmups: Vec<Sample>,
    /// Of the scenario `stop`: each prompt with its answers and what was found of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop_answers: Vec<StopAnswer>,
    /// The measured repetitions, in order; of a failed cell, those that ended well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
}

/// What was asked. A prompt that a user wrote may be private, so it is told by its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CellFacts {
    /// The scenario.
    pub scenario: Scenario,
    /// Exact length of the prompt, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u32>,
    /// Exact number of tokens to generate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation_tokens: Option<u32>,
    /// SHA-256 of what the user says, in UTF-8, in lower-case hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_sha256: Option<String>,
    /// Version of the set of prompts that are asked to see where answers end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_set: Option<u32>,
    /// Tokens after which the answer is cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// What it was measured under.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// Repetitions that are run and not counted.
    pub warmup: u32,
    /// Repetitions that are measured.
    pub repetitions: u32,
}

/// What the prompts of a cell were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PromptDetail {
    /// What they are made of.
    pub made_of: PromptKind,
    /// The id of the texts that throughput prompts are cut from: `file` for one of the user's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// SHA-256 of those texts, in lower-case hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_sha256: Option<String>,
    /// Different prompts among the measured repetitions.
    pub distinct: usize,
}

/// Which definition each published figure follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Definitions {
    /// Of `performance.tokens_per_sec`.
    pub tokens_per_sec: &'static str,
    /// Of `performance.time_to_first_token_s`.
    pub time_to_first_token_s: &'static str,
    /// Of `prompt_tokens_per_sec` here.
    pub prompt_tokens_per_sec: &'static str,
    /// Of `performance.peak_ram_gb` and `ram_peak_mb`.
    pub peak_ram_gb: &'static str,
    /// Of `performance.stable_ram_gb`.
    pub stable_ram_gb: &'static str,
    /// Of `timeline`.
    pub timeline: &'static str,
    /// How the repetitions of a figure become one.
    pub repetitions: &'static str,
}

/// Every figure of [`FORMULAS`] that the repetitions of a cell give, by its id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures(Vec<(&'static str, f64)>);

impl Figures {
    /// The figures of `trials` together.
    pub fn of(trials: &[Trial]) -> Self {
        let figure = |formula: &Formula| Some((formula.id, formula.over(trials)?));
        Self(FORMULAS.iter().filter_map(figure).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

/// A checkpoint as it was loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelDetail {
    /// `model_type` of its configuration.
    pub model_type: String,
    /// Parameters, packed ones counted unpacked.
    pub parameters: u64,
    /// Bytes of all parameters as loaded.
    pub parameter_bytes: u64,
    /// Bytes of all files of the model.
    pub size_bytes: u64,
    /// Quantization as loaded; absent where dense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization: Option<String>,
    /// Quantization of the files, where the loaded one differs from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_quantization: Option<String>,
    /// Element type of the activations.
    pub dtype: String,
    /// `safetensors` or `gguf`.
    pub format: String,
    /// Size of the vocabulary that the model scores.
    pub vocabulary: u32,
    /// Tokens that the model was made to attend to, where its configuration says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u32>,
}

/// What fetching a model from the hub took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DownloadDetail {
    /// Bytes of files that came.
    pub bytes: u64,
    /// From the first question to the last file.
    pub seconds: f64,
}

/// Releasing a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CleanupDetail {
    /// Microseconds until weights and buffers were released in the child.
    pub released_us: u64,
    /// Microseconds until the child was gone and its memory was the machine's again. Absent where it did not come back in ten
    /// seconds, and where the model took too little for it to be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_back_us: Option<u64>,
    /// Bytes by which more memory may be taken than before and still count as back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_bytes: Option<u64>,
}

/// How the machine was doing around a cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HealthDetail {
    /// What `free_bytes` counts: `free pages` of macOS or `MemAvailable` of Linux.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_counts: Option<&'static str>,
    /// Before its child was started.
    pub before: Health,
    /// When it had its outcome. While its child lives, only what no process needs to be started for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Health>,
}

/// A load, taken apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LoadDetail {
    /// Microseconds until the model could answer.
    pub load_us: u64,
    /// What they were made of.
    pub phases: Vec<PhaseDetail>,
    /// The part of the model's files that was in memory before, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resident_before: Option<f64>,
    /// Memory right after.
    pub memory: Memory,
}

/// A part of a load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PhaseDetail {
    /// Which, when, and how many bytes.
    #[serde(flatten)]
    pub phase: LoadPhase,
    /// Bytes a second, in units of 10⁹.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gigabytes_per_s: Option<f64>,
}

/// What was made use of, and of what.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RooflineDetail {
    /// Use of memory while tokens are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decode: Option<Decode>,
    /// Use of the processor while the prompt is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefill: Option<Prefill>,
    /// What may have kept the cell from more use of memory, where that was low.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub low_use: Vec<String>,
    /// What the model asks, what the machine can give, and how long a step takes that is waited for.
    pub measured: Roofline,
}

/// What no schema has a place for about the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HostDetail {
    /// Processor architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// The device's own name, where MLX tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
    /// Largest working set that the device recommends, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_set_bytes: Option<u64>,
    /// Whether a hypervisor stands between the system and the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_machine: Option<bool>,
    /// Whether the harness was translated by Rosetta.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub translated: Option<bool>,
    /// Load average of the last minute, before the cell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_average: Option<f64>,
    /// The system's own judgement of its memory, before the cell: 1 normal, 2 warning, 4 critical.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_pressure: Option<u32>,
    /// How far heat held the machine back before the cell: see [`crate::host::Health::thermal_level`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thermal_level: Option<u32>,
    /// Percent of its clock that the processor might use before the cell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed_limit_percent: Option<u32>,
    /// Where the power came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power: Option<Power>,
    /// Whether the system saved power.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_power_mode: Option<bool>,
    /// How busy the GPU was before the cell, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_busy_percent: Option<u32>,
    /// Of the processes that ended and were not collected, those that a program of MLX left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mlx_zombies: Option<u32>,
    /// How fit for timing the machine was before the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fitness: Option<Fitness>,
}

/// One repetition. Stamps are whole microseconds since the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Which of the prompts that a cell goes through it was, from 0.
    pub prompt: u32,
    /// Tokens of the prompt that were timed.
    pub prompt_tokens: u32,
    /// SHA-256 of the prompt's ids, each as four little-endian bytes, in lower-case hexadecimal.
    pub prompt_sha256: String,
    /// The same of the generated ids.
    pub ids_sha256: String,
    /// When the prompt was a list of ids.
    pub prompt_ready_us: u64,
    /// For each token, when the step that makes it was handed to the device.
    pub submitted_us: Vec<u64>,
    /// For each token, when the host could see it.
    pub visible_us: Vec<u64>,
    /// Which token is the first of the answer, counted from 0; absent where unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_from: Option<u32>,
    /// When the request was over and its device work had ended.
    pub ended_us: u64,
    /// Why it ended.
    pub finish: Finish,
    /// Memory during this repetition.
    pub memory: Memory,
    /// When its turn came.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// How fast the device was right after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
}
