//! Qwen 2: Llama with biases on queries, keys and values, which `Linear` finds by itself.
//!
//! Reference: `mlx_lm.models.qwen2`. As there, `head_dim`, `layer_types` and `sliding_window` are passed over.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["qwen2"], recipe);

pub(super) fn recipe(checkpoint: &Checkpoint<'_>) -> Result<Recipe, LoadError> {
    let config: llama::Config = checkpoint.config()?;
    llama::discard_unused(checkpoint, config.tie_word_embeddings);
    llama::recipe(&llama::Config {
        head_dim: None,
        rope_theta: config.rope_theta.or(Some(1e6)),
        ..config
    })
}
