//! Mixtral: Llama with a mixture of experts, weighted by the softmax of the chosen logits.
//!
//! Reference: `mlx_lm.models.mixtral`. As there, `head_dim`, `rope_scaling` and `sliding_window` are passed over.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["mixtral"], |checkpoint| {
    let config = llama::untied(checkpoint)?;
    let own: Config = checkpoint.config()?;
    llama::discard_unused(checkpoint, config.tie_word_embeddings);
    checkpoint.rename_parts(&NAMES);
    mixture::stack_experts(checkpoint, config.num_hidden_layers, own.num_local_experts)?;
    recipe(config, &own)
});

/// What mixtures and the projections of an expert are called in the original, and here.
pub(super) const NAMES: [(&str, &str); 4] = [
    (".block_sparse_moe.", ".mlp."),
    (".w1.", ".gate_proj."),
    (".w2.", ".down_proj."),
    (".w3.", ".up_proj."),
];

#[derive(Deserialize)]
struct Config {
    num_local_experts: i32,
    num_experts_per_tok: i32,
}

fn recipe(config: llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    let config = llama::Config {
        head_dim: None,
        rope_scaling: None,
        rope_theta: config.rope_theta.or(Some(1e6)),
        ..config
    };
    let router = Router::by_logits(own.num_experts_per_tok);
    let mixture = Mixture::of(own.num_local_experts, config.intermediate_size, router);
    let layer = Layer { feed_forward: FeedForward::mixture(mixture), ..llama::layer(&config)? };
    Ok(llama::uniform(layer, &config))
}
