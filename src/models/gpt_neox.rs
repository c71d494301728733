//! GPT-NeoX (Pythia): attention and a plain feed-forward half side by side, each behind a layer norm of its own.
//!
//! Reference: `mlx_lm.models.gpt_neox`.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["gpt_neox"], |checkpoint| {
    rename(checkpoint);
    recipe(&checkpoint.config()?)
});

#[derive(Deserialize)]
struct Config {
    hidden_size: i32,
    num_attention_heads: i32,
    num_hidden_layers: usize,
    layer_norm_eps: f32,
    vocab_size: i32,
    rotary_emb_base: f32,
    rotary_pct: f64,
    use_parallel_residual: Option<bool>,
}

/// Drops masks and frequencies, and gives the rest the names of a decoder.
fn rename(checkpoint: &Checkpoint<'_>) {
    const UNUSED: [&str; 3] =
        [".attention.bias", ".attention.masked_bias", ".attention.rotary_emb.inv_freq"];
    checkpoint.discard(|name| UNUSED.iter().any(|unused| name.ends_with(unused)));
    checkpoint.rename_parts(&[
        ("gpt_neox.", "model."),
        ("model.h.", "model.layers."),
        ("model.embed_in.", "model.embed_tokens."),
        ("model.embed_out.", "lm_head."),
        ("embed_out.", "lm_head."),
        ("model.final_layer_norm.", "model.norm."),
        (".attention.query_key_value.", ".self_attn.qkv_proj."),
        (".attention.dense.", ".self_attn.o_proj."),
        (".dense_h_to_4h.", ".up_proj."),
        (".dense_4h_to_h.", ".down_proj."),
    ]);
}

fn recipe(config: &Config) -> Result<Recipe, LoadError> {
    let llama = llama::Config {
        hidden_size: config.hidden_size,
        num_hidden_layers: config.num_hidden_layers,
        intermediate_size: 4 * config.hidden_size,
        num_attention_heads: config.num_attention_heads,
        rms_norm_eps: config.layer_norm_eps,
        vocab_size: config.vocab_size,
        rope_theta: Some(config.rotary_emb_base),
        ..llama::Config::default()
    };
    let attention = llama::attention(&llama)?;
    let layer = Layer {
        attention: Attention {
            projections: Projections::FusedByGroup,
            rope: positions::on_part(attention.rope, config.rotary_pct),
            ..attention
        },
        feed_forward: FeedForward::Plain(Activation::GeluTanh, llama.intermediate_size),
        wiring: match config.use_parallel_residual {
            None | Some(true) => Wiring::ParallelTwoNorms,
            Some(false) => Wiring::Pre,
        },
    };
    Ok(Recipe { norm: NormKind::Layer, ..llama::uniform(layer, &llama) })
}
