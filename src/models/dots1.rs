//! dots.llm1: a mixture whose experts are chosen by corrected `σ`, in groups, beside shared ones.
//!
//! Reference: `mlx_lm.models.dots1`. As there, `scoring_func` and `attention_bias` are passed over.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["dots1"], |checkpoint| {
    let config = llama::untied(checkpoint)?;
    let own: Config = checkpoint.config()?;
    llama::discard_unused(checkpoint, config.tie_word_embeddings);
    mixture::stack_experts(checkpoint, config.num_hidden_layers, own.n_routed_experts)?;
    checkpoint.rename_parts(&[(".mlp.experts.", ".mlp.switch_mlp.")]);
    let attention = Attention { qk_norm: QkNorm::PerHead, ..llama::attention(&config)? };
    recipe(&config, attention, &own)
});

/// What tells a mixture with corrected choice apart; GLM 4.5 shares it.
#[derive(Deserialize)]
pub(super) struct Config {
    first_k_dense_replace: usize,
    moe_intermediate_size: i32,
    pub(super) n_routed_experts: i32,
    n_shared_experts: i32,
    norm_topk_prob: bool,
    num_experts_per_tok: i32,
    routed_scaling_factor: f32,
    #[serde(default = "one")]
    n_group: i32,
    #[serde(default = "one")]
    topk_group: i32,
}

/// Dense layers first, then mixtures.
pub(super) fn recipe(
    config: &llama::Config,
    attention: Attention,
    own: &Config,
) -> Result<Recipe, LoadError> {
    let (chosen, inner) = (own.num_experts_per_tok, own.moe_intermediate_size);
    let groups = Groups { count: own.n_group, considered: own.topk_group };
    let weights = ExpertWeights::Shares.only_if(chosen > 1 && own.norm_topk_prob);
    let router = Router {
        scale: Some(own.routed_scaling_factor),
        ..Router::by_sigmoid(chosen, groups, weights)
    };
    let mixture = Mixture {
        shared: Shared::Always { inner: inner * own.n_shared_experts },
        ..Mixture::of(own.n_routed_experts, inner, router)
    };
    let dense = Layer { attention, ..llama::layer(config)? };
    let is_sparse = |index| index >= own.first_k_dense_replace;
    Ok(mixture::interleaved(config, dense, mixture, is_sparse))
}
