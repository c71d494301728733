//! Normalization of the last axis.

use mlx_rs::{Array, fast};

use super::{MlxError, Result, scalar};
use crate::checkpoint::{LoadError, Scope};

/// Which normalization a family uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// By the root mean square, times the weight.
    Rms,
    /// By the root mean square, times `1 + weight` (Gemma).
    RmsUnitOffset,
    /// By the root mean square, and nothing learned (nanochat).
    RmsPlain,
    /// By mean and variance, times the weight, plus a bias where the checkpoint has one.
    Layer,
    /// The same with `1 + weight` (Nemotron).
    LayerUnitOffset,
    /// By mean and variance, and nothing learned (OLMo).
    LayerPlain,
}

/// A normalization with its weights.
pub struct Norm {
    kind: NormKind,
    weight: Option<Array>,
    bias: Option<Array>,
    eps: f32,
}

impl Norm {
    /// Loads the weight (`[width]`), folding any offset into it once, in its own element type, and the bias.
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
        let weight = match kind {
            NormKind::RmsPlain | NormKind::LayerPlain => None,
            NormKind::Rms | NormKind::Layer => Some(scope.take_shaped("weight", &[width])?),
            NormKind::RmsUnitOffset | NormKind::LayerUnitOffset => {
                let weight = scope.take_shaped("weight", &[width])?;
                let sum = scalar(1.0, &weight).add(weight);
                Some(sum.map_err(MlxError::from)?)
            }
        };
        let bias = match kind {
            NormKind::Layer | NormKind::LayerUnitOffset => {
                scope.take_shaped_if_present("bias", &[width])?
            }
            NormKind::Rms | NormKind::RmsUnitOffset | NormKind::RmsPlain | NormKind::LayerPlain => {
                None
            }
        };
        for learned in [&weight, &bias].into_iter().flatten() {
            scope.record(learned, learned.size());
        }
        Ok(Self { kind, weight, bias, eps })
    }

    /// Normalizes the last axis of `x`.
    ///
    /// # Errors
    ///
    /// When MLX refuses.
    pub fn forward(&self, x: &Array) -> Result<Array> {
        Ok(match self.kind {
            NormKind::Rms | NormKind::RmsUnitOffset | NormKind::RmsPlain => {
                fast::rms_norm(x, self.weight.as_ref(), self.eps)?
            }
            NormKind::Layer | NormKind::LayerUnitOffset | NormKind::LayerPlain => {
                fast::layer_norm(x, self.weight.as_ref(), self.bias.as_ref(), self.eps)?
            }
        })
    }
}

/// Normalizes the last axis of `x` by its root mean square, without a weight.
///
/// # Errors
///
/// When MLX refuses.
pub fn unweighted_norm(x: &Array, eps: f32) -> Result<Array> {
    Ok(fast::rms_norm(x, None, eps)?)
}
