//! What a formula is made of: counts and times of one trial, each with its symbol.

use crate::measure::trial::Trial;

/// A count, or a time in seconds, of one trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    /// Tokens of the timed prompt.
    PromptTokens,
    /// Tokens generated.
    Tokens,
    /// Tokens generated after the first.
    LaterTokens,
    /// From the request to the first token.
    ToFirst,
    /// From the request to the first token of the answer.
    ToAnswer,
    /// From the request to the last token.
    ToLast,
    /// From the request until all was over.
    ToEnd,
    /// From the prompt's ids to the first token.
    ReadyToFirst,
    /// From the prompt's ids to the second token.
    ReadyToSecond,
    /// From the first token to the last.
    FirstToLast,
}

impl Quantity {
    /// As it stands in a formula.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::PromptTokens => "P",
            Self::Tokens => "n",
            Self::LaterTokens => "(n - 1)",
            Self::ToFirst => "t1",
            Self::ToAnswer => "ta",
            Self::ToLast => "tn",
            Self::ToEnd => "te",
            Self::ReadyToFirst => "(t1 - r)",
            Self::ReadyToSecond => "(t2 - r)",
            Self::FirstToLast => "(tn - t1)",
        }
    }

    /// Its value, which is above 0: none where the trial has too few tokens or the clock saw no time pass.
    pub(super) fn of(self, trial: &Trial) -> Option<f64> {
        let visible = trial.visible_us.as_slice();
        match self {
            Self::PromptTokens => count(trial.prompt_tokens as usize),
            Self::Tokens => count(visible.len()),
            Self::LaterTokens => count(visible.len().checked_sub(1)?),
            Self::ToFirst => seconds(0, *visible.first()?),
            Self::ToAnswer => seconds(0, *visible.get(trial.answer_from? as usize)?),
            Self::ToLast => seconds(0, *visible.last()?),
            Self::ToEnd => seconds(0, trial.ended_us),
            Self::ReadyToFirst => seconds(trial.prompt_ready_us, *visible.first()?),
            Self::ReadyToSecond => seconds(trial.prompt_ready_us, *visible.get(1)?),
            Self::FirstToLast => seconds(*visible.first()?, *visible.last()?),
        }
    }
}

fn count(tokens: usize) -> Option<f64> {
    (tokens > 0).then_some(tokens as f64)
}

fn seconds(from_us: u64, to_us: u64) -> Option<f64> {
    let micros = to_us.checked_sub(from_us).filter(|micros| *micros > 0)?;
    Some(micros as f64 / super::MICROS)
}
