//! The feed-forward half of a block.

use mlx_rs::Array;

use super::recipe::Layer;
use crate::{
    checkpoint::{LoadError, Scope},
    nn::{self, Activation, Linear},
};

/// A gated feed-forward half with its weights.
pub(super) struct FeedForward {
    gate: Linear,
    up: Linear,
    down: Linear,
    activation: Activation,
}

impl FeedForward {
    /// Takes every tensor below `scope` that `layer` asks for.
    pub(super) fn load(scope: &Scope<'_>, width: i32, layer: &Layer) -> Result<Self, LoadError> {
        Ok(Self {
            gate: Linear::load(&scope.at("gate_proj"), layer.inner, width)?,
            up: Linear::load(&scope.at("up_proj"), layer.inner, width)?,
            down: Linear::load(&scope.at("down_proj"), width, layer.inner)?,
            activation: layer.activation,
        })
    }

    /// Transforms each position of `x` (`[batch, n, width]`) by itself.
    pub(super) fn forward(&self, x: &Array) -> nn::Result<Array> {
        let gated = self
            .activation
            .gate(&self.gate.forward(x)?, &self.up.forward(x)?)?;
        self.down.forward(&gated)
    }
}
