//! `StarCoder` 2: layer norms, biases everywhere and no gate.
//!
//! Reference: `mlx_lm.models.starcoder2`. As there, `sliding_window` is passed over.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["starcoder2"], |checkpoint| {
    checkpoint.rename_parts(&[(".c_fc.", ".up_proj."), (".c_proj.", ".down_proj.")]);
    recipe(&checkpoint.config()?)
});

#[derive(Deserialize)]
struct Config {
    hidden_size: i32,
    num_hidden_layers: usize,
    intermediate_size: i32,
    num_attention_heads: i32,
    num_key_value_heads: i32,
    norm_epsilon: Option<f32>,
    vocab_size: Option<i32>,
    rope_theta: Option<f32>,
    tie_word_embeddings: Option<bool>,
}

fn recipe(config: &Config) -> Result<Recipe, LoadError> {
    let llama = llama::Config {
        hidden_size: config.hidden_size,
        num_hidden_layers: config.num_hidden_layers,
        intermediate_size: config.intermediate_size,
        num_attention_heads: config.num_attention_heads,
        num_key_value_heads: Some(config.num_key_value_heads),
        rms_norm_eps: config.norm_epsilon.unwrap_or(1e-5),
        vocab_size: config.vocab_size.unwrap_or(49_152),
        rope_theta: Some(config.rope_theta.unwrap_or(100_000.0)),
        tie_word_embeddings: config.tie_word_embeddings.unwrap_or(true),
        ..llama::Config::default()
    };
    let layer = Layer {
        feed_forward: FeedForward::Plain(Activation::Gelu, llama.intermediate_size),
        ..llama::layer(&llama)?
    };
    Ok(Recipe { norm: NormKind::Layer, ..llama::uniform(layer, &llama) })
}
