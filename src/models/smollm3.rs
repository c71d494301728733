//! SmolLM3: Llama where some layers know nothing of positions.
//!
//! Reference: `mlx_lm.models.smollm3`.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["smollm3"], |checkpoint| {
    let config: llama::Config = checkpoint.config()?;
    llama::discard_unused(checkpoint, config.tie_word_embeddings);
    recipe(&config, checkpoint.config()?)
});

#[derive(Deserialize)]
struct Config {
    no_rope_layer_interval: Option<usize>,
    /// A one for each layer that encodes positions.
    no_rope_layers: Option<Vec<u32>>,
}

fn recipe(config: &llama::Config, own: Config) -> Result<Recipe, LoadError> {
    let interval = own.no_rope_layer_interval.unwrap_or(4);
    let encodes = own.no_rope_layers.unwrap_or_else(|| {
        let regular = |index: usize| u32::from(!(index + 1).is_multiple_of(interval));
        (0..config.num_hidden_layers).map(regular).collect()
    });
    if encodes.len() != config.num_hidden_layers {
        return Err(unsupported(format!("`no_rope_layers` of {} layers", encodes.len())));
    }
    let mut recipe = llama::windowed(config)?;
    if recipe.layers.iter().any(|layer| layer.attention.reach != Reach::Full) {
        return Err(unsupported("a smollm3 with windows"));
    }
    for (layer, encodes) in recipe.layers.iter_mut().zip(encodes) {
        if encodes == 0 {
            layer.attention.rope = None;
        }
    }
    Ok(recipe)
}
