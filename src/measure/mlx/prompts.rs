//! The prompts of throughput cells: found once for each length, outside of any request.

use std::{collections::HashMap, num::NonZeroU32};

use super::opened::Opened;
use crate::{
    checkpoint::sentence,
    measure::engine::PromptKind,
    plan::{PROMPTS, Passages, Prompts},
    text::{self, ExactPrompt, TextError, Tokenizer, Wanted},
};

/// Prompts of every length that was asked for.
pub(super) struct Throughput {
    passages: Passages,
    kind: PromptKind,
    found: HashMap<u32, Vec<ExactPrompt>>,
}

impl Throughput {
    /// Prompts for `opened`, cut from `passages`; and what a reader must know where they are not what was asked for.
    pub(super) fn new(
        opened: &Opened,
        source: &Prompts,
        passages: Option<Passages>,
    ) -> (Self, Option<String>) {
        let passages = passages.unwrap_or_else(Passages::shipped);
        let (kind, warning) = match (&opened.tokenizer, source) {
            (None, _) | (_, Prompts::RandomIds) => (PromptKind::RandomIds, None),
            (Some(tokenizer), _) if !tokenizer.has_chat_template() => (PromptKind::PlainText, None),
            (Some(tokenizer), _) => match ExactPrompt::try_turn(tokenizer) {
                Ok(()) => (PromptKind::ChatTurn, None),
                Err(error) => (PromptKind::PlainText, Some(without_template(&error))),
            },
        };
        (Self { passages, kind, found: HashMap::new() }, warning)
    }

    /// Finds the prompts of `length` tokens, and says what they are made of.
    pub(super) fn find(
        &mut self,
        tokenizer: Option<&Tokenizer>,
        length: u32,
    ) -> Result<PromptKind, TextError> {
        let find = match self.kind {
            PromptKind::RandomIds => return Ok(self.kind),
            PromptKind::PlainText => ExactPrompt::plain,
            PromptKind::ChatTurn => ExactPrompt::turn,
        };
        if let (Some(tokenizer), false) = (tokenizer, self.found.contains_key(&length)) {
            let wanted =
                |index| Wanted { passages: &self.passages, index, length: length as usize };
            let found = (0..PROMPTS).map(|index| find(tokenizer, wanted(index)));
            let found = found.collect::<Result<_, _>>()?;
            self.found.insert(length, found);
        }
        Ok(self.kind)
    }

    /// The ids of prompt `index` of `length` tokens, which were looked for before.
    pub(super) fn ids(
        &self,
        opened: &Opened,
        length: u32,
        index: u32,
    ) -> Result<Vec<u32>, TextError> {
        let found = self.found.get(&length).and_then(|all| all.get(index as usize));
        match (found, &opened.tokenizer, NonZeroU32::new(opened.model.vocabulary())) {
            (Some(prompt), Some(tokenizer), _) => prompt.ids(tokenizer),
            (_, _, Some(vocabulary)) => {
                Ok(text::random_ids(vocabulary, length as usize, u64::from(index)))
            }
            _ => Ok(Vec::new()),
        }
    }
}

fn without_template(error: &TextError) -> String {
    format!("prompts are plain text, since the chat template cannot be used: {}", sentence(error))
}
