//! Helium: Llama with interleaved pairs.
//!
//! Reference: `mlx_lm.models.helium`. As there, `head_dim` is passed over; a tied model carries a head all the same, of
//! which nothing is read.

use super::{Architecture, Family, llama};

pub(super) const FAMILY: Family = Family {
    model_types: &["helium"],
    architecture: Architecture::Decoder(|checkpoint| {
        let config = llama::Config {
            head_dim: None,
            rope_traditional: true,
            rope_scaling: None,
            layer_types: None,
            ..checkpoint.config()?
        };
        if config.tie_word_embeddings {
            checkpoint.discard(|name| name.starts_with("lm_head."));
        }
        llama::recipe(&config)
    }),
};
