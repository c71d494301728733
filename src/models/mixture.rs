//! The feed-forward half of a block of which each token meets only a few experts.
//!
//! Below the block lie `gate`, the router; `switch_mlp`, the experts; `fc1_latent_proj` and `fc2_latent_proj` into what
//! they hear and back; `shared_experts`, what every token meets, and `shared_expert_gate`. Families bring other names to
//! these.

use mlx_rs::{Array, ops::sigmoid};

use super::{
    feed_forward::FeedForward,
    recipe::{self, Shared, Weighted},
    router::{Chosen, Routing},
};
use crate::{
    checkpoint::{Checkpoint, LoadError, Scope},
    nn::{self, Experts, Linear, MlxError},
};

pub(super) struct Mixture {
    router: Routing,
    experts: Experts,
    /// Into what experts hear, and back.
    latent: Option<(Linear, Linear)>,
    weighted: Weighted,
    shared: Option<SharedExperts>,
}

/// What every token meets.
struct SharedExperts {
    experts: FeedForward,
    /// Of one output.
    gate: Option<Linear>,
}

impl Mixture {
    /// Takes every tensor below `scope` that `recipe` asks for; the residual stream is `width` wide.
    pub(super) fn load(
        scope: &Scope<'_>,
        width: i32,
        recipe: &recipe::Mixture,
    ) -> Result<Self, LoadError> {
        let &recipe::Mixture { ref router, experts, inner, activation, .. } = recipe;
        let &recipe::Mixture { is_gated, latent, weighted, shared, .. } = recipe;
        let linear = |name, outputs, inputs| Linear::load(&scope.at(name), outputs, inputs);
        let half = |half| FeedForward::load(&scope.at("shared_experts"), width, &half);
        let always = |inner| {
            half(if is_gated {
                recipe::FeedForward::gated(activation, inner)
            } else {
                recipe::FeedForward::plain(activation, inner)
            })
        };
        let load = if is_gated { Experts::load } else { Experts::load_plain };
        let heard = latent.unwrap_or(width);
        Ok(Self {
            router: Routing::load(scope, router, experts, width)?,
            experts: load(&scope.at("switch_mlp"), (experts, inner), heard, activation)?,
            latent: match latent {
                None => None,
                Some(latent) => Some((
                    linear("fc1_latent_proj", latent, width)?,
                    linear("fc2_latent_proj", width, latent)?,
                )),
            },
            weighted,
            shared: match shared {
                Shared::None => None,
                Shared::Always { inner } => {
                    Some(SharedExperts { experts: always(inner)?, gate: None })
                }
                Shared::Fused { inner } => Some(SharedExperts {
                    experts: half(recipe::FeedForward::GatedFused { activation, inner })?,
                    gate: None,
                }),
                Shared::Gated { inner } => Some(SharedExperts {
                    experts: always(inner)?,
                    gate: Some(linear("shared_expert_gate", 1, width)?),
                }),
            },
        })
    }

    /// Shows each position of `x` (`[batch, n, width]`) to its experts and sums what they say.
    pub(super) fn forward(&self, x: &Array) -> nn::Result<Array> {
        let Chosen { experts, weights } = self.router.forward(x)?;
        let y = match self.weighted {
            Weighted::Output => {
                let y = match &self.latent {
                    None => self.experts.forward(x, &experts)?,
                    Some((into, _)) => self.experts.forward(&into.forward(x)?, &experts)?,
                };
                let summed = y.multiply(weights.expand_dims(-1)?)?.sum_axis(-2, false)?;
                let summed = summed.as_dtype(y.dtype())?;
                match &self.latent {
                    None => summed,
                    Some((_, back)) => back.forward(&summed)?,
                }
            }
            Weighted::Input => {
                let heard = x.multiply(&weights)?;
                self.experts.forward(&heard, &experts)?.squeeze_axes(&[-2])?
            }
        };
        match &self.shared {
            None => Ok(y),
            Some(shared) => Ok(y.add(shared.forward(x)?)?),
        }
    }
}

impl SharedExperts {
    fn forward(&self, x: &Array) -> nn::Result<Array> {
        let y = self.experts.forward(x)?;
        match &self.gate {
            None => Ok(y),
            Some(gate) => Ok(sigmoid(gate.forward(x)?)?.multiply(y)?),
        }
    }
}

/// What the projections of an expert are called: by the file, and by [`Mixture`].
pub(super) type Projections = [(&'static str, &'static str); 3];

/// The usual names.
pub(super) const PROJECTIONS: Projections =
    [("gate_proj", "gate_proj"), ("up_proj", "up_proj"), ("down_proj", "down_proj")];

/// Stacks `count` experts that lie one by one at `experts` of each block, where they do.
///
/// # Errors
///
/// When one is missing, or differs from the first in shape.
pub(super) fn stack_experts(
    checkpoint: &Checkpoint<'_>,
    layers: usize,
    count: i32,
    projections: Projections,
) -> Result<(), LoadError> {
    for layer in 0..layers {
        let mixture = format!("model.layers.{layer}.mlp");
        for (from, into) in projections {
            let each = (0..count).map(|expert| format!("{mixture}.experts.{expert}.{from}"));
            checkpoint.stack(each, &format!("{mixture}.switch_mlp.{into}"))?;
        }
    }
    Ok(())
}

/// Gives the experts of each of `mixtures` our names and layout where a file has them as bare `experts.gate_up_proj`
/// (`[experts, width, 2 · inner]`, the gate first) and `experts.down_proj`.
///
/// # Errors
///
/// When one of the two is missing, or cannot be halved.
pub(super) fn adopt_transposed(
    checkpoint: &Checkpoint<'_>,
    mixtures: impl IntoIterator<Item = String>,
) -> Result<(), LoadError> {
    for mixture in mixtures {
        let turned = |x: Array| x.swap_axes(-1, -2).map_err(MlxError::from);
        let whole = format!("{mixture}.experts.gate_up_proj");
        let Some(gate_up) = checkpoint.take(&whole) else {
            continue;
        };
        let gate_up = turned(gate_up)?;
        let inner = gate_up.dim(1) / 2;
        checkpoint.insert(whole.clone(), gate_up);
        let halves = ["gate_proj", "up_proj"].map(|part| {
            let path = format!("{mixture}.switch_mlp.{part}.weight");
            (path, inner)
        });
        checkpoint.split(&whole, 1, &halves)?;
        let name = format!("{mixture}.experts.down_proj");
        let down = checkpoint.take(&name).ok_or(LoadError::Missing { name })?;
        checkpoint.insert(format!("{mixture}.switch_mlp.down_proj.weight"), turned(down)?);
    }
    Ok(())
}
