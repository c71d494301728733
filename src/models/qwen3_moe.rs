//! Qwen 3 with mixtures: experts are weighted by their softmax over all, and some layers may be dense.
//!
//! Reference: `mlx_lm.models.qwen3_moe`. As there, `rope_scaling` and `sliding_window` are passed over.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["qwen3_moe"], |checkpoint| {
    let config: llama::Config = checkpoint.config()?;
    let own: Config = checkpoint.config()?;
    llama::discard_unused(checkpoint, config.tie_word_embeddings);
    mixture::stack_experts(checkpoint, config.num_hidden_layers, own.num_experts)?;
    recipe(config, &own)
});

#[derive(Deserialize)]
pub(super) struct Config {
    num_experts: i32,
    num_experts_per_tok: i32,
    decoder_sparse_step: usize,
    mlp_only_layers: Vec<usize>,
    moe_intermediate_size: i32,
    norm_topk_prob: bool,
}

pub(super) fn recipe(config: llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    let config = llama::Config { rope_scaling: None, ..config };
    let weights = ExpertWeights::Shares.only_if(own.norm_topk_prob);
    let router = Router {
        choice: Choice::Ascending,
        ..Router::by_softmax(own.num_experts_per_tok, weights)
    };
    let mixture = Mixture::of(own.num_experts, own.moe_intermediate_size, router);
    let attention = Attention { qk_norm: QkNorm::PerHead, ..llama::attention(&config)? };
    let dense = Layer { attention, ..llama::layer(&config)? };
    Ok(mixture::interleaved(&config, dense, mixture, |index| {
        own.num_experts > 0
            && !own.mlp_only_layers.contains(&index)
            && (index + 1).is_multiple_of(own.decoder_sparse_step)
    }))
}
