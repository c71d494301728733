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
    demand::packed,
    greedy::{Question, answer_greedily},
    opened::{Opened, check_packing, memory},
    prompts::Throughput,
    roofline::roofline,
};
use crate::{
    checkpoint::{Format, sentence},
    generate::{
        Context, End, GenerateError, Likelihood, Phase, Request, Scores, Step, generate_after,
        likelihood,
    },
    host::process,
    measure::{
        engine::{Answer, Ask, Engine, EngineError, Event, Prepared, PromptKind, StopQuestion},
        findings::TextLikelihood,
        outcome::Stage,
        recorder::sha256_of_ids,
        reference::Greedy,
        roofline::Roofline,
        trial::{Finish, Memory},
    },
    nn::MlxError,
    plan::{Cell, Conditions, KvPacking, Passages, SHIPPED, Work},
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
    /// What the cache of the next request holds already.
    context: Context,
    /// The prompt that comes after that, where it holds something.
    prompt: Option<Vec<u32>>,
    prompts: Throughput,
    nll_tokens: usize,
    /// What was found of the shipped text under each packing, which cells of the model share.
    likelihoods: Vec<(Option<KvPacking>, TextLikelihood)>,
    /// Whether MLX refused something, after which its state is not to be trusted.
    is_broken: bool,
    canary: Canary,
}

impl MlxEngine {
    /// With the likelihood of so many tokens of the shipped text.
    pub(super) fn new(opened: Opened, prompts: Throughput, nll_tokens: u32) -> Self {
        Self {
            opened,
            context: Context::default(),
            prompt: None,
            prompts,
            nll_tokens: nll_tokens as usize,
            likelihoods: Vec::new(),
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

    /// All tokens of a request, those that are in the cache before it first.
    fn prompt_ids(&self, cell: &Cell, index: u32) -> Result<Vec<u32>, EngineError> {
        match &cell.work {
            Work::Throughput { prompt_tokens, .. } => {
                let length = cell.conditions.depth.saturating_add(*prompt_tokens);
                self.prompts.ids(&self.opened, length, index).map_err(|error| unwritten(&error))
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

    /// What becomes of an error of the token loop.
    fn failed(&mut self, error: &GenerateError) -> EngineError {
        self.is_broken = matches!(error, GenerateError::Mlx { .. });
        failed(error)
    }
}

/// Tokens after which an answer to `work` is cut, and ids that end it.
fn ends<'a>(opened: &'a Opened, work: &Work) -> (u32, &'a BTreeSet<u32>) {
    match work {
        Work::Throughput { generation_tokens, .. } => (*generation_tokens, &NOTHING),
        Work::Chat { max_tokens, .. } | Work::Stop { max_tokens, .. } => {
            (*max_tokens, &opened.stop)
        }
    }
}

/// A length that no prompt of this model can have.
fn refused_length(error: &TextError) -> EngineError {
    EngineError::Refused { kind: error.kind(), reason: sentence(error) }
}

/// MLX refused an operation that is no part of a request.
fn refused_by_mlx(error: &MlxError) -> EngineError {
    EngineError::Failed { stage: Stage::Decode, kind: "mlx", message: sentence(error) }
}

/// A prompt that could not be written.
fn unwritten(error: &TextError) -> EngineError {
    EngineError::Failed { stage: Stage::Prompt, kind: "prompt", message: sentence(error) }
}

impl Engine for MlxEngine {
    fn prepare(&mut self, cell: &Cell) -> Result<Prepared, EngineError> {
        let prompt = match cell.work {
            Work::Chat { .. } | Work::Stop { .. } => {
                self.chat_tokenizer().map(|_| PromptKind::ChatTurn)?
            }
            Work::Throughput { prompt_tokens, .. } => {
                let length = cell.conditions.depth.saturating_add(prompt_tokens);
                self.prompts
                    .find(self.opened.tokenizer.as_ref(), length)
                    .map_err(|error| refused_length(&error))?
            }
        };
        check_packing(self.opened.model.as_ref(), cell.conditions.kv)
            .map_err(|failure| EngineError::Hinted(Box::new(failure)))?;
        let packed = cell.conditions.kv.and_then(|kv| packed(self.opened.model.as_ref(), kv));
        Ok(Prepared { prompt, packed, warnings: never_packed(cell).into_iter().collect() })
    }

    fn fill(&mut self, ask: Ask<'_>, read: &mut dyn FnMut(u32)) -> Result<(), EngineError> {
        let Ask { cell, prompt, .. } = ask;
        let depth = cell.conditions.depth as usize;
        let mut context = Vec::new();
        self.prompt = None;
        if depth > 0 {
            context = self.prompt_ids(cell, prompt)?;
            self.prompt = Some(context.split_off(depth.min(context.len())));
        }
        let model = self.opened.model.as_ref();
        let filled = self.context.fill(model, &context, &cell.conditions, read);
        filled.map_err(|error| self.failed(&error))
    }

    fn generate(
        &mut self,
        ask: Ask<'_>,
        seen: &mut dyn FnMut(Event),
    ) -> Result<Answer, EngineError> {
        let Ask { cell, prompt, sampling } = ask;
        let work = &cell.work;
        let prompt_ids = match self.prompt.take() {
            Some(ids) => ids,
            None => self.prompt_ids(cell, prompt)?,
        };
        seen(Event::PromptReady { tokens: u32::try_from(prompt_ids.len()).unwrap_or(u32::MAX) });
        let (max_tokens, stop) = ends(&self.opened, work);
        let request = Request {
            prompt: &prompt_ids,
            max_tokens,
            stop,
            sampling,
            prefill_chunk: cell.conditions.prefill_chunk,
            kv: cell.conditions.kv,
            decode: cell.conditions.decode,
            scores: Scores::Unwanted,
        };
        let mut ids = Vec::with_capacity(max_tokens as usize);
        let model = self.opened.model.as_ref();
        let end = generate_after(&mut self.context, model, &request, &mut |step| {
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
        let end = end.map_err(|error| self.failed(&error))?;
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

    fn likelihood(
        &mut self,
        conditions: &Conditions,
    ) -> Result<Option<TextLikelihood>, EngineError> {
        let known = self.likelihoods.iter().find(|(kv, _)| *kv == conditions.kv);
        if let Some((_, likelihood)) = known {
            return Ok(Some(likelihood.clone()));
        }
        let found = self.foretell(conditions.kv)?;
        self.likelihoods.extend(found.clone().map(|likelihood| (conditions.kv, likelihood)));
        Ok(found)
    }

    fn canary(&mut self) -> Result<(), EngineError> {
        self.canary.run().map_err(|error| {
            self.is_broken = true;
            refused_by_mlx(&error)
        })
    }

    fn roofline(&mut self) -> Result<Option<Roofline>, EngineError> {
        // What is tried has its own arrays, so that the model is what it was whatever comes of it.
        roofline(&self.opened).map_err(|error| refused_by_mlx(&error))
    }

    fn terms(&self) -> Terms {
        let tokenizer = self.opened.tokenizer.as_ref();
        let terms = tokenizer.map(|tokenizer| terms(tokenizer, &self.opened.stop));
        let is_gguf = self.opened.loaded.model.format == Format::Gguf.name();
        Terms { is_gguf, ..terms.unwrap_or_default() }
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
            prefill_chunk: question.conditions.prefill_chunk,
            kv: question.conditions.kv,
        };
        asking.answer(question, rules, seen).map_err(|error| match error {
            Unanswered::Generate(error) => self.failed(&error),
            Unanswered::Text(error) => unwritten(&error),
        })
    }

    fn answer_greedily(&mut self, cell: &Cell, prompt: u32) -> Result<Option<Greedy>, EngineError> {
        let ids = self.prompt_ids(cell, prompt)?;
        let (max_tokens, stop) = ends(&self.opened, &cell.work);
        let Conditions { prefill_chunk, kv, .. } = cell.conditions;
        let question = Question { prompt: &ids, max_tokens, stop, prefill_chunk, kv };
        let answer = answer_greedily(self.opened.model.as_ref(), question);
        answer.map(Some).map_err(|error| self.failed(&error))
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
    /// How well the model foretells as much of the shipped text as is wanted, and as there is time for.
    fn foretell(&mut self, kv: Option<KvPacking>) -> Result<Option<TextLikelihood>, EngineError> {
        let Some(tokenizer) = &self.opened.tokenizer else {
            return Ok(None);
        };
        let text = Passages::shipped().stretch(0, self.nll_tokens.saturating_mul(8));
        let ids = tokenizer.encode_prompt(&text).map_err(|error| unwritten(&error))?;
        let ids = ids.get(..self.nll_tokens).unwrap_or(&ids);
        let began = Instant::now();
        let found = likelihood(self.opened.model.as_ref(), ids, kv, &mut |_| {
            if began.elapsed() > READING {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        let found = found.map_err(|error| self.failed(&error))?;
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

/// What to say where an exact size ends before keys and values are packed.
fn never_packed(cell: &Cell) -> Option<String> {
    let Work::Throughput { prompt_tokens, generation_tokens } = cell.work else {
        return None;
    };
    let Conditions { depth, kv, .. } = cell.conditions;
    let start = kv?.start;
    let tokens = depth.saturating_add(prompt_tokens).saturating_add(generation_tokens);
    (tokens < start).then(|| {
        format!("throughput packs no keys and values: {tokens} tokens, `kv_start` is {start}")
    })
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
