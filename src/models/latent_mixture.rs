//! A mixture whose experts have no gates and may hear less than the whole stream.
//!
//! Reference: `NemotronHMoE` of `mlx_lm.models.nemotron_h`.

use mlx_rs::Array;

use super::{
    feed_forward::FeedForward,
    recipe,
    router::{Chosen, Routing},
};
use crate::{
    checkpoint::{LoadError, Scope},
    nn::{self, Activation, Experts, Linear},
};

/// All that tells one such mixture from another.
pub(super) struct Shape {
    pub(super) width: i32,
    /// What experts hear, where it is not the stream itself.
    pub(super) latent: Option<i32>,
    pub(super) experts: i32,
    /// Width between the projections of an expert.
    pub(super) inner: i32,
    /// Width between the projections of what every token meets besides.
    pub(super) shared: Option<i32>,
    /// How experts are chosen.
    pub(super) router: recipe::Router,
}

pub(super) struct LatentMixture {
    router: Routing,
    experts: Experts,
    /// Into what experts hear, and back.
    latent: Option<(Linear, Linear)>,
    shared: Option<FeedForward>,
}

impl LatentMixture {
    /// Takes every tensor below `scope` that `shape` asks for.
    pub(super) fn load(scope: &Scope<'_>, shape: &Shape) -> Result<Self, LoadError> {
        let (width, activation) = (shape.width, Activation::ReluSquared);
        let linear = |name, outputs, inputs| Linear::load(&scope.at(name), outputs, inputs);
        let heard = shape.latent.unwrap_or(width);
        let experts = (shape.experts, shape.inner);
        Ok(Self {
            router: Routing::load(scope, &shape.router, shape.experts, width)?,
            experts: Experts::load_plain(&scope.at("switch_mlp"), experts, heard, activation)?,
            latent: match shape.latent {
                None => None,
                Some(latent) => Some((
                    linear("fc1_latent_proj", latent, width)?,
                    linear("fc2_latent_proj", width, latent)?,
                )),
            },
            shared: match shape.shared {
                None => None,
                Some(inner) => {
                    let plain = recipe::FeedForward::plain(activation, inner);
                    Some(FeedForward::load(&scope.at("shared_experts"), width, &plain)?)
                }
            },
        })
    }

    /// Shows each position of `x` (`[batch, n, width]`) to its experts and sums what they say.
    pub(super) fn forward(&self, x: &Array) -> nn::Result<Array> {
        let Chosen { experts, weights } = self.router.forward(x)?;
        let y = match &self.latent {
            None => self.experts.forward(x, &experts)?,
            Some((into, _)) => self.experts.forward(&into.forward(x)?, &experts)?,
        };
        let summed = y.multiply(weights.expand_dims(-1)?)?.sum_axis(-2, false)?;
        let summed = summed.as_dtype(y.dtype())?;
        let y = match &self.latent {
            None => summed,
            Some((_, back)) => back.forward(&summed)?,
        };
        match &self.shared {
            None => Ok(y),
            Some(shared) => Ok(y.add(shared.forward(x)?)?),
        }
    }
}
