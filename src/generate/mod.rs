//! The token loop: prefill in chunks, then one step ahead of what the host has read, or step by step.
//!
//! Reference: `mlx_lm.generate.generate_step`. The last prompt token is left for the first step, so that its
//! scores are the ones sampled; scores of the prefill are never computed.

mod best;
mod context;
mod description;
mod likelihood;
mod sample;

pub use best::Best;
pub use context::Context;
pub use description::describe;
pub use likelihood::{Likelihood, likelihood};

use std::{collections::BTreeSet, ops::ControlFlow};

use mlx_rs::{
    Array,
    memory::{clear_cache, set_wired_limit},
    ops::indexing::TryIndexOp,
    transforms::{async_eval, eval},
};
use thiserror::Error;

use crate::{
    ffi,
    models::{Cache, Model},
    nn::MlxError,
    plan::{DecodeMode, KvPacking, Sampling},
};
use best::PendingBest;
use sample::Sampler;

/// Tokens after which unused buffers are released.
const RELEASE_EVERY: u32 = 256;

/// What is to be generated.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The prompt's ids.
    pub prompt: &'a [u32],
    /// Tokens to generate at the most.
    pub max_tokens: u32,
    /// Ids that end the answer.
    pub stop: &'a BTreeSet<u32>,
    /// How a token is chosen.
    pub sampling: &'a Sampling,
    /// Prompt tokens that one prefill step reads.
    pub prefill_chunk: u32,
    /// How keys and values are packed, after the chunk or step that reaches the start.
    pub kv: Option<KvPacking>,
    /// When a step is handed to the device.
    pub decode: DecodeMode,
    /// Whether the log-probability of each token is wanted too.
    pub scores: Scores,
}

/// Whether log-probabilities are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scores {
    /// Only ids.
    Unwanted,
    /// That of each chosen token; costs an operation a token.
    OfChosen,
    /// Those of this many of the likeliest, in float32; costs several operations a token.
    OfBest(u32),
}

/// What the loop reports, as soon as it is so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step<'a> {
    /// This many prompt tokens are in the cache.
    Prefilled(u32),
    /// The step that makes the next token was handed to the device.
    Submitted,
    /// A token reached the host.
    Token {
        /// Its id.
        id: u32,
        /// Its log-probability, where wanted.
        log_probability: Option<f32>,
        /// The likeliest in its place, where wanted.
        best: Option<&'a Best>,
    },
}

/// Where the loop was when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Reading the prompt, up to the first token.
    Prefill,
    /// After the first token.
    Decode,
}

/// Why nothing more was generated.
#[derive(Debug, Error)]
pub enum GenerateError {
    /// There is nothing to continue.
    #[error("the prompt has no tokens")]
    EmptyPrompt,
    /// A prompt holds an id that the model does not know.
    #[error("id {id} is not below the vocabulary's size of {vocabulary}")]
    UnknownId {
        /// The id.
        id: u32,
        /// How many ids the model knows.
        vocabulary: u32,
    },
    /// MLX refused an operation.
    #[error("{source}")]
    Mlx {
        /// Where the loop was.
        phase: Phase,
        /// What MLX said.
        source: MlxError,
    },
}

/// How a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The budget was spent.
    Length,
    /// This stop token came.
    Stop(u32),
    /// The caller wanted no more.
    Broken,
}

/// Continues a prompt, and waits until the device has nothing left to do.
///
/// # Errors
///
/// When the prompt is empty or holds an unknown id, or MLX refuses an operation.
pub fn generate(
    model: &dyn Model,
    request: &Request<'_>,
    seen: &mut dyn FnMut(Step<'_>) -> ControlFlow<()>,
) -> Result<End, GenerateError> {
    generate_after(&mut Context::default(), model, request, seen)
}

/// The same after what `context` holds, which the tokens are added to.
///
/// # Errors
///
/// As [`generate`].
pub fn generate_after(
    context: &mut Context,
    model: &dyn Model,
    request: &Request<'_>,
    seen: &mut dyn FnMut(Step<'_>) -> ControlFlow<()>,
) -> Result<End, GenerateError> {
    check(model, request.prompt)?;
    let wired = WiredLimit::raise();
    let mut phase = Phase::Prefill;
    let end = Loop::new(context, model, request).and_then(|run| run.run(&mut phase, seen));
    let idle = ffi::synchronize().map_err(MlxError::from);
    context.rest();
    drop(wired);
    let failed = |source| GenerateError::Mlx { phase, source };
    let end = end.map_err(failed)?;
    idle.map_err(failed)?;
    Ok(end)
}

fn check(model: &dyn Model, prompt: &[u32]) -> Result<(), GenerateError> {
    let vocabulary = model.vocabulary();
    match prompt.iter().find(|id| **id >= vocabulary) {
        Some(&id) => Err(GenerateError::UnknownId { id, vocabulary }),
        None if prompt.is_empty() => Err(GenerateError::EmptyPrompt),
        None => Ok(()),
    }
}

/// A token that is still to be computed.
struct Pending {
    /// `[1]`, uint32.
    id: Array,
    /// `[]`, where wanted.
    log_probability: Option<Array>,
    /// Where wanted.
    best: Option<PendingBest>,
}

struct Loop<'a> {
    model: &'a dyn Model,
    request: &'a Request<'a>,
    cache: &'a mut Cache,
    sampler: Sampler<'a>,
}

impl<'a> Loop<'a> {
    fn new(
        context: &'a mut Context,
        model: &'a dyn Model,
        request: &'a Request<'a>,
    ) -> Result<Self, MlxError> {
        let mut sampler = Sampler::new(request.sampling)?;
        sampler.read(context.ids());
        Ok(Self { model, request, cache: context.cache(model), sampler })
    }

    fn run(
        mut self,
        phase: &mut Phase,
        seen: &mut dyn FnMut(Step<'_>) -> ControlFlow<()>,
    ) -> Result<End, MlxError> {
        let last = self.prefill(seen)?;
        let Some(last) = last else {
            return Ok(End::Broken);
        };
        let mut pending = self.submit(&last)?;
        if seen(Step::Submitted).is_break() {
            return Ok(End::Broken);
        }
        let is_ahead = self.request.decode == DecodeMode::Pipelined;
        for n in 0..self.request.max_tokens {
            // As the reference, one step more than is needed is handed over before the last token is read.
            let mut next = if is_ahead { Some(self.submit(&pending.id)?) } else { None };
            let flow = if is_ahead { seen(Step::Submitted) } else { ControlFlow::Continue(()) };
            let id = pending.id.try_item_exact::<u32>().map_err(conversion)?;
            let log_probability = match &pending.log_probability {
                Some(value) => Some(value.try_item_cast::<f32>().map_err(conversion)?),
                None => None,
            };
            let best = pending.best.map(PendingBest::read).transpose()?;
            *phase = Phase::Decode;
            let token = Step::Token { id, log_probability, best: best.as_ref() };
            if flow.is_break() || seen(token).is_break() {
                return Ok(End::Broken);
            }
            if self.request.stop.contains(&id) {
                return Ok(End::Stop(id));
            }
            if n % RELEASE_EVERY == 0 {
                clear_cache()?;
            }
            if next.is_none() && n + 1 < self.request.max_tokens {
                next = Some(self.submit(&pending.id)?);
                if seen(Step::Submitted).is_break() {
                    return Ok(End::Broken);
                }
            }
            let Some(next) = next else { break };
            pending = next;
        }
        Ok(End::Length)
    }

    /// Reads all of the prompt but its last token, which it returns as `[1]`; none where the caller broke off.
    fn prefill(
        &mut self,
        seen: &mut dyn FnMut(Step<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Array>, MlxError> {
        let prompt = self.request.prompt;
        let (prefix, last) = prompt.split_at(prompt.len().saturating_sub(1));
        let mut read = 0u32;
        for chunk in prefix.chunks(self.request.prefill_chunk.max(1) as usize) {
            read_chunk(self.model, self.cache, chunk, self.request.kv)?;
            self.sampler.read(chunk);
            read += u32::try_from(chunk.len()).unwrap_or(u32::MAX);
            if seen(Step::Prefilled(read)).is_break() {
                return Ok(None);
            }
        }
        Ok(Some(Array::from_slice(last, &[1])))
    }

    /// Hands the step after `token` (`[1]`) to the device.
    fn submit(&mut self, token: &Array) -> Result<Pending, MlxError> {
        let (pending, log_probabilities) = self.describe(token)?;
        let wanted =
            [Some(&pending.id), Some(&log_probabilities), pending.log_probability.as_ref()];
        let best_of_all = pending.best.iter().flat_map(PendingBest::arrays);
        async_eval(wanted.into_iter().flatten().chain(best_of_all))?;
        Ok(pending)
    }

    /// The graph of the step after `token` (`[1]`), and the log-probabilities in it, `[1, vocabulary]`; nothing is
    /// computed.
    fn describe(&mut self, token: &Array) -> Result<(Pending, Array), MlxError> {
        let scores = self.model.forward(&token.reshape(&[1, 1])?, self.cache)?;
        let scores = scores.try_index((.., -1, ..))?;
        let scores = self.sampler.penalize(token, scores)?;
        pack(self.cache, self.request.kv)?;
        let log_probabilities = scores.subtract(scores.logsumexp(true)?)?;
        let id = self.sampler.choose(&log_probabilities)?;
        let log_probability = match self.request.scores {
            Scores::Unwanted | Scores::OfBest(_) => None,
            Scores::OfChosen => Some(log_probabilities.reshape(&[-1])?.take_axis(&id, 0)?),
        };
        let best = match self.request.scores {
            Scores::OfBest(count) => Some(PendingBest::of(&scores, count)?),
            Scores::Unwanted | Scores::OfChosen => None,
        };
        Ok((Pending { id, log_probability, best }, log_probabilities))
    }
}

/// Reads a chunk of a prompt into `cache`, and waits for it.
fn read_chunk(
    model: &dyn Model,
    cache: &mut Cache,
    chunk: &[u32],
    kv: Option<KvPacking>,
) -> Result<(), MlxError> {
    let length = i32::try_from(chunk.len()).unwrap_or(i32::MAX);
    let tokens = Array::from_slice(chunk, &[1, length]);
    model.forward(&tokens, cache)?;
    pack(cache, kv)?;
    eval(cache.arrays())?;
    Ok(clear_cache()?)
}

/// Packs what is due.
fn pack(cache: &mut Cache, kv: Option<KvPacking>) -> Result<(), MlxError> {
    if let Some(kv) = kv {
        let start = i32::try_from(kv.start).unwrap_or(i32::MAX);
        cache.pack(kv.into(), start)?;
    }
    Ok(())
}

fn conversion(error: impl std::fmt::Display) -> MlxError {
    MlxError::new(error.to_string())
}

/// Keeps weights resident on Metal for as long as it lives; elsewhere it does nothing.
///
/// Reference: `mlx_lm.generate.wired_limit`.
struct WiredLimit(Option<usize>);

impl WiredLimit {
    fn raise() -> Self {
        let limit = ffi::device_info().working_set_bytes;
        let limit = limit.and_then(|bytes| usize::try_from(bytes).ok());
        Self(limit.and_then(|limit| set_wired_limit(limit).ok()))
    }
}

impl Drop for WiredLimit {
    fn drop(&mut self) {
        if let Some(before) = self.0 {
            // Nothing can be done about a refusal, and the next request raises it again.
            let _ = set_wired_limit(before);
        }
    }
}
