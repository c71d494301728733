//! InternLM 3: Llama, with another default or two.
//!
//! Reference: `mlx_lm.models.internlm3`. As there, `head_dim` is passed over.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["internlm3"], |checkpoint| {
    let config = llama::untied(checkpoint)?;
    checkpoint.discard(|name| name.contains("attention.rope.inv_freq"));
    llama::recipe(&llama::Config {
        head_dim: None,
        max_position_embeddings: config.max_position_embeddings.or(Some(32_768)),
        ..config
    })
});
