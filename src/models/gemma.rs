//! Gemma: Llama with norms by `1 + weight`, token vectors multiplied by the root of their width, and an exact GELU.
//!
//! Reference: `mlx_lm.models.gemma`. As there, `rope_scaling` is passed over and the head is always tied.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["gemma"], |checkpoint| {
    let config = plain(&checkpoint.config()?);
    let layer = Layer {
        feed_forward: FeedForward::Gated(Activation::Gelu, config.intermediate_size),
        ..llama::layer(&config)?
    };
    Ok(recipe(&config, layer))
});

/// What Gemma reads of Llama's configuration.
pub(super) fn plain(config: &llama::Config) -> llama::Config {
    llama::Config { rope_scaling: None, layer_types: None, tie_word_embeddings: true, ..*config }
}

/// Gemma, of layers that are all the same.
pub(super) fn recipe(config: &llama::Config, layer: Layer) -> Recipe {
    let root = f64::from(config.hidden_size).sqrt();
    Recipe {
        embedding_scale: EmbeddingScale::Times(single(root)),
        norm: NormKind::RmsUnitOffset,
        ..llama::uniform(layer, config)
    }
}
