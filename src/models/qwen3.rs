//! Qwen 3: Llama with every head's queries and keys normalized.
//!
//! Reference: `mlx_lm.models.qwen3`. Newer exporters nest `rope_theta` in `rope_parameters`.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["qwen3"], recipe);

#[derive(Deserialize)]
struct Config {
    rope_parameters: Option<positions::Scaling>,
}

pub(super) fn recipe(checkpoint: &Checkpoint<'_>) -> Result<Recipe, LoadError> {
    let config: llama::Config = checkpoint.config()?;
    let nested = checkpoint.config::<Config>()?.rope_parameters;
    llama::discard_unused(checkpoint, config.tie_word_embeddings);
    let rope_theta = config.rope_theta.or(nested.as_ref().and_then(|rope| rope.rope_theta));
    let config =
        llama::Config { rope_theta, rope_scaling: config.rope_scaling.or(nested), ..config };
    if config.rope_theta.is_none() {
        return Err(unsupported("a qwen3 without `rope_theta`"));
    }
    let attention = Attention { qk_norm: QkNorm::PerHead, ..llama::attention(&config)? };
    let layer = Layer { attention, ..llama::layer(&config)? };
    Ok(llama::uniform(layer, &config))
}
