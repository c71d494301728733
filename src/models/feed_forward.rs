//! The feed-forward half of a block.

use mlx_rs::Array;

use super::{mixture::Mixture, recipe};
use crate::{
    checkpoint::{LoadError, Scope},
    nn::{self, Activation, Linear, MlxError, SparseGelu, XieLu},
};

/// The feed-forward half of a block, with its weights; see [`recipe::FeedForward`].
pub(super) enum FeedForward {
    Gated {
        gate: Linear,
        up: Linear,
        down: Linear,
        activation: Activation,
    },
    GatedFused {
        gate_up: Linear,
        down: Linear,
        activation: Activation,
    },
    /// Its activation also says which units count.
    GatedSparse {
        gate: Linear,
        up: Linear,
        down: Linear,
        activation: SparseGelu,
    },
    Plain {
        up: Linear,
        down: Linear,
        activation: Activation,
    },
    Mixture(Box<Mixture>),
    XieLu {
        up: Linear,
        down: Linear,
        activation: XieLu,
    },
}

impl FeedForward {
    /// Takes every tensor below `scope` that `recipe` asks for; the residual stream is `width` wide.
    pub(super) fn load(
        scope: &Scope<'_>,
        width: i32,
        recipe: &recipe::FeedForward,
    ) -> Result<Self, LoadError> {
        let into = |name, outputs| Linear::load(&scope.at(name), outputs, width);
        let back = |inner| Linear::load(&scope.at("down_proj"), width, inner);
        Ok(match *recipe {
            recipe::FeedForward::Gated(activation, inner) => Self::Gated {
                gate: into("gate_proj", inner)?,
                up: into("up_proj", inner)?,
                down: back(inner)?,
                activation,
            },
            recipe::FeedForward::GatedFused(activation, inner) => Self::GatedFused {
                gate_up: into("gate_up_proj", 2 * inner)?,
                down: back(inner)?,
                activation,
            },
            recipe::FeedForward::GatedSparse(dropped, inner) => Self::GatedSparse {
                gate: into("gate_proj", inner)?,
                up: into("up_proj", inner)?,
                down: back(inner)?,
                activation: SparseGelu::new(dropped)?,
            },
            recipe::FeedForward::Plain(activation, inner) => {
                Self::Plain { up: into("up_proj", inner)?, down: back(inner)?, activation }
            }
            recipe::FeedForward::Mixture(ref mixture) => {
                Self::Mixture(Box::new(Mixture::load(scope, width, mixture)?))
            }
            recipe::FeedForward::XieLu(inner) => Self::XieLu {
                up: into("up_proj", inner)?,
                down: back(inner)?,
                activation: XieLu::load(&scope.at("act_fn"))?,
            },
        })
    }

    /// Transforms each position of `x` (`[batch, n, width]`) by itself.
    pub(super) fn forward(&self, x: &Array) -> nn::Result<Array> {
        match self {
            Self::Gated { gate, up, down, activation } => {
                let (gate, up) = (gate.forward(x)?, up.forward(x)?);
                down.forward(&activation.gate(&gate, &up)?)
            }
            Self::GatedFused { gate_up, down, activation } => {
                let halves = gate_up.forward(x)?.split_equal(2, -1)?;
                let [gate, up] = halves.as_slice() else {
                    return Err(MlxError::new("a projection did not split into two"));
                };
                down.forward(&activation.gate(gate, up)?)
            }
            Self::GatedSparse { gate, up, down, activation } => {
                let (gate, up) = (gate.forward(x)?, up.forward(x)?);
                down.forward(&activation.gate(&gate, &up)?)
            }
            Self::Plain { up, down, activation } => {
                down.forward(&activation.forward(&up.forward(x)?)?)
            }
            Self::Mixture(mixture) => mixture.forward(x),
            Self::XieLu { up, down, activation } => {
                down.forward(&activation.forward(&up.forward(x)?)?)
            }
        }
    }
}
