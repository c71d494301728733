//! Qwen 2 with mixtures: a shared expert, gated by itself, stands beside those that are chosen.
//!
//! Reference: `mlx_lm.models.qwen2_moe`. As there, every layer is a mixture, and weights are not made to add up to one.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["qwen2_moe"], |checkpoint| {
    let config: llama::Config = checkpoint.config()?;
    let own: Config = checkpoint.config()?;
    checkpoint.rename(|name| Some(name.replace(".shared_expert.", ".shared_experts.")));
    let (layers, experts) = (config.num_hidden_layers, own.num_experts);
    mixture::stack_experts(checkpoint, layers, experts, mixture::PROJECTIONS)?;
    recipe(&config, &own)
});

#[derive(Deserialize)]
struct Config {
    num_experts: i32,
    num_experts_per_tok: i32,
    moe_intermediate_size: i32,
    shared_expert_intermediate_size: i32,
}

fn recipe(config: &llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    let config = llama::Config {
        head_dim: None,
        layer_types: None,
        rope_scaling: None,
        rope_theta: Some(config.rope_theta.unwrap_or(1e6)),
        tie_word_embeddings: false,
        ..*config
    };
    let base =
        mixtral::mixture(own.num_experts, own.num_experts_per_tok, own.moe_intermediate_size);
    let mixture = Mixture {
        router: Router {
            scores: ExpertScores::Softmax(Precision::Model),
            weights: ExpertWeights::Scores,
            ..base.router
        },
        shared: Shared::Gated { inner: own.shared_expert_intermediate_size },
        ..base
    };
    let layer =
        Layer { feed_forward: FeedForward::Mixture(Box::new(mixture)), ..llama::layer(&config)? };
    Ok(Recipe { layers: vec![layer; config.num_hidden_layers], ..llama::recipe(&config)? })
}
