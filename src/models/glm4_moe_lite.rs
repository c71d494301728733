//! GLM 4.7 Flash: DeepSeek V3 with one epsilon in all norms.
//!
//! Reference: `mlx_lm.models.glm4_moe_lite`. As there, the head is never tied, and layers that predict further tokens
//! are dropped.

use super::{deepseek_v3::Config, latent::Form, prelude::*};

pub(super) const FAMILY: Family = Family::other(&["glm4_moe_lite"], |checkpoint| {
    let mut config: Config = checkpoint.config()?;
    config.n_shared_experts.get_or_insert(1);
    config.n_routed_experts.get_or_insert(64);
    config.num_experts_per_tok.get_or_insert(4);
    config.moe_intermediate_size.get_or_insert(1536);
    config.first_k_dense_replace.get_or_insert(1);
    config.routed_scaling_factor.get_or_insert(1.8);
    config.rope_theta.get_or_insert(1e6);
    config.max_position_embeddings.get_or_insert(202_752);
    let eps = *config.rms_norm_eps.get_or_insert(1e-5);
    let layers = config.num_hidden_layers;
    checkpoint.discard(|name| layer(name).is_some_and(|layer| layer >= layers));
    let latent = config.latent(eps, Form::Absorbed)?;
    config.convert(checkpoint, &latent)?;
    let shares = ExpertWeights::SharesOfSumPlus(1e-20);
    config.recipe(latent, config.corrected(shares))?.load(checkpoint)
});

fn layer(name: &str) -> Option<usize> {
    let (_, rest) = name.split_once(".layers.")?;
    rest.split('.').next()?.parse().ok()
}
