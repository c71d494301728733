//! `StableLM` 2: layer norms, a part of each head rotated, and attention in single precision.
//!
//! Reference: `mlx_lm.models.stablelm`. Where halves lie side by side, they are added one after the other.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["stablelm"], |checkpoint| {
    let config: Config = checkpoint.config()?;
    stack_norms(checkpoint, &config)?;
    recipe(&config)
});

#[derive(Deserialize)]
struct Config {
    vocab_size: i32,
    hidden_size: i32,
    num_attention_heads: i32,
    num_hidden_layers: usize,
    num_key_value_heads: i32,
    intermediate_size: i32,
    rope_theta: f32,
    partial_rotary_factor: f64,
    layer_norm_eps: f32,
    #[serde(default)]
    use_parallel_residual: bool,
    #[serde(default)]
    qk_layernorm: bool,
}

/// Makes one matrix of the norms that every head has of its own.
fn stack_norms(checkpoint: &Checkpoint<'_>, config: &Config) -> Result<(), LoadError> {
    for layer in 0..config.num_hidden_layers {
        let attention = format!("model.layers.{layer}.self_attn");
        let kinds = [("q", config.num_attention_heads), ("k", config.num_key_value_heads)];
        for (kind, heads) in kinds {
            let of_head = |head| format!("{attention}.{kind}_layernorm.norms.{head}");
            checkpoint.stack((0..heads).map(of_head), &format!("{attention}.{kind}_norm"))?;
        }
    }
    Ok(())
}

fn recipe(config: &Config) -> Result<Recipe, LoadError> {
    let llama = llama::Config {
        hidden_size: config.hidden_size,
        num_hidden_layers: config.num_hidden_layers,
        intermediate_size: config.intermediate_size,
        num_attention_heads: config.num_attention_heads,
        num_key_value_heads: Some(config.num_key_value_heads),
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
            qk_norm: if config.qk_layernorm { QkNorm::EachHead } else { QkNorm::None },
            ..attention
        },
        wiring: if config.use_parallel_residual { Wiring::ParallelInTurn } else { Wiring::Pre },
        ..llama::layer(&llama)?
    };
    Ok(Recipe { norm: NormKind::Layer, ..llama::uniform(layer, &llama) })
}
