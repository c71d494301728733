//! Llama 4, dense and text only: queries and keys are normalized by nothing learned, and some layers know no positions.
//!
//! Reference: `mlx_lm.models.llama4_text`. As there, all layers see everything, and queries do not grow with their
//! position.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["llama4_text"], |checkpoint| {
    adopt(checkpoint);
    recipe(&checkpoint.config()?, &checkpoint.config()?)
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
    checkpoint.rename(|name| {
        let name = name.replace(".feed_forward.", ".mlp.");
        Some(match name.strip_prefix("output.") {
            Some(part) => format!("lm_head.{part}"),
            None => name,
        })
    });
}

fn recipe(config: &llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    let config = llama::Config {
        intermediate_size: own.intermediate_size_mlp,
        layer_types: None,
        rope_scaling: None,
        rope_traditional: true,
        ..*config
    };
    let base = llama::layer(&config)?;
    let layer = |knows_positions: &u8| Layer {
        attention: Attention {
            qk_norm: if own.use_qk_norm { QkNorm::PerHeadPlain } else { QkNorm::None },
            rope: match knows_positions {
                0 => None,
                _ => base.attention.rope.clone(),
            },
            ..base.attention.clone()
        },
        ..base.clone()
    };
    let layers = own.no_rope_layers.iter().take(config.num_hidden_layers);
    Ok(Recipe { layers: layers.map(layer).collect(), ..llama::recipe(&config)? })
}
