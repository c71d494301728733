//! GPT-2: learned positions, layer norms, biases everywhere and no gate.
//!
//! Reference: `mlx_lm.models.gpt2`. The first exporter stored projections transposed, below no prefix.

use super::prelude::*;
use crate::ffi::MlxError;

pub(super) const FAMILY: Family = Family::decoder(&["gpt2"], |checkpoint| {
    let config: Config = checkpoint.config()?;
    turn(checkpoint, config.n_layer)?;
    rename(checkpoint);
    recipe(&config)
});

#[derive(Deserialize)]
struct Config {
    n_embd: i32,
    n_head: i32,
    n_layer: usize,
    n_positions: i32,
    layer_norm_epsilon: f32,
    vocab_size: i32,
}

/// Brings projections of the first exporter into the usual layout, and drops its masks.
fn turn(checkpoint: &Checkpoint<'_>, layers: usize) -> Result<(), LoadError> {
    checkpoint.discard(|name| name.starts_with("h.") && name.ends_with(".attn.bias"));
    for layer in 0..layers {
        for projection in ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"] {
            checkpoint.transform(&format!("h.{layer}.{projection}.weight"), |weight| {
                weight.transpose().map_err(MlxError::from)
            })?;
        }
    }
    Ok(())
}

fn rename(checkpoint: &Checkpoint<'_>) {
    checkpoint.rename(|name| (!name.starts_with("model.")).then(|| format!("model.{name}")));
    checkpoint.rename_parts(&[
        ("model.wte.", "model.embed_tokens."),
        ("model.wpe.", "model.embed_positions."),
        ("model.ln_f.", "model.norm."),
        ("model.h.", "model.layers."),
        (".ln_1.", ".input_layernorm."),
        (".ln_2.", ".post_attention_layernorm."),
        (".attn.c_attn.", ".self_attn.qkv_proj."),
        (".attn.c_proj.", ".self_attn.o_proj."),
        (".mlp.c_fc.", ".mlp.up_proj."),
        (".mlp.c_proj.", ".mlp.down_proj."),
    ]);
}

fn recipe(config: &Config) -> Result<Recipe, LoadError> {
    let llama = llama::Config {
        hidden_size: config.n_embd,
        num_hidden_layers: config.n_layer,
        intermediate_size: 4 * config.n_embd,
        num_attention_heads: config.n_head,
        rms_norm_eps: config.layer_norm_epsilon,
        vocab_size: config.vocab_size,
        tie_word_embeddings: true,
        ..llama::Config::default()
    };
    let layer = Layer {
        attention: Attention {
            projections: Projections::Fused,
            rope: None,
            ..llama::attention(&llama)?
        },
        feed_forward: FeedForward::Plain(Activation::GeluTanh, llama.intermediate_size),
        ..llama::layer(&llama)?
    };
    Ok(Recipe {
        places: Places::Learned(config.n_positions),
        norm: NormKind::Layer,
        ..llama::uniform(layer, &llama)
    })
}
