//! Helium: Llama with interleaved pairs.
//!
//! Reference: `mlx_lm.models.helium`. As there, `head_dim` is passed over; a tied model carries a head all the same, of
//! which nothing is read.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["helium"], |checkpoint| {
    let config = llama::Config {
        head_dim: None,
        rope_traditional: true,
        rope_scaling: None,
        ..checkpoint.config()?
    };
    if config.tie_word_embeddings {
        checkpoint.discard(|name| name.starts_with("lm_head."));
    }
    llama::recipe(&config)
});
