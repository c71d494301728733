//! The likeliest tokens at a place, for comparing one run with another.

use mlx_rs::{
    Array, Dtype,
    ops::{
        argpartition_axis,
        indexing::{TryIndexOp, take_along_axis},
    },
};

use super::conversion;
use crate::nn;

/// The likeliest tokens at a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Best {
    /// Each with its log-probability in float32, the likeliest first.
    pub candidates: Vec<(u32, f32)>,
    /// The distance of two neighbouring numbers of the type that the scores are in, where the likeliest lie.
    pub step: f32,
}

/// The same, still to be computed.
pub(super) struct PendingBest {
    /// `[k]`, uint32.
    ids: Array,
    /// `[k]`, float32.
    log_probabilities: Array,
    /// `[]`, float32.
    score: Array,
    dtype: Dtype,
}

impl PendingBest {
    /// The `count` best of `scores` (`[1, vocabulary]`).
    pub(super) fn of(scores: &Array, count: u32) -> nn::Result<Self> {
        let dtype = scores.dtype();
        let scores = scores.as_dtype(Dtype::Float32)?.reshape(&[-1])?;
        let count = i32::try_from(count).unwrap_or(i32::MAX).min(scores.dim(0));
        let order = argpartition_axis(scores.negative()?, count - 1, -1)?;
        let ids = order.try_index(..count)?;
        let log_probabilities = scores.subtract(scores.logsumexp(true)?)?;
        Ok(Self {
            log_probabilities: take_along_axis(&log_probabilities, &ids, -1)?,
            ids: ids.as_dtype(Dtype::Uint32)?,
            score: scores.max(false)?,
            dtype,
        })
    }

    /// All that has to be computed.
    pub(super) fn arrays(&self) -> [&Array; 3] {
        [&self.ids, &self.log_probabilities, &self.score]
    }

    /// Waits for it.
    pub(super) fn read(self) -> nn::Result<Best> {
        let ids = self.ids.try_as_slice::<u32>().map_err(conversion)?;
        let values = self.log_probabilities.try_as_slice::<f32>().map_err(conversion)?;
        let mut candidates: Vec<_> = ids.iter().copied().zip(values.iter().copied()).collect();
        candidates.sort_by(|(one, p), (other, q)| q.total_cmp(p).then(one.cmp(other)));
        let score = self.score.try_item_exact::<f32>().map_err(conversion)?;
        let likeliest = candidates.first().map_or(0.0, |(_, value)| *value);
        let step = step(self.dtype, score.abs().max(likeliest.abs()));
        Ok(Best { candidates, step })
    }
}

/// The distance of `magnitude` to the next larger number of `dtype`.
fn step(dtype: Dtype, magnitude: f32) -> f32 {
    // Bits of the fraction, and the exponent of the smallest normal number.
    let (fraction, lowest) = if dtype == Dtype::Bfloat16 {
        (7, -126)
    } else if dtype == Dtype::Float16 {
        (10, -14)
    } else {
        (23, -126)
    };
    let exponent = if magnitude.is_normal() { exponent(magnitude) } else { lowest };
    2f32.powi(exponent.max(lowest) - fraction)
}

/// The exponent of a normal number.
fn exponent(number: f32) -> i32 {
    let biased = (number.to_bits() >> 23) & 0xff;
    i32::try_from(biased).unwrap_or_default() - 127
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn case(dtype: Dtype, magnitude: f32, expected: f32) {
        assert_eq!(step(dtype, magnitude).to_bits(), expected.to_bits());
    }

    #[test]
    fn a_step_is_the_distance_to_the_next_number() {
        case(Dtype::Float32, 1.0, f32::EPSILON);
        case(Dtype::Float32, 20.0, 20f32.next_up() - 20.0);
        // 8 bits of precision: between 16 and 32 every eighth is a number.
        case(Dtype::Bfloat16, 20.0, 0.125);
        case(Dtype::Bfloat16, 31.99, 0.125);
        case(Dtype::Bfloat16, 32.0, 0.25);
        // 11 bits: between 16 and 32 every 64th.
        case(Dtype::Float16, 20.0, 1.0 / 64.0);
        case(Dtype::Float16, 0.0, 2f32.powi(-24));
    }

    #[test]
    fn the_best_come_with_their_log_probabilities_in_order() {
        let scores = Array::from_slice(&[1f32, 4.0, 2.0, 4.0, -3.0], &[1, 5]);
        let best = PendingBest::of(&scores, 3).unwrap().read().unwrap();
        let (ids, values): (Vec<_>, Vec<_>) = best.candidates.iter().copied().unzip();
        assert_eq!(ids, [1, 3, 2]);
        // log(e^4 / (e^1 + 2 e^4 + e^2 + e^-3)) = -0.782089, and 2 less.
        for (value, expected) in values.iter().zip([-0.782_089, -0.782_089, -2.782_089]) {
            assert!((value - expected).abs() < 1e-5, "{value}");
        }
        assert_eq!(best.step.to_bits(), (4.0 * f32::EPSILON).to_bits());
        assert_eq!(PendingBest::of(&scores, 9).unwrap().read().unwrap().candidates.len(), 5);
    }
}
