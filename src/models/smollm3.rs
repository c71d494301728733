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
    let recipe = llama::recipe(config)?;
    let mut reaches = recipe.layers.iter().map(|layer| layer.attention.reach);
    if reaches.any(|reach| reach != Reach::Full) {
        return Err(unsupported("a smollm3 with windows"));
    }
    let layers = recipe.layers.into_iter().zip(encodes);
    let layers = layers.map(|(layer, encodes)| Layer {
        attention: Attention {
            rope: layer.attention.rope.filter(|_| encodes != 0),
            ..layer.attention
        },
        ..layer
    });
    Ok(Recipe { layers: layers.collect(), ..recipe })
}
