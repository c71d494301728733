//! What an engine reported and cannot have happened.

use thiserror::Error;

use crate::{
    measure::{engine::Answer, outcome::Stage, trial::Finish},
    plan::Work,
};

/// An engine reported what cannot have happened: a bug, whose figures must not be published.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Impossible {
    #[error("the prompt was never ready")]
    NoPrompt,
    #[error("the prompt was ready twice")]
    SecondPrompt,
    #[error("{tokens} prompt tokens were read out of turn")]
    Prefilled { tokens: u32 },
    #[error("token {id} was visible before a step was submitted for it")]
    NotSubmitted { id: u32 },
    #[error("{ahead} submitted steps have no visible token")]
    Ahead { ahead: usize },
    #[error("the prompt is not as long as was reported")]
    OtherPrompt,
    #[error("the answer is not made of the ids that were reported")]
    OtherIds,
    #[error(
        "{prompt} prompt tokens and {answer} generated ones that end by `{finish}` are not what was asked for"
    )]
    OtherLength { prompt: u32, answer: usize, finish: &'static str },
}

impl Impossible {
    /// Where it cannot have happened.
    pub(super) fn stage(&self) -> Stage {
        match self {
            Self::NoPrompt | Self::SecondPrompt | Self::OtherPrompt => Stage::Prompt,
            Self::Prefilled { .. } => Stage::Prefill,
            Self::NotSubmitted { .. }
            | Self::Ahead { .. }
            | Self::OtherIds
            | Self::OtherLength { .. } => Stage::Decode,
        }
    }
}

/// Tokens after which an answer to `work` is cut.
pub(super) fn budget(work: &Work) -> u32 {
    match *work {
        Work::Throughput { generation_tokens, .. } => generation_tokens,
        Work::Chat { max_tokens, .. } | Work::Stop { max_tokens, .. } => max_tokens,
    }
}

/// Compares what the engine answered with what it reported and with what was asked.
pub(super) fn check_answer(
    work: &Work,
    answer: &Answer,
    prompt_tokens: u32,
    seen: &[u32],
) -> Result<(), Impossible> {
    if answer.prompt_ids.len() != prompt_tokens as usize {
        return Err(Impossible::OtherPrompt);
    }
    if answer.ids != seen {
        return Err(Impossible::OtherIds);
    }
    let is_as_long_as_asked = match *work {
        Work::Throughput { prompt_tokens: asked, .. } => {
            prompt_tokens == asked && answer.finish == Finish::Length
        }
        Work::Chat { .. } | Work::Stop { .. } => true,
    };
    let ends_as_it_says = match answer.finish {
        Finish::Length => seen.len() == budget(work) as usize,
        Finish::Stop { id } => seen.last() == Some(&id) && seen.len() <= budget(work) as usize,
    };
    if is_as_long_as_asked && ends_as_it_says {
        Ok(())
    } else {
        Err(Impossible::OtherLength {
            prompt: prompt_tokens,
            answer: seen.len(),
            finish: answer.finish.name(),
        })
    }
}
