//! `OLMoE`: Llama with whole queries and keys normalized, and a mixture in every layer.
//!
//! Reference: `mlx_lm.models.olmoe`. As there, a missing `tie_word_embeddings` means tied.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["olmoe"], |checkpoint| {
    let config: llama::Config = checkpoint.config()?;
    let own: Config = checkpoint.config()?;
    let (layers, experts) = (config.num_hidden_layers, own.num_experts);
    mixture::stack_experts(checkpoint, layers, experts, mixture::PROJECTIONS)?;
    recipe(config, &own)
});

#[derive(Deserialize)]
struct Config {
    num_experts: i32,
    num_experts_per_tok: i32,
    #[serde(default)]
    norm_topk_prob: bool,
}

fn recipe(config: llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    let config = llama::Config { layer_types: None, ..config };
    let (experts, chosen) = (own.num_experts, own.num_experts_per_tok);
    let base = mixtral::mixture(experts, chosen, config.intermediate_size);
    let mixture = Mixture {
        router: Router {
            scores: ExpertScores::Softmax(Precision::Model),
            weights: if own.norm_topk_prob { ExpertWeights::Shares } else { ExpertWeights::Scores },
            ..base.router
        },
        ..base
    };
    let layer = Layer {
        attention: Attention { qk_norm: QkNorm::Whole, ..llama::attention(&config)? },
        feed_forward: FeedForward::Mixture(Box::new(mixture)),
        ..llama::layer(&config)?
    };
    Ok(Recipe { layers: vec![layer; config.num_hidden_layers], ..llama::recipe(&config)? })
}
