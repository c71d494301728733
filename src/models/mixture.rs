//! The feed-forward half of a block of which each token meets only a few experts.
//!
//! Below the block lie `gate`, the router; `switch_mlp`, the experts; `fc1_latent_proj` and `fc2_latent_proj` into what
//! they hear and back; `shared_experts`, what every token meets, and `shared_expert_gate`. Families bring other names to
//! these.

use mlx_rs::{Array, ops::sigmoid};

use super::{
    feed_forward::FeedForward,
    llama,
    recipe::{self, Layer, Recipe, Shared, Weighted},
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
    /// What every token meets.
    shared: Option<FeedForward>,
    /// Of one output.
    shared_gate: Option<Linear>,
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
        let always = |half| FeedForward::load(&scope.at("shared_experts"), width, &half);
        let form = if is_gated { recipe::FeedForward::Gated } else { recipe::FeedForward::Plain };
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
                Shared::Always { inner } | Shared::Gated { inner } => {
                    Some(always(form(activation, inner))?)
                }
                Shared::Fused { inner } => {
                    Some(always(recipe::FeedForward::GatedFused(activation, inner))?)
                }
            },
            shared_gate: match shared {
                Shared::Gated { .. } => Some(linear("shared_expert_gate", 1, width)?),
                Shared::None | Shared::Always { .. } | Shared::Fused { .. } => None,
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
        let Some(shared) = &self.shared else {
            return Ok(y);
        };
        let always = shared.forward(x)?;
        match &self.shared_gate {
            None => Ok(y.add(always)?),
            Some(gate) => Ok(y.add(sigmoid(gate.forward(x)?)?.multiply(always)?)?),
        }
    }
}

/// A Llama of layers like `dense`, with `mixture` for the feed-forward half of every layer that `is_sparse` picks.
pub(super) fn interleaved(
    config: &llama::Config,
    dense: Layer,
    mixture: recipe::Mixture,
    is_sparse: impl Fn(usize) -> bool,
) -> Recipe {
    let mut recipe = llama::uniform(dense, config);
    let half = recipe::FeedForward::mixture(mixture);
    for (index, layer) in recipe.layers.iter_mut().enumerate() {
        if is_sparse(index) {
            layer.feed_forward = half.clone();
        }
    }
    recipe
}

/// Stacks `count` experts that lie one by one at `experts` of each block, where they do.
///
/// # Errors
///
/// When one is missing, or differs from the first in shape.
pub(super) fn stack_experts(
    checkpoint: &Checkpoint<'_>,
    layers: usize,
    count: i32,
) -> Result<(), LoadError> {
    for layer in 0..layers {
        stack_experts_of(checkpoint, &format!("model.layers.{layer}.mlp"), count)?;
    }
    Ok(())
}

/// The same for the block at `mixture`.
///
/// # Errors
///
/// As there.
pub(super) fn stack_experts_of(
    checkpoint: &Checkpoint<'_>,
    mixture: &str,
    count: i32,
) -> Result<(), LoadError> {
    for part in ["gate_proj", "up_proj", "down_proj"] {
        let each = (0..count).map(|expert| format!("{mixture}.experts.{expert}.{part}"));
        checkpoint.stack(each, &format!("{mixture}.switch_mlp.{part}"))?;
    }
    Ok(())
}

/// Gives the experts of each block our names and layout where a file has them as bare `experts.gate_up_proj`
/// (`[experts, width, 2 · inner]`, the gate first) and `experts.down_proj`.
///
/// # Errors
///
/// When one of the two is missing, or cannot be halved.
pub(super) fn adopt_transposed(
    checkpoint: &Checkpoint<'_>,
    layers: usize,
) -> Result<(), LoadError> {
    for layer in 0..layers {
        let mixture = format!("model.layers.{layer}.mlp");
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
