//! EXAONE 4: Llama that normalizes after each half, and each head's queries and keys; where some layers see a window,
//! only those encode positions.
//!
//! Reference: `mlx_lm.models.exaone4`.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["exaone4"], |checkpoint| {
    let config = llama::Config { rope_traditional: false, ..checkpoint.config()? };
    recipe(&config, checkpoint.config()?)
});

#[derive(Deserialize)]
struct Config {
    /// An `L` for a layer that sees a window and a `G` for one that sees all, repeated.
    sliding_window_pattern: Option<String>,
}

fn recipe(config: &llama::Config, own: Config) -> Result<Recipe, LoadError> {
    let attention = Attention { qk_norm: QkNorm::PerHead, ..llama::attention(config)? };
    let layer = Layer { attention, wiring: Wiring::Post, ..llama::layer(config)? };
    let mut recipe = llama::uniform(layer, config);
    if let Some(pattern) = own.sliding_window_pattern.filter(|pattern| !pattern.is_empty()) {
        let reach = llama::window(config.sliding_window)?;
        for (layer, kind) in recipe.layers.iter_mut().zip(pattern.chars().cycle()) {
            match kind {
                'L' => layer.attention.reach = reach,
                _ => layer.attention.rope = None,
            }
        }
    }
    Ok(recipe)
}
