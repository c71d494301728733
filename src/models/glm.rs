//! GLM: Llama with interleaved pairs, and gate and up in one projection.
//!
//! Reference: `mlx_lm.models.glm`. As there, every dimension of a head is rotated, whatever
//! `partial_rotary_factor` says.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["glm"], |checkpoint| {
    let config =
        llama::Config { rope_traditional: true, rope_scaling: None, ..checkpoint.config()? };
    llama::discard_unused(checkpoint, config.tie_word_embeddings);
    Ok(llama::uniform(layer(&config)?, &config))
});

pub(super) fn layer(config: &llama::Config) -> Result<Layer, LoadError> {
    Ok(Layer {
        feed_forward: FeedForward::GatedFused(Activation::Silu, config.intermediate_size),
        ..llama::layer(config)?
    })
}
