//! MiniCPM: Llama with multipliers for token vectors and residuals, and a divisor before the head.
//!
//! Reference: `mlx_lm.models.minicpm`. As there, `head_dim` is passed over; a checkpoint without a head uses the
//! embedding table.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["minicpm"], |checkpoint| {
    let own: Config = checkpoint.config()?;
    let is_tied = own.tie_word_embeddings || !checkpoint.holds("lm_head.weight");
    recipe(checkpoint.config()?, &own, is_tied)
});

/// The keys that MiniCPM adds, or whose default differs from Llama's.
#[derive(Deserialize)]
struct Config {
    dim_model_base: f64,
    scale_depth: f64,
    scale_emb: f32,
    #[serde(default)]
    tie_word_embeddings: bool,
}

fn recipe(config: llama::Config, own: &Config, is_tied: bool) -> Result<Recipe, LoadError> {
    let config = llama::Config {
        head_dim: None,
        rope_theta: config.rope_theta.or(Some(1e6)),
        tie_word_embeddings: is_tied,
        ..config
    };
    let depth = config.num_hidden_layers as f64;
    Ok(Recipe {
        embedding_scale: EmbeddingScale::Times(own.scale_emb),
        scores: if own.tie_word_embeddings {
            Scores::Plain
        } else {
            Scores::OfStreamOver(single(f64::from(config.hidden_size) / own.dim_model_base))
        },
        residual: Residual::AddTimes(single(own.scale_depth / depth.sqrt())),
        ..llama::recipe(&config)?
    })
}
