//! ERNIE 4.5, dense: Llama with interleaved pairs.
//!
//! Reference: `mlx_lm.models.ernie4_5`. As there, `rope_scaling` is passed over.

use super::{Architecture, Family, llama};

pub(super) const FAMILY: Family = Family {
    model_types: &["ernie4_5"],
    architecture: Architecture::Decoder(|checkpoint| {
        llama::recipe(&llama::Config {
            rope_traditional: true,
            rope_scaling: None,
            layer_types: None,
            ..checkpoint.config()?
        })
    }),
};
