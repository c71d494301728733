//! InternLM 3: Llama, with another default or two.
//!
//! Reference: `mlx_lm.models.internlm3`. As there, `head_dim` is passed over.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["internlm3"], |checkpoint| {
    let Config { tie_word_embeddings } = checkpoint.config()?;
    let config: llama::Config = checkpoint.config()?;
    checkpoint.discard(|name| name.contains("attention.rope.inv_freq"));
    llama::recipe(&llama::Config {
        head_dim: None,
        layer_types: None,
        tie_word_embeddings,
        max_position_embeddings: config.max_position_embeddings.or(Some(32_768)),
        ..config
    })
});

/// The key whose default differs from Llama's.
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    tie_word_embeddings: bool,
}
