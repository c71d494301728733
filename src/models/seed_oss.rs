//! Seed-OSS: Llama with biases on queries, keys and values, which `Linear` finds by itself.
//!
//! Reference: `mlx_lm.models.seed_oss`.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["seed_oss"], |checkpoint| {
    let config: llama::Config = checkpoint.config()?;
    llama::discard_unused(checkpoint, config.tie_word_embeddings);
    llama::recipe(&config)
});
