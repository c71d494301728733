//! Llama 4, dense and text only: queries and keys are normalized by nothing learned, and some layers know no positions.
//!
//! Reference: `mlx_lm.models.llama4_text`. As there, all layers see everything, and queries do not grow with their
//! position.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["llama4_text"], |checkpoint| {
    adopt(checkpoint);
    recipe(checkpoint.config()?, &checkpoint.config()?)
});

#[derive(Deserialize)]
struct Config {
    intermediate_size_mlp: i32,
    /// A one for each layer that knows positions, in spite of its name.
    no_rope_layers: Vec<u8>,
    use_qk_norm: bool,
}

/// Brings the names of the reference into ours.
fn adopt(checkpoint: &Checkpoint<'_>) {
    checkpoint.rename_parts(&[(".feed_forward.", ".mlp.")]);
    checkpoint.rename(|name| name.strip_prefix("output.").map(|part| format!("lm_head.{part}")));
}

fn recipe(config: llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    let config = llama::Config {
        intermediate_size: own.intermediate_size_mlp,
        rope_scaling: None,
        rope_traditional: true,
        ..config
    };
    let mut recipe = llama::recipe(&config)?;
    recipe.layers.truncate(own.no_rope_layers.len());
    for (layer, knows_positions) in recipe.layers.iter_mut().zip(&own.no_rope_layers) {
        if own.use_qk_norm {
            layer.attention.qk_norm = QkNorm::PerHeadPlain;
        }
        if *knows_positions == 0 {
            layer.attention.rope = None;
        }
    }
    Ok(recipe)
}
