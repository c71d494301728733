//! ERNIE 4.5, dense: Llama with interleaved pairs.
//!
//! Reference: `mlx_lm.models.ernie4_5`. As there, `rope_scaling` is passed over.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["ernie4_5"], |checkpoint| {
    llama::recipe(&llama::Config {
        rope_traditional: true,
        rope_scaling: None,
        ..checkpoint.config()?
    })
});
