//! EXAONE 4: Llama that normalizes after each half, and each head's queries and keys; where some layers see a window,
//! only those encode positions.
//!
//! Reference: `mlx_lm.models.exaone4`.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["exaone4"], |checkpoint| {
    let config =
        llama::Config { rope_traditional: false, layer_types: None, ..checkpoint.config()? };
    recipe(&config, &checkpoint.config()?)
});

#[derive(Deserialize)]
struct Config {
    /// An `L` for a layer that sees a window and a `G` for one that sees all, repeated.
    sliding_window_pattern: Option<String>,
}

fn recipe(config: &llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    let attention = Attention { qk_norm: QkNorm::PerHead, ..llama::attention(config)? };
    let layer = Layer { attention, wiring: Wiring::Post, ..llama::layer(config)? };
    let pattern = own.sliding_window_pattern.as_deref().unwrap_or_default();
    let layers = if pattern.is_empty() {
        vec![layer; config.num_hidden_layers]
    } else {
        let reach = llama::window(config.sliding_window)?;
        let kinds = pattern.chars().cycle().take(config.num_hidden_layers);
        kinds
            .map(|kind| {
                let attention = layer.attention.clone();
                let attention = if kind == 'L' {
                    Attention { reach, ..attention }
                } else {
                    Attention { rope: None, ..attention }
                };
                Layer { attention, ..layer.clone() }
            })
            .collect()
    };
    Ok(Recipe { layers, ..llama::recipe(config)? })
}
