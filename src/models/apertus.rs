//! Apertus: Llama with every head's queries and keys normalized, and a learned bend in place of the gate.
//!
//! Reference: `mlx_lm.models.apertus`. As there, `qk_norm` and `post_norm` are passed over.

use super::prelude::*;
use crate::ffi::MlxError;

pub(super) const FAMILY: Family = Family::decoder(&["apertus"], |checkpoint| {
    let config: llama::Config = checkpoint.config()?;
    llama::discard_unused(checkpoint, config.tie_word_embeddings);
    rename(checkpoint)?;
    recipe(&llama::Config { head_dim: None, ..config })
});

/// Gives norms the names of a decoder, and makes numbers of the exporter's one-element slopes.
fn rename(checkpoint: &Checkpoint<'_>) -> Result<(), LoadError> {
    checkpoint.rename_parts(&[
        (".attention_layernorm.", ".input_layernorm."),
        (".feedforward_layernorm.", ".post_attention_layernorm."),
    ]);
    for name in checkpoint.names() {
        if name.ends_with(".alpha_p") || name.ends_with(".alpha_n") {
            checkpoint.transform(&name, |slope| slope.squeeze().map_err(MlxError::from))?;
        }
    }
    Ok(())
}

fn recipe(config: &llama::Config) -> Result<Recipe, LoadError> {
    let layer = Layer {
        attention: Attention { qk_norm: QkNorm::PerHead, ..llama::attention(config)? },
        feed_forward: FeedForward::XieLu(config.intermediate_size),
        ..llama::layer(config)?
    };
    Ok(llama::uniform(layer, config))
}
