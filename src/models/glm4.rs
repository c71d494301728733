//! GLM 4: GLM with four norms a block, and rotary positions on a part of each head.
//!
//! Reference: `mlx_lm.models.glm4`. As there, the head is never tied.

use super::{glm, prelude::*};

pub(super) const FAMILY: Family = Family::decoder(&["glm4"], |checkpoint| {
    checkpoint.rename(canonical);
    recipe(&checkpoint.config()?, &checkpoint.config()?)
});

#[derive(Deserialize)]
struct Config {
    partial_rotary_factor: f64,
    rope_traditional: Option<bool>,
}

/// The name that the norm of a block has elsewhere.
fn canonical(name: &str) -> Option<String> {
    let path = name.strip_suffix(".weight")?;
    let (block, norm) = path.rsplit_once('.')?;
    let norm = match norm {
        "post_self_attn_layernorm" => "post_attention_layernorm",
        "post_attention_layernorm" => "pre_feedforward_layernorm",
        "post_mlp_layernorm" => "post_feedforward_layernorm",
        _ => return None,
    };
    Some(format!("{block}.{norm}.weight"))
}

fn recipe(config: &llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    let config = llama::Config {
        rope_traditional: own.rope_traditional.unwrap_or(true),
        rope_scaling: None,
        layer_types: None,
        tie_word_embeddings: false,
        ..*config
    };
    let layer = glm::layer(&config)?;
    let dims = positions::part(layer.attention.head_dim, own.partial_rotary_factor);
    let rope = layer.attention.rope.map(|rope| Rope { dims, ..rope });
    let layer = Layer {
        attention: Attention { rope, ..layer.attention },
        wiring: Wiring::Sandwich,
        ..layer
    };
    Ok(Recipe { layers: vec![layer; config.num_hidden_layers], ..llama::recipe(&config)? })
}
