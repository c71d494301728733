//! TeleChat 3: Llama, with another default.
//!
//! Reference: `mlx_lm.models.telechat3`.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["telechat3"], |checkpoint| {
    llama::recipe(&llama::Config { rope_traditional: false, ..llama::untied(checkpoint)? })
});
