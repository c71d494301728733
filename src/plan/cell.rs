//! The unit of a report: one model, one scenario, one size.

use serde::{Deserialize, Serialize};

/// What is asked of a model in one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Scenario {
    /// Exact prompt and generation lengths; stop tokens are ignored.
    Throughput,
    /// A prompt through the chat template; stop tokens end the answer.
    Chat,
    /// A fixed set of prompts, to see where answers end; not timed. Only on request.
    Stop,
}

impl Scenario {
    /// The name in reports and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Chat => "chat",
            Self::Stop => "stop",
        }
    }
}

/// A scenario with its sizes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "scenario", rename_all = "lowercase")]
pub enum Work {
    /// See [`Scenario::Throughput`].
    Throughput {
        /// Exact length of the prompt, in tokens.
        prompt_tokens: u32,
        /// Exact number of tokens to generate.
        generation_tokens: u32,
    },
    /// See [`Scenario::Chat`].
    Chat {
        /// What the user says.
        prompt: String,
        /// Tokens after which the answer is cut.
        max_tokens: u32,
    },
    /// See [`Scenario::Stop`].
    Stop {
        /// The version of the set of prompts.
        set: u32,
        /// Tokens after which every answer is cut; a prompt may have fewer.
        max_tokens: u32,
    },
}

impl Work {
    /// Which scenario this is.
    pub fn scenario(&self) -> Scenario {
        match self {
            Self::Throughput { .. } => Scenario::Throughput,
            Self::Chat { .. } => Scenario::Chat,
            Self::Stop { .. } => Scenario::Stop,
        }
    }
}

/// One line of a report to be: one model, one scenario, one size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// What is asked.
    #[serde(flatten)]
    pub work: Work,
    /// Repetitions that are run and not counted, at the least: from 2 on they go on until two in a row agree.
    pub warmup: u32,
    /// Repetitions that are measured.
    pub repetitions: u32,
}
