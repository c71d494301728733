//! The feed-forward half of a block.

use mlx_rs::Array;

use super::{mixture::Mixture, recipe};
use crate::{
    checkpoint::{LoadError, Scope},
    nn::{self, Activation, Linear, MlxError, SparseGelu, XieLu},
};

/// The feed-forward half of a block, with its weights.
pub(super) enum FeedForward {
    /// See [`recipe::FeedForward::Gated`].
    Gated(Gated),
    /// See [`recipe::FeedForward::GatedFused`].
    GatedFused(GatedFused),
    /// See [`recipe::FeedForward::GatedSparse`].
    GatedSparse { gate: Linear, up: Linear, down: Linear, activation: SparseGelu },
    /// See [`recipe::FeedForward::Plain`].
    Plain(Plain),
    /// See [`recipe::FeedForward::Mixture`].
    Mixture(Box<Mixture>),
    /// See [`recipe::FeedForward::XieLu`].
    XieLu(Learned),
}

impl FeedForward {
    /// Takes every tensor below `scope` that `recipe` asks for; the residual stream is `width` wide.
    pub(super) fn load(
        scope: &Scope<'_>,
        width: i32,
        recipe: &recipe::FeedForward,
    ) -> Result<Self, LoadError> {
        let project = |name, outputs, inputs| Linear::load(&scope.at(name), outputs, inputs);
        Ok(match *recipe {
            recipe::FeedForward::Gated { activation, inner } => Self::Gated(Gated {
                gate: project("gate_proj", inner, width)?,
                up: project("up_proj", inner, width)?,
                down: project("down_proj", width, inner)?,
                activation,
            }),
            recipe::FeedForward::GatedFused { activation, inner } => Self::GatedFused(GatedFused {
                gate_up: project("gate_up_proj", 2 * inner, width)?,
                down: project("down_proj", width, inner)?,
                activation,
            }),
            recipe::FeedForward::GatedSparse { dropped, inner } => Self::GatedSparse {
                gate: project("gate_proj", inner, width)?,
                up: project("up_proj", inner, width)?,
                down: project("down_proj", width, inner)?,
                activation: SparseGelu::new(dropped)?,
            },
            recipe::FeedForward::Plain { activation, inner } => Self::Plain(Plain {
                up: project("up_proj", inner, width)?,
                down: project("down_proj", width, inner)?,
                activation,
            }),
            recipe::FeedForward::Mixture(ref mixture) => {
                Self::Mixture(Box::new(Mixture::load(scope, width, mixture)?))
            }
            recipe::FeedForward::XieLu { inner } => Self::XieLu(Learned {
                up: project("up_proj", inner, width)?,
                down: project("down_proj", width, inner)?,
                activation: XieLu::load(&scope.at("act_fn"))?,
            }),
        })
    }

    /// Transforms each position of `x` (`[batch, n, width]`) by itself.
    pub(super) fn forward(&self, x: &Array) -> nn::Result<Array> {
        match self {
            Self::Gated(gated) => gated.forward(x),
            Self::GatedFused(gated) => gated.forward(x),
            Self::GatedSparse { gate, up, down, activation } => {
                let (gate, up) = (gate.forward(x)?, up.forward(x)?);
                down.forward(&activation.gate(&gate, &up)?)
            }
            Self::Plain(plain) => plain.forward(x),
            Self::Mixture(mixture) => mixture.forward(x),
            Self::XieLu(learned) => learned.forward(x),
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
    fn forward(&self, x: &Array) -> nn::Result<Array> {
        let (gate, up) = (self.gate.forward(x)?, self.up.forward(x)?);
        self.down.forward(&self.activation.gate(&gate, &up)?)
    }
}

/// A gated feed-forward half with one projection into it.
pub(super) struct GatedFused {
    gate_up: Linear,
    down: Linear,
    activation: Activation,
}

impl GatedFused {
    fn forward(&self, x: &Array) -> nn::Result<Array> {
        let halves = self.gate_up.forward(x)?.split_equal(2, -1)?;
        let [gate, up] = halves.as_slice() else {
            return Err(MlxError::new("a projection did not split into two"));
        };
        self.down.forward(&self.activation.gate(gate, up)?)
    }
}

/// A feed-forward half without a gate.
pub(super) struct Plain {
    up: Linear,
    down: Linear,
    activation: Activation,
}

impl Plain {
    fn forward(&self, x: &Array) -> nn::Result<Array> {
        self.down.forward(&self.activation.forward(&self.up.forward(x)?)?)
    }
}

/// A feed-forward half without a gate whose activation is learned.
pub(super) struct Learned {
    up: Linear,
    down: Linear,
    activation: XieLu,
}

impl Learned {
    fn forward(&self, x: &Array) -> nn::Result<Array> {
        self.down.forward(&self.activation.forward(&self.up.forward(x)?)?)
    }
}
