//! GLM 4: GLM with four norms a block, and rotary positions on a part of each head.
//!
//! Reference: `mlx_lm.models.glm4`. As there, the head is never tied.

use super::{glm, prelude::*};

pub(super) const FAMILY: Family = Family::decoder(&["glm4"], |checkpoint| {
    checkpoint.rename_parts(&[
        (".post_attention_layernorm.", ".pre_feedforward_layernorm."),
        (".post_self_attn_layernorm.", ".post_attention_layernorm."),
        (".post_mlp_layernorm.", ".post_feedforward_layernorm."),
    ]);
    recipe(checkpoint.config()?, &checkpoint.config()?)
});

#[derive(Deserialize)]
struct Config {
    partial_rotary_factor: f64,
    rope_traditional: Option<bool>,
}

fn recipe(config: llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    let config = llama::Config {
        rope_traditional: own.rope_traditional.unwrap_or(true),
        rope_scaling: None,
        tie_word_embeddings: false,
        ..config
    };
    let layer = glm::layer(&config)?;
    let rope = positions::on_part(layer.attention.rope, own.partial_rotary_factor);
    let attention = Attention { rope, ..layer.attention };
    Ok(llama::uniform(Layer { attention, wiring: Wiring::Sandwich, ..layer }, &config))
}
