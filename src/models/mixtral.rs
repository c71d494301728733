//! Mixtral: Llama with a mixture of experts, weighted by the softmax of the chosen logits.
//!
//! Reference: `mlx_lm.models.mixtral`. As there, `head_dim`, `rope_scaling` and `sliding_window` are passed over.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["mixtral"], |checkpoint| {
    let config = llama::untied(checkpoint)?;
    let own: Config = checkpoint.config()?;
    llama::discard_unused(checkpoint, config.tie_word_embeddings);
    checkpoint.rename(|name| Some(name.replace(".block_sparse_moe.", ".mlp.")));
    let (layers, experts) = (config.num_hidden_layers, own.num_local_experts);
    mixture::stack_experts(checkpoint, layers, experts, PROJECTIONS)?;
    recipe(&config, &own)
});

/// What the projections are called in the original.
pub(super) const PROJECTIONS: mixture::Projections =
    [("w1", "gate_proj"), ("w3", "up_proj"), ("w2", "down_proj")];

#[derive(Deserialize)]
struct Config {
    num_local_experts: i32,
    num_experts_per_tok: i32,
}

fn recipe(config: &llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    let config = llama::Config {
        head_dim: None,
        layer_types: None,
        rope_scaling: None,
        rope_theta: Some(config.rope_theta.unwrap_or(1e6)),
        ..*config
    };
    let mixture = mixture(own.num_local_experts, own.num_experts_per_tok, config.intermediate_size);
    let layer =
        Layer { feed_forward: FeedForward::Mixture(Box::new(mixture)), ..llama::layer(&config)? };
    Ok(Recipe { layers: vec![layer; config.num_hidden_layers], ..llama::recipe(&config)? })
}

pub(super) fn mixture(experts: i32, chosen: i32, inner: i32) -> Mixture {
    Mixture {
        router: Router {
            chosen,
            logits: Precision::Model,
            scores: ExpertScores::Logits,
            choice: Choice::Descending,
            weights: ExpertWeights::Softmax(Precision::Model),
            scale: None,
            precision: Precision::Model,
            fusion: Fusion::None,
        },
        experts,
        inner,
        activation: Activation::Silu,
        is_gated: true,
        latent: None,
        weighted: Weighted::Output,
        shared: Shared::None,
    }
}
