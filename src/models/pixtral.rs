//! Pixtral: the text half is a Llama with a head of its own.
//!
//! Reference: `mlx_lm.models.pixtral`. As there, the head is never tied, and sliding layers keep every token.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["pixtral"], |checkpoint| {
    wrapper::keep_text(checkpoint, &[("num_attention_heads", 32.into())])?;
    let config: llama::Config = checkpoint.config()?;
    let config = llama::Config { tie_word_embeddings: false, ..config };
    llama::discard_unused(checkpoint, false);
    llama::windowed(&config).map(wrapper::with_plain_caches)
});
