//! `OLMoE`: Llama with whole queries and keys normalized, and a mixture in every layer.
//!
//! Reference: `mlx_lm.models.olmoe`. As there, a missing `tie_word_embeddings` means tied.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["olmoe"], |checkpoint| {
    let config: llama::Config = checkpoint.config()?;
    let own: Config = checkpoint.config()?;
    mixture::stack_experts(checkpoint, config.num_hidden_layers, own.num_experts)?;
    recipe(&config, &own)
});

#[derive(Deserialize)]
struct Config {
    num_experts: i32,
    num_experts_per_tok: i32,
    #[serde(default)]
    norm_topk_prob: bool,
}

fn recipe(config: &llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    let weights = ExpertWeights::Shares.only_if(own.norm_topk_prob);
    let router = Router::by_softmax(own.num_experts_per_tok, weights);
    let mixture = Mixture::of(own.num_experts, config.intermediate_size, router);
    let layer = Layer {
        attention: Attention { qk_norm: QkNorm::Whole, ..llama::attention(config)? },
        feed_forward: FeedForward::mixture(mixture),
        wiring: Wiring::Pre,
    };
    Ok(llama::uniform(layer, config))
}
