//! What can be timed.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    findings::TextLikelihood,
    outcome::{Failure, Stage},
    reference::Greedy,
    roofline::{PackedRows, Roofline},
    trial::{Finish, Memory},
};
use crate::{
    plan::{Cell, Conditions, Sampling},
    stops::{Rules, Terms, Transcript},
};

/// Something that answers requests and can be timed while it does.
pub trait Engine {
    /// Gets ready for `cell` outside of any timing, and says what the prompt will be made of.
    ///
    /// # Errors
    ///
    /// [`EngineError::Refused`] where this model cannot do that work at all.
    fn prepare(&mut self, cell: &Cell) -> Result<Prepared, EngineError>;

    /// Gets ready for `ask` outside of any timing: where its cell has a depth, so many tokens are in the cache when this
    /// returns, and nothing is left to do on the device. `read` hears how many were read.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    fn fill(&mut self, ask: Ask<'_>, read: &mut dyn FnMut(u32)) -> Result<(), EngineError>;

    /// Answers `ask`, for which it was filled, reporting each step as soon as the host can see it; [`Event`] tells the order.
    ///
    /// The request begins when this is called: tokenization and template are part of it. It ends when this returns: no
    /// work may then be left on the device.
    ///
    /// # Errors
    ///
    /// When a stage of the request fails.
    fn generate(
        &mut self,
        ask: Ask<'_>,
        seen: &mut dyn FnMut(Event),
    ) -> Result<Answer, EngineError>;

    /// How well the model foretells the first tokens of the shipped text, with keys and values packed as `conditions`
    /// say; nothing where it has no tokenizer, or none is wanted. No part of any request.
    ///
    /// # Errors
    ///
    /// When the model cannot read it.
    fn likelihood(
        &mut self,
        conditions: &Conditions,
    ) -> Result<Option<TextLikelihood>, EngineError> {
        let _ = conditions;
        Ok(None)
    }

    /// Does a small piece of work on the device, always the same, so that its time tells how fast the device is now.
    ///
    /// # Errors
    ///
    /// When the device refuses it.
    fn canary(&mut self) -> Result<(), EngineError>;

    /// Looks once more at what the model asks and the machine can give; nothing where that is not known.
    ///
    /// # Errors
    ///
    /// When the device refuses what is tried.
    fn roofline(&mut self) -> Result<Option<Roofline>, EngineError> {
        Ok(None)
    }

    /// What the model's files say of its turns.
    fn terms(&self) -> Terms {
        Terms::default()
    }

    /// Answers `question` through the chat template under `rules`, and tells after each token how many came.
    ///
    /// # Errors
    ///
    /// When a stage of the request fails.
    fn ask(
        &mut self,
        question: &StopQuestion<'_>,
        rules: &Rules,
        seen: &mut dyn FnMut(u32),
    ) -> Result<Transcript, EngineError> {
        let _ = (question, rules, seen);
        let reason = "it answers no single prompts".to_owned();
        Err(EngineError::Refused { kind: "stop_unsupported", reason })
    }

    /// Answers a prompt of `cell`, which was prepared, greedily, with what else could have come in the place of each token;
    /// nothing where the engine does not know. No part of any request.
    ///
    /// # Errors
    ///
    /// When the model cannot answer.
    fn answer_greedily(&mut self, cell: &Cell, prompt: u32) -> Result<Option<Greedy>, EngineError> {
        let _ = (cell, prompt);
        Ok(None)
    }

    /// Forgets earlier peaks, so that the next [`Self::memory`] speaks of what follows.
    fn reset_peak_memory(&mut self);

    /// What is held now, and at the most since the last reset.
    fn memory(&self) -> Memory;

    /// Whether more can be asked after a failure; if not, another process does the rest.
    fn is_usable(&self) -> bool {
        true
    }
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// What is asked, and under which conditions; it was prepared before.
    pub cell: &'a Cell,
    /// Which of the prompts that throughput goes through: see [`Cell::prompt_of`].
    pub prompt: u32,
    /// How tokens are chosen.
    pub sampling: &'a Sampling,
}

/// What happened inside a request.
///
/// First the prompt is ready, then it is read, then tokens come. A step is submitted before its token is visible, and
/// the one after it may be: when a request ends, at most one submitted step has no visible token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The prompt is a list of this many ids.
    PromptReady {
        /// Tokens of the prompt.
        tokens: u32,
    },
    /// A prefill chunk was evaluated.
    Prefilled {
        /// Prompt tokens read so far.
        tokens: u32,
    },
    /// The step that makes the next token was handed to the device.
    Submitted,
    /// A token reached the host.
    Visible(u32),
}

/// What a request gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The prompt's ids.
    pub prompt_ids: Vec<u32>,
    /// Generated ids, the stop token included where one came.
    pub ids: Vec<u32>,
    /// Which of them is the first of the answer, counted from 0, where the model may reason before.
    pub answer_from: Option<u32>,
    /// Why it ended.
    pub finish: Finish,
    /// The answer as a user sees it, where there is a tokenizer.
    pub text: Option<String>,
}

/// What a cell will be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// What its prompt will be made of.
    pub prompt: PromptKind,
    /// What a step reads of its keys and values once they are packed, where they will be.
    pub packed: Option<PackedRows>,
    /// What a reader of its figures must know, a sentence each.
    pub warnings: Vec<String>,
}

/// A prompt of the scenario `stop`.
#[derive(Clone, Copy, Debug)]
pub struct StopQuestion<'a> {
    /// What the user says.
    pub prompt: &'a str,
    /// Tokens after which the answer is cut.
    pub max_tokens: u32,
    /// How tokens are chosen.
    pub sampling: &'a Sampling,
    /// What it is answered under.
    pub conditions: &'a Conditions,
}

/// What a prompt is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptKind {
    /// A user's turn, written out by the model's chat template.
    ChatTurn,
    /// Text through the model's tokenizer alone.
    PlainText,
    /// Ids drawn at random: as asked, or since the tokenizer is missing or disagrees with the vocabulary.
    RandomIds,
}

/// Why a request gave nothing.
#[derive(Debug, Error)]
pub enum EngineError {
    /// This model cannot do that work at all.
    #[error("{reason}")]
    Refused {
        /// A stable name for machines, such as `tokenizer_missing`.
        kind: &'static str,
        /// Why, for people.
        reason: String,
    },
    /// A stage failed, and what can be done about it is known.
    #[error("{}", .0.message)]
    Hinted(Box<Failure>),
    /// A stage failed.
    #[error("{message}")]
    Failed {
        /// The stage.
        stage: Stage,
        /// A stable name for machines, such as `mlx`.
        kind: &'static str,
        /// Why, for people.
        message: String,
    },
}
