//! OLMo 2: Llama that normalizes after each half, and queries and keys with all heads together.
//!
//! Reference: `mlx_lm.models.olmo2`.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["olmo2"], |checkpoint| {
    llama::discard_unused(checkpoint, false);
    let config = checkpoint.config()?;
    Ok(llama::uniform(layer(&config)?, &config))
});

pub(super) fn layer(config: &llama::Config) -> Result<Layer, LoadError> {
    Ok(Layer {
        attention: Attention { qk_norm: QkNorm::Whole, ..llama::attention(config)? },
        wiring: Wiring::Post,
        ..llama::layer(config)?
    })
}
