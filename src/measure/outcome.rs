//! What became of a cell.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{
    findings::Findings,
    message::{Loaded, Runtime},
    roofline::doubt,
    stop_answers::StopAnswer,
    trial::Trial,
};
use crate::{plan::Need, stops::Token};

/// What became of a cell, and all that was learned on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// How it ended.
    pub verdict: Verdict,
    /// When the cell was prepared; loading the model is not part of it. Of a cell that never was, when its turn came:
    /// where loading failed, that is when its child was started.
    pub started: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// The time that was spent on it in between, without the turns of other cells.
    pub spent: Duration,
    /// The MLX that ran it, where the child got so far.
    pub runtime: Option<Runtime>,
    /// What the headers of the model's files say that it needs, where they say enough.
    pub need: Option<Need>,
    /// The stop tokens that the model's files name, where it could not be loaded; if it was, `loaded` tells them.
    pub configured: Option<Vec<Token>>,
    /// The model, where it was loaded.
    pub loaded: Option<Loaded>,
    /// Warm-up repetitions, which no figure counts.
    pub warmups: Vec<Trial>,
    /// Measured repetitions; of a failed cell, those that ended well before it failed.
    pub trials: Vec<Trial>,
    /// Answers of the scenario `stop`; of a cell that broke off, those that came before.
    pub answers: Vec<StopAnswer>,
    /// Whether prompts were ids drawn at random.
    pub random_ids: bool,
    /// What was found beside the stamps.
    pub findings: Findings,
    /// Microseconds that releasing the model took; only the last cell of a model has it, and only where its child got so
    /// far.
    pub cleanup_us: Option<u64>,
    /// What a reader of the figures must know, a sentence each.
    pub warnings: Vec<String>,
}

impl Outcome {
    /// The same, failed where the work that its repetitions claim cannot have been done.
    #[must_use]
    pub fn believed(mut self) -> Self {
        let roofline = self.loaded.as_ref().and_then(|loaded| loaded.roofline.as_ref());
        if self.verdict == Verdict::Measured
            && let Some(doubt) = roofline.and_then(|roofline| doubt(roofline, &self.trials))
        {
            self.verdict = Verdict::Failed(doubt.into());
        }
        self
    }

    /// A cell that ended so, at `at`, before anything of it began.
    pub fn unbegun(verdict: Verdict, at: SystemTime) -> Self {
        Self {
            verdict,
            started: at,
            ended: at,
            spent: Duration::ZERO,
            runtime: None,
            need: None,
            configured: None,
            loaded: None,
            warmups: Vec::new(),
            trials: Vec::new(),
            answers: Vec::new(),
            random_ids: false,
            findings: Findings::default(),
            cleanup_us: None,
            warnings: Vec::new(),
        }
    }
}

/// How a cell ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every repetition was measured.
    Measured,
    /// It could not be done with this model, or was not wanted.
    Skipped(Skip),
    /// It went wrong.
    Failed(Failure),
}

impl Verdict {
    /// Whether every repetition was measured.
    pub fn is_measured(&self) -> bool {
        matches!(self, Self::Measured)
    }
}

/// Why a cell was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skip {
    /// A stable name for machines, such as `tokenizer_missing`.
    pub kind: String,
    /// Why, for people.
    pub reason: String,
}

/// Why a cell failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Where it failed.
    pub stage: Stage,
    /// A stable name for machines, such as `tensor_missing` or `sigkill`.
    pub kind: String,
    /// What went wrong, for people: the error and its causes on one line.
    pub message: String,
    /// What can be done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The last lines that the child printed on standard error.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stderr: Vec<String>,
}

impl Failure {
    /// Somebody wanted an end.
    pub fn interrupted(stage: Stage) -> Self {
        Self::new(stage, "interrupted", "it was interrupted")
    }

    /// A failure with neither hint nor standard error.
    pub fn new(stage: Stage, kind: &str, message: impl Into<String>) -> Self {
        Self {
            stage,
            kind: kind.to_owned(),
            message: message.into(),
            hint: None,
            stderr: Vec::new(),
        }
    }
}

/// The stages of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Finding the model.
    Resolve,
    /// Reading it into memory.
    Load,
    /// Making ids of the request.
    Prompt,
    /// Reading the prompt.
    Prefill,
    /// Generating tokens.
    Decode,
    /// Releasing the model.
    Cleanup,
}
