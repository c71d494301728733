//! The lines that parent and child speak: a job on the child's standard input, messages on its standard output.
//!
//! Both are JSON, one object a line. They are private to one build of the harness, so they carry no version.

use serde::{Deserialize, Serialize};

use super::{
    findings::Finding,
    load::{LoadPhase, union_us},
    outcome::{Failure, Skip, Stage},
    roofline::{PackedRows, Roofline},
    schedule::{Aim, Task},
    stop_answers::StopAnswer,
    trial::{Memory, Trial},
};
use crate::{
    plan::{Need, Passages, Settings},
    stops::Token,
};

/// What a child is asked to do; the model is named on its command line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// A branch, tag or commit of a hub model, where the manifest names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Whether the system is asked to let go of the model's files before it is loaded.
    #[serde(default)]
    pub cold: bool,
    /// How the model is loaded and run.
    pub settings: Settings,
    /// How well figures are to be known, where that decides how often cells are repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aim: Option<Aim>,
    /// What throughput prompts are cut from, where it is not what is shipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passages: Option<Passages>,
    /// Whether a greedy answer to each prompt of a cell is wanted beside what is measured.
    #[serde(default)]
    pub greedy: bool,
    /// What is measured, each with what is known of it; messages count them from 0.
    pub cells: Vec<Task>,
}

/// What a child says, in the order it happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Message {
    /// The child lives, and MLX answered.
    Started {
        /// The MLX it runs on.
        runtime: Runtime,
    },
    /// The child lives, and is in this stage; sent twice a second from a thread that does nothing else.
    Alive {
        /// The stage.
        stage: Stage,
    },
    /// What the headers of the model's files say that it needs; nothing of it is loaded yet.
    Predicted {
        /// For any length.
        need: Need,
    },
    /// The stop tokens that the files of the model name; told where it could not be loaded.
    Configured {
        /// All of them.
        stop_tokens: Vec<Token>,
    },
    /// The model is in memory and the tokenizer is ready.
    Loaded(Box<Loaded>),
    /// A cell is prepared; this comes for every cell before the first repetition of any.
    CellStarted {
        /// Its place in the job.
        cell: usize,
        /// Whether prompts are ids drawn at random.
        random_ids: bool,
        /// What a step reads of its keys and values once they are packed, where they will be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        packed: Option<PackedRows>,
    },
    /// Something was found of a cell that no repetition tells.
    Found {
        /// The cell.
        cell: usize,
        /// What.
        finding: Finding,
    },
    /// A repetition begins.
    TrialStarted {
        /// The cell.
        cell: usize,
        /// Whether it is a warm-up, which no figure counts.
        warmup: bool,
        /// Which of the cell's warm-ups of this child, or of all its repetitions, counted from 1.
        number: u32,
    },
    /// Tokens of the prompt, or of the context before it, were read; of the prompt this is sent twice a second at most.
    Prefilled {
        /// The cell.
        cell: usize,
        /// Prompt tokens read so far.
        tokens: u32,
    },
    /// Tokens were generated; sent for the first one of a request, then twice a second at most.
    Decoded {
        /// The cell.
        cell: usize,
        /// Tokens generated so far.
        tokens: u32,
    },
    /// The repetition that began last ended.
    Trial {
        /// The cell.
        cell: usize,
        /// Whether it was a warm-up, which no figure counts.
        warmup: bool,
        /// Its stamps.
        trial: Box<Trial>,
    },
    /// The device has become slow: the repetition that began last does not count, and the child waits. It is said again
    /// while it does.
    Throttled {
        /// The cell.
        cell: usize,
    },
    /// The prompt of the scenario `stop` that began last was answered.
    Answered {
        /// The cell.
        cell: usize,
        /// What came.
        answer: Box<StopAnswer>,
    },
    /// A cell ended well.
    CellDone {
        /// The cell.
        cell: usize,
    },
    /// A cell cannot be done with this model.
    CellSkipped {
        /// The cell.
        cell: usize,
        /// Why.
        skip: Skip,
    },
    /// A cell failed; the child goes on with the others, or is done if its engine cannot.
    CellFailed {
        /// The cell.
        cell: usize,
        /// Why.
        failure: Failure,
    },
    /// The model could not be loaded: every cell of the job failed.
    LoadFailed {
        /// Why.
        failure: Failure,
    },
    /// Something a reader of the figures must know.
    Warning {
        /// The cell; all of the job where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cell: Option<usize>,
        /// A sentence without a period.
        text: String,
    },
    /// All is through that this child can do, and the model is gone.
    Done {
        /// Microseconds that releasing weights and buffers took.
        cleanup_us: u64,
    },
}

impl Message {
    /// The cell that it speaks of, if it speaks of one.
    pub fn cell_mut(&mut self) -> Option<&mut usize> {
        match self {
            Self::CellStarted { cell, .. }
            | Self::Found { cell, .. }
            | Self::TrialStarted { cell, .. }
            | Self::Prefilled { cell, .. }
            | Self::Decoded { cell, .. }
            | Self::Trial { cell, .. }
            | Self::Throttled { cell }
            | Self::Answered { cell, .. }
            | Self::CellDone { cell }
            | Self::CellSkipped { cell, .. }
            | Self::CellFailed { cell, .. } => Some(cell),
            Self::Warning { cell, .. } => cell.as_mut(),
            Self::Started { .. }
            | Self::Alive { .. }
            | Self::Predicted { .. }
            | Self::Configured { .. }
            | Self::Loaded(_)
            | Self::LoadFailed { .. }
            | Self::Done { .. } => None,
        }
    }

    /// The name of its kind, as in the line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Alive { .. } => "alive",
            Self::Predicted { .. } => "predicted",
            Self::Configured { .. } => "configured",
            Self::Loaded(_) => "loaded",
            Self::CellStarted { .. } => "cell_started",
            Self::Found { .. } => "found",
            Self::TrialStarted { .. } => "trial_started",
            Self::Prefilled { .. } => "prefilled",
            Self::Decoded { .. } => "decoded",
            Self::Trial { .. } => "trial",
            Self::Throttled { .. } => "throttled",
            Self::Answered { .. } => "answered",
            Self::CellDone { .. } => "cell_done",
            Self::CellSkipped { .. } => "cell_skipped",
            Self::CellFailed { .. } => "cell_failed",
            Self::LoadFailed { .. } => "load_failed",
            Self::Warning { .. } => "warning",
            Self::Done { .. } => "done",
        }
    }
}

/// The MLX a child runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runtime {
    /// Version of the MLX library.
    pub mlx_version: String,
    /// Version of the `mlx-rs` crate.
    pub mlx_rs_version: String,
    /// The processor in use: `cpu` or `gpu`.
    pub device: String,
    /// The device's own name, such as `Apple M2 Max`, where MLX tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
    /// Largest working set that the device recommends, in bytes; Metal only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_set_bytes: Option<u64>,
}

/// A model in memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loaded {
    /// What was loaded.
    pub model: ModelFacts,
    /// What loading was made of.
    pub phases: Vec<LoadPhase>,
    /// The part of the model's files that was in memory before, from 0 to 1, where the system tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resident_before: Option<f64>,
    /// Memory right after.
    pub memory: Memory,
    /// What the model asks of the machine and what that can give, where it was measured; no part of the load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roofline: Option<Roofline>,
}

impl Loaded {
    /// Microseconds from open until every parameter was evaluated and the tokenizer was ready.
    pub fn load_us(&self) -> u64 {
        union_us(&self.phases)
    }
}

/// What a checkpoint is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// The hub id, or a folder's or file's base name; never a path.
    pub id: String,
    /// The commit of a hub snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// `model_type` of its configuration.
    pub model_type: String,
    /// Bytes of all files of the model.
    pub size_bytes: u64,
    /// Parameters, packed ones counted unpacked.
    pub parameters: u64,
    /// Bytes of all parameters as loaded.
    pub parameter_bytes: u64,
    /// Quantization as loaded, such as `4-bit affine, group 64`; absent where dense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<String>,
    /// Quantization of the files, where the loaded one differs from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_quantization: Option<String>,
    /// Element type of the activations, such as `bfloat16`.
    pub dtype: String,
    /// `safetensors` or `gguf`.
    pub format: String,
    /// Size of the vocabulary that the model scores.
    pub vocabulary: u32,
    /// Tokens that the model was made to attend to, where its configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u32>,
    /// The stop tokens in force: their ids, and their text where there is a tokenizer.
    pub stop_tokens: Vec<Token>,
}
