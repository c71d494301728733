//! MiMo: Llama with biases on queries, keys and values, and layers that guess further tokens, which are dropped.
//!
//! Reference: `mlx_lm.models.mimo`. As there, `head_dim` is passed over, and a head is its own unless it is said to be
//! tied.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["mimo"], |checkpoint| {
    let config = llama::untied(checkpoint)?;
    llama::discard_unused(checkpoint, config.tie_word_embeddings);
    checkpoint.discard(|name| name.starts_with("model.mtp_layers."));
    llama::recipe(&llama::Config {
        head_dim: None,
        max_position_embeddings: config.max_position_embeddings.or(Some(32_768)),
        ..config
    })
});
