//! Phi 1, 1.5 and 2: attention and a plain feed-forward half side by side, layer norms, and biases everywhere.
//!
//! Reference: `mlx_lm.models.phi`.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["phi"], |checkpoint| {
    checkpoint.rename_parts(&[
        (".dense.", ".o_proj."),
        (".fc1.", ".up_proj."),
        (".fc2.", ".down_proj."),
        (".final_layernorm.", ".norm."),
    ]);
    recipe(&checkpoint.config()?)
});

keys! {
    struct Config {
        vocab_size: i32 = 51_200,
        hidden_size: i32 = 2560,
        num_attention_heads: i32 = 32,
        num_hidden_layers: usize = 32,
        num_key_value_heads: Option<i32> = Some(32),
        partial_rotary_factor: f64 = 0.4,
        intermediate_size: i32 = 10_240,
        layer_norm_eps: f32 = 1e-5,
        rope_theta: f32 = 10_000.0,
    }
}

fn recipe(config: &Config) -> Result<Recipe, LoadError> {
    let llama = llama::Config {
        hidden_size: config.hidden_size,
        num_hidden_layers: config.num_hidden_layers,
        intermediate_size: config.intermediate_size,
        num_attention_heads: config.num_attention_heads,
        num_key_value_heads: config.num_key_value_heads,
        rms_norm_eps: config.layer_norm_eps,
        vocab_size: config.vocab_size,
        rope_theta: Some(config.rope_theta),
        ..llama::Config::default()
    };
    let attention = llama::attention(&llama)?;
    let layer = Layer {
        attention: Attention {
            rope: positions::on_part(attention.rope, config.partial_rotary_factor),
            kernel: Kernel::Wide,
            ..attention
        },
        feed_forward: FeedForward::Plain(Activation::GeluTanh, config.intermediate_size),
        wiring: Wiring::Parallel,
    };
    Ok(Recipe { norm: NormKind::Layer, ..llama::uniform(layer, &llama) })
}
