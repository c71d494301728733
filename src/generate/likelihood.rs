//! How well a model foretells a text: the mean negative log-likelihood of its tokens.
//!
//! Reference: `mlx_lm.perplexity`, which takes scores to float32 first.

use std::ops::ControlFlow;

use mlx_rs::{
    Array, Dtype,
    memory::clear_cache,
    ops::{expand_dims, indexing::take_along_axis},
    transforms::eval,
};

use super::{GenerateError, Phase, check, conversion};
use crate::{
    models::{Cache, Model},
    nn::{self, MlxError},
    plan::KvPacking,
};

/// Positions that are scored at once: their scores take `128 × vocabulary × 4` bytes, and as much again for a moment.
const POSITIONS: usize = 128;

/// How well a text was foretold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likelihood {
    /// The mean of the negative logarithm of the probability of each token but the first, in nats; mlx-lm's perplexity
    /// is its exponential.
    pub mean: f64,
    /// Tokens that were read, the first one included.
    pub tokens: u32,
}

/// The mean negative log-likelihood of `ids`, each given all before it, with keys and values packed as `kv` says.
///
/// They are read 128 at a time. `go_on` is told after each such step how many were read, and may end it there: the mean is
/// then that of those. Nothing where there are less than two.
///
/// # Errors
///
/// When an id is unknown, or MLX refuses an operation.
pub fn likelihood(
    model: &dyn Model,
    ids: &[u32],
    kv: Option<KvPacking>,
    go_on: &mut dyn FnMut(u32) -> ControlFlow<()>,
) -> Result<Option<Likelihood>, GenerateError> {
    if ids.len() < 2 {
        return Ok(None);
    }
    check(model, ids)?;
    let mut cache = model.new_cache();
    let (mut sum, mut foretold) = (0.0, 0u32);
    let targets = ids.get(1..).unwrap_or_default();
    for (read, next) in ids.chunks(POSITIONS).zip(targets.chunks(POSITIONS)) {
        // The last token of all foretells nothing.
        let read = read.get(..next.len()).unwrap_or(read);
        let losses = losses(model, &mut cache, (read, next), kv)
            .map_err(|source| GenerateError::Mlx { phase: Phase::Prefill, source })?;
        sum += losses.iter().copied().map(f64::from).sum::<f64>();
        foretold += u32::try_from(losses.len()).unwrap_or(u32::MAX);
        if go_on(foretold + 1).is_break() {
            break;
        }
    }
    Ok(Some(Likelihood { mean: sum / f64::from(foretold), tokens: foretold + 1 }))
}

/// The negative log-likelihood of each of `next` after each of `read`.
fn losses(
    model: &dyn Model,
    cache: &mut Cache,
    (read, next): (&[u32], &[u32]),
    kv: Option<KvPacking>,
) -> nn::Result<Vec<f32>> {
    let length = i32::try_from(read.len()).unwrap_or(i32::MAX);
    let scores = model.forward(&Array::from_slice(read, &[1, length]), cache)?;
    let scores = scores.as_dtype(Dtype::Float32)?;
    if let Some(kv) = kv {
        cache.pack(kv.into(), i32::try_from(kv.start).unwrap_or(i32::MAX))?;
    }
    let next = Array::from_slice(next, &[1, length]);
    let chosen = take_along_axis(&scores, expand_dims(&next, -1)?, -1)?;
    let losses = scores.logsumexp_axis(-1, true)?.subtract(chosen)?.reshape(&[-1])?;
    eval(cache.arrays().chain([&losses]))?;
    let losses = losses.try_as_slice::<f32>().map_err(conversion)?.to_vec();
    drop(scores);
    clear_cache().map_err(MlxError::from)?;
    Ok(losses)
}
