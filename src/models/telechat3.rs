//! TeleChat 3: Llama, with another default.
//!
//! Reference: `mlx_lm.models.telechat3`.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["telechat3"], |checkpoint| {
    let Config { tie_word_embeddings } = checkpoint.config()?;
    llama::recipe(&llama::Config {
        rope_traditional: false,
        layer_types: None,
        tie_word_embeddings,
        ..checkpoint.config()?
    })
});

/// The key whose default differs from Llama's.
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    tie_word_embeddings: bool,
}
