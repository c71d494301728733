//! Granite: Llama with a multiplier for token vectors, attention, residuals and scores each.
//!
//! Reference: `mlx_lm.models.granite`. As there, `head_dim` is passed over.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["granite"], |checkpoint| {
    let config: llama::Config = checkpoint.config()?;
    llama::discard_unused(checkpoint, config.tie_word_embeddings);
    let feed_forward = FeedForward::Gated(Activation::Silu, config.intermediate_size);
    recipe(config, &checkpoint.config()?, feed_forward)
});

/// What Granite multiplies and divides by.
#[derive(Deserialize)]
pub(super) struct Factors {
    logits_scaling: f32,
    attention_multiplier: f32,
    embedding_multiplier: f32,
    residual_multiplier: f32,
}

/// Granite with this feed-forward half in every layer.
pub(super) fn recipe(
    config: llama::Config,
    factors: &Factors,
    feed_forward: FeedForward,
) -> Result<Recipe, LoadError> {
    let config = llama::Config { head_dim: None, rope_traditional: false, ..config };
    let attention = llama::attention(&config)?;
    let attention = Attention { scale: factors.attention_multiplier, ..attention };
    let layer = Layer { attention, feed_forward, wiring: Wiring::Pre };
    Ok(Recipe {
        embedding_scale: EmbeddingScale::Times(factors.embedding_multiplier),
        scores: Scores::Over(factors.logits_scaling),
        residual: Residual::AddTimes(factors.residual_multiplier),
        ..llama::uniform(layer, &config)
    })
}
