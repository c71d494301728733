//! How a token is chosen from log-probabilities.
//!
//! Reference: `mlx_lm.sample_utils`. Filters see probabilities at temperature 1, since the temperature comes last:
//! top-p, min-p, top-k, then the draw.

use mlx_rs::{
    Array, Dtype,
    ops::{
        argpartition_axis, concatenate,
        indexing::{TryIndexOp, argmax_axis, put_along_axis, take_along_axis},
        select, sort_axis,
    },
    random,
};

use crate::{
    nn::{Result, scalar},
    plan::Sampling,
};

/// Recent tokens that the repetition penalty looks at.
const PENALTY_CONTEXT: usize = 20;

/// Chooses tokens, and remembers what it needs for the next choice.
pub(super) struct Sampler<'a> {
    sampling: &'a Sampling,
    /// The state of the random draws.
    key: Array,
    /// The last tokens read, `[n]`, uint32; kept only where repetition is penalized.
    recent: Option<Array>,
}

impl<'a> Sampler<'a> {
    pub(super) fn new(sampling: &'a Sampling) -> Result<Self> {
        Ok(Self { sampling, key: random::key(sampling.seed)?, recent: None })
    }

    /// Takes note of prompt tokens that were prefilled.
    pub(super) fn read(&mut self, tokens: &[u32]) {
        if self.sampling.repetition_penalty.is_some() {
            let start = tokens.len().saturating_sub(PENALTY_CONTEXT);
            let tail = tokens.get(start..).unwrap_or_default();
            let length = i32::try_from(tail.len()).unwrap_or(0);
            self.recent = Some(Array::from_slice(tail, &[length]));
        }
    }

    /// Lowers the scores (`[1, vocabulary]`) of tokens seen lately, `token` (`[1]`) among them.
    pub(super) fn penalize(&mut self, token: &Array, scores: Array) -> Result<Array> {
        let Some(penalty) = self.sampling.repetition_penalty else {
            return Ok(scores);
        };
        let seen = match self.recent.take() {
            None => token.clone(),
            Some(recent) => concatenate(&[&recent, token], 0)?,
        };
        let surplus = seen.dim(0) - i32::try_from(PENALTY_CONTEXT).unwrap_or(i32::MAX);
        let seen = if surplus > 0 { seen.try_index(surplus..)? } else { seen };
        self.recent = Some(seen.clone());
        let places = seen.expand_dims(0)?;
        let chosen = take_along_axis(&scores, &places, -1)?;
        let penalty = scalar(penalty, &scores);
        let lowered = select(
            chosen.lt(scalar(0.0, &scores))?,
            chosen.multiply(&penalty)?,
            chosen.divide(&penalty)?,
        )?;
        Ok(put_along_axis(&scores, &places, &lowered, -1)?)
    }

    /// The chosen token, `[1]`, uint32, of log-probabilities `[1, vocabulary]`.
    pub(super) fn choose(&mut self, log_probabilities: &Array) -> Result<Array> {
        let Sampling { temperature, top_p, min_p, top_k, .. } = *self.sampling;
        if temperature == 0.0 {
            return Ok(argmax_axis(log_probabilities, -1, false)?);
        }
        let mut kept = log_probabilities.clone();
        if top_p > 0.0 && top_p < 1.0 {
            kept = keep_top_p(&kept, top_p)?;
        }
        if min_p > 0.0 {
            kept = keep_min_p(&kept, min_p)?;
        }
        let vocabulary = kept.dim(-1);
        match i32::try_from(top_k) {
            Ok(top_k) if top_k > 0 && top_k < vocabulary => kept = keep_top_k(&kept, top_k)?,
            _ => {}
        }
        let (state, key) = random::split(&self.key, 2)?;
        self.key = state;
        let sharpened = kept.multiply(scalar(1.0 / temperature, &kept))?;
        Ok(random::categorical(&sharpened, None, None, &key)?)
    }
}

fn without(dropped: &Array, log_probabilities: &Array) -> Result<Array> {
    let nothing = scalar(f32::NEG_INFINITY, log_probabilities);
    Ok(select(dropped, nothing, log_probabilities)?)
}

/// Keeps the likeliest tokens that together have at least `top_p` of the probability; ties stay.
fn keep_top_p(log_probabilities: &Array, top_p: f32) -> Result<Array> {
    let ascending = sort_axis(log_probabilities, -1)?;
    let probabilities = ascending.as_dtype(Dtype::Float32)?.exp()?;
    let above = probabilities.cumsum(-1, true, false)?;
    let total = above.try_index((.., ..1))?.add(probabilities.try_index((.., ..1))?)?;
    let is_dropped = above.ge(total.multiply(scalar(top_p, &total))?)?;
    let dropped = is_dropped.as_dtype(Dtype::Int32)?.sum_axis(-1, true)?;
    let threshold = take_along_axis(&ascending, &dropped, -1)?;
    without(&log_probabilities.lt(threshold)?, log_probabilities)
}

/// Keeps tokens at least `min_p` times as likely as the likeliest.
fn keep_min_p(log_probabilities: &Array, min_p: f32) -> Result<Array> {
    let best = log_probabilities.max_axis(-1, true)?;
    let threshold = best.add(scalar(min_p.ln(), &best))?;
    without(&log_probabilities.lt(threshold)?, log_probabilities)
}

/// Keeps the `top_k` likeliest tokens.
fn keep_top_k(log_probabilities: &Array, top_k: i32) -> Result<Array> {
    let order = argpartition_axis(log_probabilities.negative()?, top_k - 1, -1)?;
    let rest = order.try_index((.., top_k..))?;
    let nothing = scalar(f32::NEG_INFINITY, log_probabilities);
    Ok(put_along_axis(log_probabilities, rest, nothing, -1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_of(probabilities: &[f32]) -> Array {
        let logs: Vec<f32> = probabilities.iter().map(|p| p.ln()).collect();
        Array::from_slice(&logs, &[1, i32::try_from(logs.len()).unwrap()])
    }

    fn survivors(kept: &Array) -> Vec<usize> {
        let kept = kept.contiguous().unwrap();
        let logs = kept.try_as_slice::<f32>().unwrap();
        (0..logs.len()).filter(|i| logs[*i].is_finite()).collect()
    }

    #[test]
    fn filters_keep_what_the_reference_keeps() {
        // The vectors of mlx-lm's own tests of its filters, and a tie.
        let p = log_of(&[0.9, 0.0001, 0.0499, 0.05]);
        assert_eq!(survivors(&keep_top_p(&p, 0.3).unwrap()), [0]);
        assert_eq!(survivors(&keep_top_p(&p, 0.95).unwrap()), [0, 3]);
        let p = log_of(&[0.4, 0.1, 0.1, 0.4]);
        assert_eq!(survivors(&keep_top_p(&p, 0.4).unwrap()), [0, 3]);
        let p = log_of(&[0.9, 0.025, 0.025, 0.025, 0.025]);
        assert_eq!(survivors(&keep_min_p(&p, 0.05).unwrap()), [0]);
        assert_eq!(survivors(&keep_min_p(&p, 0.02).unwrap()), [0, 1, 2, 3, 4]);
        let p = log_of(&[0.1, 0.4, 0.3, 0.2]);
        assert_eq!(survivors(&keep_top_k(&p, 2).unwrap()), [1, 2]);
    }

    #[test]
    fn a_seed_draws_the_same_and_follows_the_probabilities() {
        let sampling = Sampling { temperature: 1.0, seed: 7, ..Sampling::default() };
        let p = log_of(&[0.25, 0.75]);
        let draw = |n: usize| -> Vec<u32> {
            let mut sampler = Sampler::new(&sampling).unwrap();
            (0..n).map(|_| sampler.choose(&p).unwrap().try_item_exact::<u32>().unwrap()).collect()
        };
        let draws = draw(400);
        assert_eq!(draws, draw(400));
        let ones: u32 = draws.iter().sum();
        // 300 expected, standard deviation 8.7.
        assert!((260..=340).contains(&ones), "{ones}");
    }

    #[test]
    fn a_penalty_lowers_both_signs() {
        let sampling = Sampling { repetition_penalty: Some(2.0), ..Sampling::default() };
        let mut sampler = Sampler::new(&sampling).unwrap();
        sampler.read(&[0]);
        let scores = Array::from_slice(&[4f32, -4.0, 4.0], &[1, 3]);
        let token = Array::from_slice(&[1u32], &[1]);
        let lowered = sampler.penalize(&token, scores).unwrap();
        assert_eq!(lowered.try_as_slice::<f32>().unwrap(), [2.0, -8.0, 4.0]);
    }
}
