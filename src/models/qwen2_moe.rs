//! Qwen 2 with mixtures: a shared expert, gated by itself, stands beside those that are chosen.
//!
//! Reference: `mlx_lm.models.qwen2_moe`. As there, every layer is a mixture, and weights are not made to add up to one.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["qwen2_moe"], |checkpoint| {
    let config: llama::Config = checkpoint.config()?;
    let own: Config = checkpoint.config()?;
    checkpoint.rename_parts(&[(".shared_expert.", ".shared_experts.")]);
    mixture::stack_experts(checkpoint, config.num_hidden_layers, own.num_experts)?;
    recipe(config, &own)
});

#[derive(Deserialize)]
struct Config {
    num_experts: i32,
    num_experts_per_tok: i32,
    moe_intermediate_size: i32,
    shared_expert_intermediate_size: i32,
}

fn recipe(config: llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    let config = llama::Config {
        head_dim: None,
        rope_scaling: None,
        rope_theta: config.rope_theta.or(Some(1e6)),
        tie_word_embeddings: false,
        ..config
    };
    let router = Router::by_softmax(own.num_experts_per_tok, ExpertWeights::Scores);
    let mixture = Mixture {
        shared: Shared::Gated { inner: own.shared_expert_intermediate_size },
        ..Mixture::of(own.num_experts, own.moe_intermediate_size, router)
    };
    let layer = Layer { feed_forward: FeedForward::mixture(mixture), ..llama::layer(&config)? };
    Ok(llama::uniform(layer, &config))
}
