//! Rotary position embedding and its scalings.
//!
//! Paper: Su et al., "Rotary position embedding" (2021). Reference: `mlx_lm.models.rope_utils`. Plain and linearly scaled
//! embeddings use MLX's `base` path, all others its `freqs` path: the two differ in the last bits.

use mlx_rs::{Array, fast, ops::concatenate};

use super::{MlxError, Result, periods, scalar, single};

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
    /// A base that grows with the sequence once that is longer than the trained length.
    Dynamic {
        /// How fast it grows.
        factor: f64,
        /// The trained length, in tokens.
        trained: i32,
    },
    /// A base multiplied by `alpha ^ (dims / (dims - 2))` (Hunyuan).
    Alpha {
        /// The factor.
        alpha: f64,
    },
    /// The other way round (nanochat).
    Backwards,
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
    /// Low frequencies divided by a factor, with a ramp between two numbers of turns (YaRN).
    Yarn {
        /// The factor.
        factor: f32,
        /// The trained length, in tokens.
        original: f64,
        /// Turns within it from which a pair is left alone.
        fast: f64,
        /// Turns within it up to which a pair is scaled in full.
        slow: f64,
        /// What rotated dimensions are multiplied by.
        amplitude: f32,
    },
    /// Each pair's period multiplied by a factor of its own (LongRoPE).
    Long {
        /// The factors, one a pair.
        factors: Vec<f32>,
        /// What rotated dimensions are multiplied by.
        amplitude: f32,
    },
    /// Only the first `rotated` dimensions turn, but pairs lie as if all did (Gemma 4).
    Proportional {
        /// Dimensions that turn.
        rotated: i32,
        /// What periods are multiplied by.
        factor: f32,
    },
}

/// A rotary position embedding, ready to be applied.
pub struct RotaryEmbedding {
    dims: i32,
    traditional: bool,
    frequencies: Frequencies,
    /// What rotated dimensions are multiplied by, where that is not one.
    amplitude: Option<f32>,
}

enum Frequencies {
    /// Powers of `theta`, positions multiplied by `scale`.
    Base { theta: f32, scale: f32 },
    /// The same with a base that grows; see [`RopeScaling::Dynamic`].
    Growing { theta: f64, factor: f64, trained: i32 },
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
        Ok(Self {
            dims: rope.dims,
            traditional: matches!(rope.pairs, Pairs::Interleaved),
            frequencies: Frequencies::new(rope)?,
            amplitude: match rope.scaling {
                RopeScaling::Yarn { amplitude, .. } | RopeScaling::Long { amplitude, .. } => {
                    Some(amplitude).filter(|amplitude| (amplitude - 1.0).abs() > 0.0)
                }
                RopeScaling::None
                | RopeScaling::Linear { .. }
                | RopeScaling::Dynamic { .. }
                | RopeScaling::Alpha { .. }
                | RopeScaling::Backwards
                | RopeScaling::Llama3 { .. }
                | RopeScaling::Proportional { .. } => None,
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
            Frequencies::Growing { theta, factor, trained } => {
                let length = f64::from((x.dim(-2) + offset).max(*trained));
                let growth = factor * length / f64::from(*trained) - (factor - 1.0);
                (Some(grown(*theta, growth, self.dims)), 1.0, None)
            }
            Frequencies::Periods(periods) => (None, 1.0, Some(periods)),
        };
        let amplified = match self.amplitude {
            Some(amplitude) => Some(self.amplified(x, amplitude)?),
            None => None,
        };
        Ok(fast::rope(
            amplified.as_ref().unwrap_or(x),
            self.dims,
            self.traditional,
            theta,
            scale,
            offset,
            periods,
        )?)
    }

    /// `x` with its rotated dimensions multiplied by `amplitude`.
    fn amplified(&self, x: &Array, amplitude: f32) -> Result<Array> {
        let amplitude = scalar(amplitude, x);
        if self.dims == x.dim(-1) {
            return Ok(x.multiply(amplitude)?);
        }
        let parts = x.split_at_indices(&[self.dims], -1)?;
        let [rotated, rest] = parts.as_slice() else {
            return Err(MlxError::new("a head did not split into two"));
        };
        Ok(concatenate(&[&rotated.multiply(amplitude)?, rest], -1)?)
    }
}

impl Frequencies {
    fn new(rope: &Rope) -> Result<Self> {
        let Rope { dims, theta, .. } = *rope;
        Ok(match &rope.scaling {
            RopeScaling::None => Self::Base { theta, scale: 1.0 },
            RopeScaling::Linear { factor } => Self::Base { theta, scale: 1.0 / factor },
            RopeScaling::Dynamic { factor, trained } => {
                Self::Growing { theta: f64::from(theta), factor: *factor, trained: *trained }
            }
            RopeScaling::Alpha { alpha } => {
                let theta = grown(f64::from(theta), *alpha, dims);
                Self::Periods(periods::plain(theta, dims, dims)?)
            }
            RopeScaling::Backwards => Self::Periods(periods::backwards(theta, dims)?),
            RopeScaling::Llama3 { factor, low, high, original } => {
                let plain = periods::plain(theta, dims, dims)?;
                Self::Periods(periods::llama3(&plain, *factor, *low, *high, *original)?)
            }
            RopeScaling::Yarn { factor, original, fast, slow, .. } => {
                let yarn = periods::Yarn {
                    factor: *factor,
                    original: *original,
                    fast: *fast,
                    slow: *slow,
                };
                Self::Periods(periods::yarn(theta, dims, &yarn)?)
            }
            RopeScaling::Long { factors, .. } => {
                Self::Periods(periods::long(theta, dims, factors)?)
            }
            RopeScaling::Proportional { rotated, factor } => {
                Self::Periods(periods::proportional(theta, *rotated, dims, *factor)?)
            }
        })
    }
}

/// A base for sequences `growth` times as long: `theta · growth ^ (dims / (dims - 2))`.
fn grown(theta: f64, growth: f64, dims: i32) -> f32 {
    single(theta * growth.powf(f64::from(dims) / f64::from(dims - 2)))
}
