//! Qwen 3 with mixtures: experts are weighted by their softmax over all, and some layers may be dense.
//!
//! Reference: `mlx_lm.models.qwen3_moe`. As there, `rope_scaling` and `sliding_window` are passed over.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["qwen3_moe"], |checkpoint| {
    let config: llama::Config = checkpoint.config()?;
    let own: Config = checkpoint.config()?;
    llama::discard_unused(checkpoint, config.tie_word_embeddings);
    let (layers, experts) = (config.num_hidden_layers, own.num_experts);
    mixture::stack_experts(checkpoint, layers, experts, mixture::PROJECTIONS)?;
    recipe(&config, &own)
});

#[derive(Deserialize)]
pub(super) struct Config {
    pub(super) num_experts: i32,
    num_experts_per_tok: i32,
    decoder_sparse_step: usize,
    mlp_only_layers: Vec<usize>,
    moe_intermediate_size: i32,
    norm_topk_prob: bool,
}

pub(super) fn recipe(config: &llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    let config = llama::Config { layer_types: None, rope_scaling: None, ..*config };
    let base =
        mixtral::mixture(own.num_experts, own.num_experts_per_tok, own.moe_intermediate_size);
    let mixture = Mixture {
        router: Router {
            scores: ExpertScores::Softmax(Precision::Model),
            choice: Choice::Ascending,
            weights: if own.norm_topk_prob { ExpertWeights::Shares } else { ExpertWeights::Scores },
            ..base.router
        },
        ..base
    };
    let dense = Layer {
        attention: Attention { qk_norm: QkNorm::PerHead, ..llama::attention(&config)? },
        ..llama::layer(&config)?
    };
    let sparse = Layer { feed_forward: FeedForward::Mixture(Box::new(mixture)), ..dense.clone() };
    let is_sparse = |index: usize| {
        own.num_experts > 0
            && !own.mlp_only_layers.contains(&index)
            && (index + 1).is_multiple_of(own.decoder_sparse_step)
    };
    let layer = |index| if is_sparse(index) { &sparse } else { &dense }.clone();
    Ok(Recipe {
        layers: (0..config.num_hidden_layers).map(layer).collect(),
        ..llama::recipe(&config)?
    })
}
