//! Nemotron: layer norms by `1 + weight`, half of each head rotated, and squared `ReLU` without a gate.
//!
//! Reference: `mlx_lm.models.nemotron`. As there, `rope_traditional` is passed over.

use super::prelude::*;

pub(super) const FAMILY: Family =
    Family::decoder(&["nemotron"], |checkpoint| recipe(&checkpoint.config()?));

#[derive(Deserialize)]
struct Config {
    hidden_size: i32,
    num_hidden_layers: usize,
    intermediate_size: i32,
    num_attention_heads: i32,
    num_key_value_heads: i32,
    head_dim: Option<i32>,
    norm_eps: f32,
    vocab_size: i32,
    partial_rotary_factor: Option<f64>,
    rope_theta: Option<f32>,
    rope_scaling: Option<positions::Scaling>,
    #[serde(default)]
    tie_word_embeddings: bool,
}

fn recipe(config: &Config) -> Result<Recipe, LoadError> {
    let llama = llama::Config {
        hidden_size: config.hidden_size,
        num_hidden_layers: config.num_hidden_layers,
        intermediate_size: config.intermediate_size,
        num_attention_heads: config.num_attention_heads,
        num_key_value_heads: Some(config.num_key_value_heads),
        head_dim: config.head_dim,
        rms_norm_eps: config.norm_eps,
        vocab_size: config.vocab_size,
        rope_theta: config.rope_theta,
        rope_scaling: config.rope_scaling.clone(),
        tie_word_embeddings: config.tie_word_embeddings,
        ..llama::Config::default()
    };
    let attention = llama::attention(&llama)?;
    let layer = Layer {
        attention: Attention {
            rope: positions::on_part(attention.rope, config.partial_rotary_factor.unwrap_or(0.5)),
            ..attention
        },
        feed_forward: FeedForward::Plain(Activation::ReluSquared, config.intermediate_size),
        ..llama::layer(&llama)?
    };
    Ok(Recipe { norm: NormKind::LayerUnitOffset, ..llama::uniform(layer, &llama) })
}
