//! The periods of a scaled rotary embedding: how many tokens each pair of dimensions takes for a turn of 1 rad.
//!
//! Reference: `mlx_lm.models.rope_utils`, whose order of operations shows in the last bits. What there is Python
//! arithmetic is double precision here; what is an array there is float32.

use std::f64::consts::PI;

use mlx_rs::{
    Array,
    ops::{arange, clip, concatenate, exp, full, select},
};

use super::{Result, single};

/// `theta ^ (2i / dims)` for `i` below `rotated / 2`: `[rotated / 2]`, float32.
pub(super) fn plain(theta: f32, rotated: i32, dims: i32) -> Result<Array> {
    let exponents = arange::<i32, i32>(0, rotated, 2)?.divide(Array::from_int(dims))?;
    Ok(float(theta).power(exponents)?)
}

/// Long wavelengths stretched by `factor`, short ones left alone, with a smooth passage (Llama 3.1).
pub(super) fn llama3(
    periods: &Array,
    factor: f32,
    low: f32,
    high: f32,
    original: f32,
) -> Result<Array> {
    let wavelengths = float(2.0 * std::f32::consts::PI).multiply(periods)?;
    let (longest, shortest) = (float(original / low), float(original / high));
    let scaled = select(wavelengths.gt(&longest)?, periods.multiply(float(factor))?, periods)?;
    let between = wavelengths.gt(&shortest)?.logical_and(wavelengths.lt(&longest)?)?;
    let smooth =
        float(original).divide(&wavelengths)?.subtract(float(low))?.divide(float(high - low))?;
    let blend = float(1.0).subtract(&smooth)?.divide(float(factor))?.add(&smooth)?;
    Ok(select(between, scaled.divide(blend)?, scaled)?)
}

/// Negative periods, so that pairs turn the other way.
///
/// Reference: `mlx_lm.models.nanochat`, where they are powers of e.
pub(super) fn backwards(theta: f32, dims: i32) -> Result<Array> {
    let half = dims / 2;
    let step = single(f64::from(theta).ln() / f64::from(half));
    let exponents = arange::<f32, f32>(0.0, single(f64::from(half)), 1.0)?.multiply(float(step))?;
    Ok(exp(exponents)?.negative()?)
}

/// What YaRN asks for.
pub(super) struct Yarn {
    /// By how much long wavelengths are stretched.
    pub(super) factor: f32,
    /// The trained length, in tokens.
    pub(super) original: f64,
    /// Turns within it from which a pair is left alone.
    pub(super) fast: f64,
    /// Turns within it up to which a pair is stretched in full.
    pub(super) slow: f64,
}

/// Stretched and plain periods blended along a ramp over the pairs (YaRN).
pub(super) fn yarn(theta: f32, dims: i32, yarn: &Yarn) -> Result<Array> {
    let plain = plain(theta, dims, dims)?;
    let stretched = float(yarn.factor).multiply(&plain)?;
    let pair_of = |turns: f64| {
        let wavelengths = (yarn.original / (turns * 2.0 * PI)).ln();
        f64::from(dims) * wavelengths / (2.0 * f64::from(theta).ln())
    };
    let low = pair_of(yarn.fast).floor().max(0.0);
    let high = pair_of(yarn.slow).ceil().min(f64::from(dims - 1));
    let length = high - low;
    // A ramp of no length would divide by zero.
    let length = if length.abs() > 0.0 { length } else { 0.001 };
    let ramp = arange::<i32, f32>(0, dims / 2, 1)?
        .subtract(float(single(low)))?
        .divide(float(single(length)))?;
    let ramp = clip(ramp, (0.0, 1.0))?;
    let kept = float(1.0).subtract(ramp)?;
    let rest = float(1.0).subtract(&kept)?;
    let blend = stretched.multiply(&kept)?.add(plain.multiply(rest)?)?;
    Ok(stretched.multiply(&plain)?.divide(blend)?)
}

/// A factor a pair (LongRoPE).
pub(super) fn long(theta: f32, dims: i32, factors: &[f32]) -> Result<Array> {
    let count = i32::try_from(factors.len()).unwrap_or(0);
    Ok(Array::from_slice(factors, &[count]).multiply(plain(theta, dims, dims)?)?)
}

/// Only the first `rotated` of `dims` dimensions turn, as fast as if all did; the others take forever.
pub(super) fn proportional(theta: f32, rotated: i32, dims: i32, factor: f32) -> Result<Array> {
    let turning = float(factor).multiply(plain(theta, rotated, dims)?)?;
    let resting = full::<f32>(&[(dims - rotated) / 2], float(f32::INFINITY))?;
    Ok(concatenate(&[turning, resting], 0)?)
}

fn float(value: f32) -> Array {
    Array::from_slice(&[value], &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(periods: &Array) -> Vec<f32> {
        periods.contiguous().unwrap().try_as_slice::<f32>().unwrap().to_vec()
    }

    #[track_caller]
    fn assert_near(periods: &Array, expected: &[f32]) {
        let found = values(periods);
        assert_eq!(found.len(), expected.len());
        for (ours, theirs) in found.iter().zip(expected) {
            // Their inverses, since a pair may rest.
            let gap = (1.0 / ours - 1.0 / theirs).abs();
            assert!(gap < 1e-6, "{found:?} and {expected:?}");
        }
    }

    #[test]
    fn periods_are_powers_of_theta() {
        assert_near(&plain(10_000.0, 8, 8).unwrap(), &[1.0, 10.0, 100.0, 1000.0]);
    }

    #[test]
    fn backwards_is_negative() {
        let periods = backwards(10_000.0, 8).unwrap();
        assert_near(&periods, &[-1.0, -10.0, -100.0, -1000.0]);
    }

    #[test]
    fn yarn_stretches_slow_pairs_only() {
        // Plain periods are 1, 10, 100 and 1000 tokens. A pair that turns 32 times in 256 tokens would be at 0.1, one that turns once 1.6: the ramp runs from 0 to 2, so that half of pair 1 is stretched,
        // 10 · 40 / (½ · 40 + ½ · 10) = 16, and pairs 2 and 3 are stretched in full.
        let yarn_of_4 = Yarn { factor: 4.0, original: 256.0, fast: 32.0, slow: 1.0 };
        let periods = yarn(10_000.0, 8, &yarn_of_4).unwrap();
        assert_near(&periods, &[1.0, 16.0, 400.0, 4000.0]);
    }

    #[test]
    fn resting_pairs_take_forever() {
        let periods = proportional(10_000.0, 4, 8, 2.0).unwrap();
        assert_near(&periods, &[2.0, 20.0, f32::INFINITY, f32::INFINITY]);
    }
}
