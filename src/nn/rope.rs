//! Rotary position embedding and its scalings.
//!
//! Paper: Su et al., "Rotary position embedding" (2021). Reference: `mlx_lm.models.rope_utils`. Plain and linearly scaled
//! embeddings use MLX's `base` path, all others its `freqs` path: the two differ in the last bits.

use mlx_rs::{
    Array, fast,
    ops::{arange, select},
};

use super::Result;

/// A rotary position embedding, as data.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Leading dimensions of a head that are rotated.
    pub dims: i32,
    /// Base of the frequencies.
    pub theta: f32,
    /// Which dimensions make a pair.
    pub pairs: Pairs,
    /// How positions beyond the trained length are brought into it.
    pub scaling: RopeScaling,
}

/// Which dimensions make a rotated pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// `(i, i + dims/2)`, as most families.
    Halves,
    /// `(2i, 2i + 1)`, "traditional".
    Interleaved,
}

/// How positions beyond the trained length are brought into it.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// Positions divided by a factor.
    Linear {
        /// The factor.
        factor: f32,
    },
    /// Low frequencies divided by a factor, with a smooth passage (Llama 3.1).
    Llama3 {
        /// The factor.
        factor: f32,
        /// Wavelengths longer than `original / low` are scaled in full.
        low: f32,
        /// Wavelengths shorter than `original / high` are left alone.
        high: f32,
        /// The trained length, in tokens.
        original: f32,
    },
}

/// A rotary position embedding, ready to be applied.
pub struct RotaryEmbedding {
    dims: i32,
    traditional: bool,
    frequencies: Frequencies,
}

enum Frequencies {
    /// Powers of `theta`, positions multiplied by `scale`.
    Base { theta: f32, scale: f32 },
    /// One period a pair: `[dims / 2]`, float32.
    Periods(Array),
}

impl RotaryEmbedding {
    /// Computes what `rope` needs beside positions.
    ///
    /// # Errors
    ///
    /// When MLX refuses.
    pub fn new(rope: &Rope) -> Result<Self> {
        let base = |scale| Frequencies::Base {
            theta: rope.theta,
            scale,
        };
        Ok(Self {
            dims: rope.dims,
            traditional: matches!(rope.pairs, Pairs::Interleaved),
            frequencies: match rope.scaling {
                RopeScaling::None => base(1.0),
                RopeScaling::Linear { factor } => base(1.0 / factor),
                RopeScaling::Llama3 {
                    factor,
                    low,
                    high,
                    original,
                } => Frequencies::Periods(llama3_periods(rope, factor, low, high, original)?),
            },
        })
    }

    /// Rotates `x` (`[batch, heads, n, dim]`), whose first position is `offset`.
    ///
    /// # Errors
    ///
    /// When MLX refuses.
    pub fn forward(&self, x: &Array, offset: i32) -> Result<Array> {
        let (theta, scale, periods) = match &self.frequencies {
            Frequencies::Base { theta, scale } => (Some(*theta), *scale, None),
            Frequencies::Periods(periods) => (None, 1.0, Some(periods)),
        };
        Ok(fast::rope(
            x,
            self.dims,
            self.traditional,
            theta,
            scale,
            offset,
            periods,
        )?)
    }
}

fn float(value: f32) -> Array {
    Array::from_slice(&[value], &[])
}

fn llama3_periods(rope: &Rope, factor: f32, low: f32, high: f32, original: f32) -> Result<Array> {
    let exponents = arange::<i32, i32>(0, rope.dims, 2)?.divide(Array::from_int(rope.dims))?;
    let periods = float(rope.theta).power(exponents)?;
    let wavelengths = float(2.0 * std::f32::consts::PI).multiply(&periods)?;
    let (longest, shortest) = (float(original / low), float(original / high));
    let scaled = select(
        wavelengths.gt(&longest)?,
        periods.multiply(float(factor))?,
        &periods,
    )?;
    let between = wavelengths
        .gt(&shortest)?
        .logical_and(wavelengths.lt(&longest)?)?;
    let smooth = float(original)
        .divide(&wavelengths)?
        .subtract(float(low))?
        .divide(float(high - low))?;
    let blend = float(1.0)
        .subtract(&smooth)?
        .divide(float(factor))?
        .add(&smooth)?;
    Ok(select(between, scaled.divide(blend)?, scaled)?)
}
