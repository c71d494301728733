//! Normalization of the last axis.

use mlx_rs::{Array, fast};

use super::{Result, scalar};
use crate::checkpoint::{LoadError, Scope};

/// Which normalization a family uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// By the root mean square, times the weight.
    Rms,
    /// By the root mean square, times `1 + weight` (Gemma).
    RmsUnitOffset,
}

/// A normalization with its weights.
pub struct Norm {
    weight: Array,
    eps: f32,
}

impl Norm {
    /// Loads the weight (`[width]`), folding any offset into it once, in its own element type.
    ///
    /// # Errors
    ///
    /// When the weight is missing or of another shape.
    pub fn load(
        scope: &Scope<'_>,
        kind: NormKind,
        width: i32,
        eps: f32,
    ) -> std::result::Result<Self, LoadError> {
        let weight = scope.take_shaped("weight", &[width])?;
        let weight = match kind {
            NormKind::RmsUnitOffset => scalar(1.0, &weight)
                .add(weight)
                .map_err(|error| LoadError::Mlx(error.into()))?,
            NormKind::Rms => weight,
        };
        scope.record(&weight, weight.size());
        Ok(Self { weight, eps })
    }

    /// Normalizes the last axis of `x`.
    ///
    /// # Errors
    ///
    /// When MLX refuses.
    pub fn forward(&self, x: &Array) -> Result<Array> {
        Ok(fast::rms_norm(x, Some(&self.weight), self.eps)?)
    }
}
