//! Answers requests with a loaded model.

use std::{collections::BTreeSet, num::NonZeroU32, ops::ControlFlow};

use jiff::ZonedDateTime;
use mlx_rs::memory::{clear_cache, reset_peak_memory};

use super::{
    asking::{Asking, Unanswered},
    canary::Canary,
    opened::{Opened, memory},
};
use crate::{
    checkpoint::sentence,
    generate::{End, GenerateError, Phase, Request, Scores, Step, generate},
    host::process,
    measure::{
        engine::{Answer, Engine, EngineError, Event, PromptKind, StopQuestion},
        outcome::Stage,
        trial::{Finish, Memory},
    },
    plan::{KvPacking, Sampling, Settings, Work},
    stops::{Rules, Terms, Transcript},
    text::{
        self, ChatOptions, Message, TextError, Tokenizer,
        stops::{first_of_answer, terms},
    },
};

/// The seed of prompts made of random ids: the same for every model and run.
const PROMPT_SEED: u64 = 0;

/// A loaded model that answers requests.
pub(super) struct MlxEngine {
    opened: Opened,
    prefill_chunk: u32,
    kv: Option<KvPacking>,
    /// Whether MLX refused something, after which its state is not to be trusted.
    is_broken: bool,
    canary: Canary,
}

impl MlxEngine {
    pub(super) fn new(opened: Opened, settings: &Settings) -> Self {
        let Settings { prefill_chunk, kv, .. } = *settings;
        Self { opened, prefill_chunk, kv, is_broken: false, canary: Canary::default() }
    }

    /// The tokenizer that a chat needs, or why there can be none.
    fn chat_tokenizer(&self) -> Result<&Tokenizer, EngineError> {
        let refused = |kind, reason: &str| EngineError::Refused { kind, reason: reason.to_owned() };
        match (&self.opened.tokenizer, &self.opened.tokenizer_lack) {
            (Some(tokenizer), _) if tokenizer.has_chat_template() => Ok(tokenizer),
            (Some(_), _) => Err(refused("template_missing", "the model has no chat template")),
            (None, Some(lack)) => Err(refused(lack.kind, &lack.reason)),
            (None, None) => Err(refused("tokenizer_missing", "the model has no tokenizer")),
        }
    }

    fn prompt_ids(&self, work: &Work) -> Result<Vec<u32>, EngineError> {
        match work {
            Work::Throughput { prompt_tokens, .. } => {
                let length = *prompt_tokens as usize;
                match (&self.opened.tokenizer, NonZeroU32::new(self.opened.model.vocabulary())) {
                    (Some(tokenizer), _) => {
                        text::ids_of_length(tokenizer, length).map_err(|error| unwritten(&error))
                    }
                    (None, Some(vocabulary)) => {
                        Ok(text::random_ids(vocabulary, length, PROMPT_SEED))
                    }
                    (None, None) => Ok(Vec::new()),
                }
            }
            Work::Chat { prompt, .. } => {
                let options =
                    ChatOptions { enable_thinking: None, now: ZonedDateTime::now().datetime() };
                self.chat_tokenizer()?
                    .chat_ids(&[Message::user(prompt)], options)
                    .map_err(|error| unwritten(&error))
            }
            // Its prompts are asked one by one.
            Work::Stop { .. } => Ok(Vec::new()),
        }
    }
}

/// A prompt that could not be written.
fn unwritten(error: &TextError) -> EngineError {
    EngineError::Failed { stage: Stage::Prompt, kind: "prompt", message: sentence(error) }
}

impl Engine for MlxEngine {
    fn prepare(&mut self, work: &Work) -> Result<PromptKind, EngineError> {
        match work {
            Work::Chat { .. } | Work::Stop { .. } => {
                self.chat_tokenizer().map(|_| PromptKind::Text)
            }
            Work::Throughput { .. } if self.opened.tokenizer.is_some() => Ok(PromptKind::Text),
            Work::Throughput { .. } => Ok(PromptKind::RandomIds),
        }
    }

    fn generate(
        &mut self,
        work: &Work,
        sampling: &Sampling,
        seen: &mut dyn FnMut(Event),
    ) -> Result<Answer, EngineError> {
        let prompt_ids = self.prompt_ids(work)?;
        seen(Event::PromptReady { tokens: u32::try_from(prompt_ids.len()).unwrap_or(u32::MAX) });
        let nothing = BTreeSet::new();
        let (max_tokens, stop) = match work {
            Work::Throughput { generation_tokens, .. } => (*generation_tokens, &nothing),
            Work::Chat { max_tokens, .. } | Work::Stop { max_tokens, .. } => {
                (*max_tokens, &self.opened.stop)
            }
        };
        let request = Request {
            prompt: &prompt_ids,
            max_tokens,
            stop,
            sampling,
            prefill_chunk: self.prefill_chunk,
            kv: self.kv,
            scores: Scores::Unwanted,
        };
        let mut ids = Vec::with_capacity(max_tokens as usize);
        let end = generate(self.opened.model.as_ref(), &request, &mut |step| {
            seen(match step {
                Step::Prefilled(tokens) => Event::Prefilled { tokens },
                Step::Submitted => Event::Submitted,
                Step::Token { id, .. } => {
                    ids.push(id);
                    Event::Visible(id)
                }
            });
            ControlFlow::Continue(())
        });
        let end = end.map_err(|error| {
            self.is_broken = matches!(error, GenerateError::Mlx { .. });
            failed(&error)
        })?;
        let (text, answer_from) = match work {
            Work::Throughput { .. } | Work::Stop { .. } => (None, None),
            Work::Chat { .. } => self.visible(&prompt_ids, &ids, end),
        };
        let finish = match end {
            End::Stop(id) => Finish::Stop { id },
            End::Length | End::Broken => Finish::Length,
        };
        Ok(Answer { prompt_ids, ids, answer_from, finish, text })
    }

    fn canary(&mut self) -> Result<(), EngineError> {
        self.canary.run().map_err(|error| {
            self.is_broken = true;
            EngineError::Failed { stage: Stage::Decode, kind: "mlx", message: sentence(&error) }
        })
    }

    fn terms(&self) -> Terms {
        let tokenizer = self.opened.tokenizer.as_ref();
        tokenizer.map(|tokenizer| terms(tokenizer, &self.opened.stop)).unwrap_or_default()
    }

    fn ask(
        &mut self,
        question: &StopQuestion<'_>,
        rules: &Rules,
        seen: &mut dyn FnMut(u32),
    ) -> Result<Transcript, EngineError> {
        let asking = Asking {
            tokenizer: self.chat_tokenizer()?,
            model: self.opened.model.as_ref(),
            prefill_chunk: self.prefill_chunk,
            kv: self.kv,
        };
        asking.answer(question, rules, seen).map_err(|error| match error {
            Unanswered::Generate(error) => {
                self.is_broken = matches!(error, GenerateError::Mlx { .. });
                failed(&error)
            }
            Unanswered::Text(error) => unwritten(&error),
        })
    }

    fn reset_peak_memory(&mut self) {
        // What an earlier request left for the next would count as memory of this process.
        let _ = clear_cache();
        // A reset that fails leaves a peak that is too high, never one that is too low.
        let _ = reset_peak_memory();
        process::reset_peak();
    }

    fn memory(&self) -> Memory {
        memory()
    }

    fn is_usable(&self) -> bool {
        !self.is_broken
    }
}

impl MlxEngine {
    /// What a user sees of `ids`, of which the token that ended the answer is not part, and with which of them the answer
    /// begins, where the model may think before.
    fn visible(&self, prompt: &[u32], ids: &[u32], end: End) -> (Option<String>, Option<u32>) {
        let shown = match end {
            End::Stop(_) => ids.split_last().map_or(ids, |(_, rest)| rest),
            End::Length | End::Broken => ids,
        };
        let Some(tokenizer) = &self.opened.tokenizer else {
            return (None, None);
        };
        let answer_from = first_of_answer(tokenizer, prompt, shown).ok().flatten();
        (tokenizer.decode(shown).ok(), answer_from)
    }
}

fn failed(error: &GenerateError) -> EngineError {
    let (stage, kind) = match error {
        GenerateError::EmptyPrompt => (Stage::Prompt, "prompt_empty"),
        GenerateError::UnknownId { .. } => (Stage::Prompt, "prompt_id_unknown"),
        GenerateError::Mlx { phase: Phase::Prefill, .. } => (Stage::Prefill, "mlx"),
        GenerateError::Mlx { phase: Phase::Decode, .. } => (Stage::Decode, "mlx"),
    };
    EngineError::Failed { stage, kind, message: sentence(error) }
}
