//! A low-rank way around attention (Gemma 3n).
//!
//! Paper: Menghani et al., "Learned augmented residual layer" (2024).

use mlx_rs::Array;

use super::recipe::Recipe;
use crate::{
    checkpoint::{LoadError, Scope},
    nn::{self, Linear, Norm, NormKind},
};

/// The way around attention, with its weights.
pub(super) struct Shortcut {
    left: Linear,
    right: Linear,
    norm: Norm,
}

impl Shortcut {
    /// Takes the tensors below `scope`, where `recipe` asks for several streams.
    pub(super) fn load(scope: &Scope<'_>, recipe: &Recipe) -> Result<Option<Self>, LoadError> {
        let Some(streams) = recipe.extras.streams else {
            return Ok(None);
        };
        let (width, rank) = (recipe.width, streams.shortcut_rank);
        let norm = scope.at("post_laurel_norm");
        Ok(Some(Self {
            left: Linear::load(&scope.at("linear_left"), rank, width)?,
            right: Linear::load(&scope.at("linear_right"), width, rank)?,
            norm: Norm::load(&norm, NormKind::Rms, width, recipe.eps)?,
        }))
    }

    /// The stream `x` with what attention has `read`, sent along this way; their length is that of one of them.
    pub(super) fn add(&self, x: &Array, read: &Array) -> nn::Result<Array> {
        let through = self.right.forward(&self.left.forward(read)?)?;
        let x = x.add(read.add(self.norm.forward(&through)?)?)?;
        Ok(x.multiply(nn::scalar(std::f32::consts::FRAC_1_SQRT_2, &x))?)
    }
}
