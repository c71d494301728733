//! The feed-forward half of a block.

use mlx_rs::Array;

use super::recipe;
use crate::{
    checkpoint::{LoadError, Scope},
    nn::{self, Activation, Linear},
};

/// The feed-forward half of a block, with its weights.
pub(super) enum FeedForward {
    /// See [`recipe::FeedForward::Gated`].
    Gated(Gated),
}

impl FeedForward {
    /// Takes every tensor below `scope` that `recipe` asks for; the residual stream is `width` wide.
    pub(super) fn load(
        scope: &Scope<'_>,
        width: i32,
        recipe: &recipe::FeedForward,
    ) -> Result<Self, LoadError> {
        match *recipe {
            recipe::FeedForward::Gated { activation, inner } => {
                Gated::load(scope, width, inner, activation).map(Self::Gated)
            }
        }
    }

    /// Transforms each position of `x` (`[batch, n, width]`) by itself.
    pub(super) fn forward(&self, x: &Array) -> nn::Result<Array> {
        match self {
            Self::Gated(gated) => gated.forward(x),
        }
    }
}

/// A gated feed-forward half.
pub(super) struct Gated {
    gate: Linear,
    up: Linear,
    down: Linear,
    activation: Activation,
}

impl Gated {
    fn load(
        scope: &Scope<'_>,
        width: i32,
        inner: i32,
        activation: Activation,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            gate: Linear::load(&scope.at("gate_proj"), inner, width)?,
            up: Linear::load(&scope.at("up_proj"), inner, width)?,
            down: Linear::load(&scope.at("down_proj"), width, inner)?,
            activation,
        })
    }

    fn forward(&self, x: &Array) -> nn::Result<Array> {
        let (gate, up) = (self.gate.forward(x)?, self.up.forward(x)?);
        self.down.forward(&self.activation.gate(&gate, &up)?)
    }
}
