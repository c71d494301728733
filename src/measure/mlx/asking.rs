//! A prompt of the scenario `stop`, answered token by token under stop rules.

use std::{collections::BTreeSet, ops::ControlFlow};

use jiff::ZonedDateTime;

use crate::{
    generate::{GenerateError, Request, Scores, Step, generate},
    measure::engine::StopQuestion,
    models::Model,
    plan::{DecodeMode, KvPacking},
    stops::{Rules, Transcript, Watch},
    text::{ChatOptions, Message, SpecialTokens, TextError, Tokenizer},
};

/// A model that is asked.
pub(super) struct Asking<'a> {
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) model: &'a dyn Model,
    pub(super) prefill_chunk: u32,
    pub(super) kv: Option<KvPacking>,
}

/// Why there is no answer.
pub(super) enum Unanswered {
    Generate(GenerateError),
    Text(TextError),
}

impl From<TextError> for Unanswered {
    fn from(error: TextError) -> Self {
        Self::Text(error)
    }
}

impl Asking<'_> {
    /// The answer to `question`, as `rules` end it.
    pub(super) fn answer(
        &self,
        question: &StopQuestion<'_>,
        rules: &Rules,
        seen: &mut dyn FnMut(u32),
    ) -> Result<Transcript, Unanswered> {
        let now = ZonedDateTime::now().datetime();
        let options = ChatOptions { enable_thinking: None, now };
        let prompt = self.tokenizer.chat_text(&[Message::user(question.prompt)], options)?;
        let ids = self.tokenizer.encode(&prompt, SpecialTokens::Leave)?;
        let dialect = self.tokenizer.dialect();
        let is_open = dialect.as_ref().is_some_and(|dialect| dialect.is_open_after(&prompt));
        let mut watch = Watch::new(rules, dialect.as_ref(), is_open);
        let mut stream = self.tokenizer.stream();
        let mut trouble = None;
        let mut tokens = 0;
        let request = Request {
            prompt: &ids,
            max_tokens: question.max_tokens,
            stop: &BTreeSet::new(),
            sampling: question.sampling,
            prefill_chunk: self.prefill_chunk,
            kv: self.kv,
            decode: DecodeMode::Pipelined,
            scores: Scores::Unwanted,
        };
        generate(self.model, &request, &mut |step| {
            let Step::Token { id, .. } = step else { return ControlFlow::Continue(()) };
            tokens += 1;
            seen(tokens);
            match stream.push(id) {
                Ok(piece) if watch.push(id, &piece) => ControlFlow::Break(()),
                Ok(_) => ControlFlow::Continue(()),
                Err(error) => {
                    trouble = Some(error);
                    ControlFlow::Break(())
                }
            }
        })
        .map_err(Unanswered::Generate)?;
        match trouble {
            Some(error) => Err(error.into()),
            None => Ok(watch.finish(&stream.finish()?)),
        }
    }
}
