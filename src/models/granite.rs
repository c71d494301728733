//! Granite: Llama with a multiplier for token vectors, attention, residuals and scores each.
//!
//! Reference: `mlx_lm.models.granite`. As there, `head_dim` is passed over.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["granite"], |checkpoint| {
    let config = llama::Config {
        head_dim: None,
        rope_traditional: false,
        layer_types: None,
        ..checkpoint.config()?
    };
    llama::discard_unused(checkpoint, config.tie_word_embeddings);
    recipe(&config, &checkpoint.config()?)
});

#[derive(Deserialize)]
struct Config {
    logits_scaling: f32,
    attention_multiplier: f32,
    embedding_multiplier: f32,
    residual_multiplier: f32,
}

fn recipe(config: &llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    let attention = Attention { scale: own.attention_multiplier, ..llama::attention(config)? };
    let layer = Layer { attention, ..llama::layer(config)? };
    Ok(Recipe {
        embedding_scale: EmbeddingScale::Times(own.embedding_multiplier),
        layers: vec![layer; config.num_hidden_layers],
        scores: Scores::Over(own.logits_scaling),
        residual: Residual::AddTimes(own.residual_multiplier),
        ..llama::recipe(config)?
    })
}
