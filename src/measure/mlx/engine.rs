//! Answers requests with a loaded model.

use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use jiff::ZonedDateTime;
use mlx_rs::memory::{clear_cache, reset_peak_memory};

use super::{
    asking::{Asking, Unanswered},
    canary::Canary,
    greedy::{Question, answer_greedily},
    opened::{Opened, memory},
    prompts::Throughput,
};
use crate::{
    checkpoint::sentence,
    generate::{
        End, GenerateError, Likelihood, Phase, Request, Scores, Step, generate, likelihood,
    },
    host::process,
    measure::{
        engine::{Answer, Ask, Engine, EngineError, Event, PromptKind, StopQuestion},
        findings::TextLikelihood,
        outcome::Stage,
        recorder::sha256_of_ids,
        reference::Greedy,
        trial::{Finish, Memory},
    },
    plan::{KvPacking, Passages, SHIPPED, Settings, Work},
    stops::{Rules, Terms, Transcript},
    text::{
        ChatOptions, Message, TextError, Tokenizer,
        stops::{first_of_answer, terms},
    },
};

/// What ends an answer of an exact length.
static NOTHING: BTreeSet<u32> = BTreeSet::new();

/// The time after which a likelihood is of what was read until then: a slow model is not kept at it for long.
const READING: Duration = Duration::from_secs(20);

/// A loaded model that answers requests.
pub(super) struct MlxEngine {
    opened: Opened,
    prefill_chunk: u32,
    kv: Option<KvPacking>,
    prompts: Throughput,
    nll_tokens: usize,
    /// What was found of the shipped text, which every cell of the model shares.
    likelihood: Option<TextLikelihood>,
    /// Whether MLX refused something, after which its state is not to be trusted.
    is_broken: bool,
    canary: Canary,
}

impl MlxEngine {
    pub(super) fn new(opened: Opened, prompts: Throughput, settings: &Settings) -> Self {
        let Settings { prefill_chunk, kv, nll_tokens, .. } = *settings;
        Self {
            opened,
            prefill_chunk,
            kv,
            prompts,
            nll_tokens: nll_tokens as usize,
            likelihood: None,
            is_broken: false,
            canary: Canary::default(),
        }
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

    fn prompt_ids(&self, work: &Work, index: u32) -> Result<Vec<u32>, EngineError> {
        match work {
            Work::Throughput { prompt_tokens, .. } => self
                .prompts
                .ids(&self.opened, *prompt_tokens, index)
                .map_err(|error| unwritten(&error)),
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

/// A length that no prompt of this model can have.
fn refused_length(error: &TextError) -> EngineError {
    EngineError::Refused { kind: error.kind(), reason: sentence(error) }
}

/// A prompt that could not be written.
fn unwritten(error: &TextError) -> EngineError {
    EngineError::Failed { stage: Stage::Prompt, kind: "prompt", message: sentence(error) }
}

impl Engine for MlxEngine {
    fn prepare(&mut self, work: &Work) -> Result<PromptKind, EngineError> {
        match work {
            Work::Chat { .. } | Work::Stop { .. } => {
                self.chat_tokenizer().map(|_| PromptKind::ChatTurn)
            }
            Work::Throughput { prompt_tokens, .. } => self
                .prompts
                .find(self.opened.tokenizer.as_ref(), *prompt_tokens)
                .map_err(|error| refused_length(&error)),
        }
    }

    fn generate(
        &mut self,
        ask: Ask<'_>,
        seen: &mut dyn FnMut(Event),
    ) -> Result<Answer, EngineError> {
        let Ask { work, prompt, sampling } = ask;
        let prompt_ids = self.prompt_ids(work, prompt)?;
        seen(Event::PromptReady { tokens: u32::try_from(prompt_ids.len()).unwrap_or(u32::MAX) });
        let (max_tokens, stop) = self.ends(work);
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

    fn likelihood(&mut self) -> Result<Option<TextLikelihood>, EngineError> {
        if self.likelihood.is_none() {
            self.likelihood = self.foretell()?;
        }
        Ok(self.likelihood.clone())
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

    fn answer_greedily(&mut self, work: &Work, prompt: u32) -> Result<Option<Greedy>, EngineError> {
        let ids = self.prompt_ids(work, prompt)?;
        let (max_tokens, stop) = self.ends(work);
        let Self { prefill_chunk, kv, .. } = *self;
        let question = Question { prompt: &ids, max_tokens, stop, prefill_chunk, kv };
        let answer = answer_greedily(self.opened.model.as_ref(), question);
        answer.map(Some).map_err(|error| {
            self.is_broken = matches!(error, GenerateError::Mlx { .. });
            failed(&error)
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
    /// Tokens after which an answer to `work` is cut, and ids that end it.
    fn ends(&self, work: &Work) -> (u32, &BTreeSet<u32>) {
        match work {
            Work::Throughput { generation_tokens, .. } => (*generation_tokens, &NOTHING),
            Work::Chat { max_tokens, .. } | Work::Stop { max_tokens, .. } => {
                (*max_tokens, &self.opened.stop)
            }
        }
    }

    /// How well the model foretells as much of the shipped text as is wanted, and as there is time for.
    fn foretell(&mut self) -> Result<Option<TextLikelihood>, EngineError> {
        let Some(tokenizer) = &self.opened.tokenizer else {
            return Ok(None);
        };
        let text = Passages::shipped().stretch(0, self.nll_tokens.saturating_mul(8));
        let ids = tokenizer.encode_prompt(&text).map_err(|error| unwritten(&error))?;
        let ids = ids.get(..self.nll_tokens).unwrap_or(&ids);
        let began = Instant::now();
        let found = likelihood(self.opened.model.as_ref(), ids, self.kv, &mut |_| {
            if began.elapsed() > READING {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        let found = found.map_err(|error| {
            self.is_broken = matches!(error, GenerateError::Mlx { .. });
            failed(&error)
        })?;
        Ok(found.map(|Likelihood { mean, tokens }| TextLikelihood {
            mean_nll: mean,
            tokens,
            text: SHIPPED.to_owned(),
            ids_sha256: sha256_of_ids(ids.get(..tokens as usize).unwrap_or(ids)),
        }))
    }

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
