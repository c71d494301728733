//! Lille: Llama by other names, with one projection for queries, keys and values, and interleaved pairs.
//!
//! Reference: `mlx_lm.models.lille-130m`. As there, the head is always tied, and the width of the feed-forward block
//! follows from that of the stream.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["lille-130m"], |checkpoint| {
    checkpoint.discard(|name| name.contains("rotary_emb"));
    checkpoint.rename_parts(NAMES);
    recipe(&checkpoint.config()?)
});

/// Its names and Llama's.
const NAMES: &[(&str, &str)] = &[
    ("transformer.tok_embeddings.", "model.embed_tokens."),
    ("transformer.", "model."),
    (".attention.norm.", ".input_layernorm."),
    (".attention.out_proj.", ".self_attn.o_proj."),
    (".attention.", ".self_attn."),
    (".feed_forward.norm.", ".post_attention_layernorm."),
    (".feed_forward.", ".mlp."),
];

#[derive(Deserialize)]
struct Config {
    n_embd: i32,
    n_layer: usize,
    n_head: i32,
    n_kv_heads: i32,
    layer_norm_eps: f32,
    rope_theta: f32,
    vocab_size: i32,
}

/// Two thirds of four times the stream, to the nearest multiple of 256.
fn inner(width: i32) -> i32 {
    (8 * width / 3 + 128) / 256 * 256
}

fn recipe(config: &Config) -> Result<Recipe, LoadError> {
    let llama = llama::Config {
        hidden_size: config.n_embd,
        num_hidden_layers: config.n_layer,
        intermediate_size: inner(config.n_embd),
        num_attention_heads: config.n_head,
        num_key_value_heads: Some(config.n_kv_heads),
        rms_norm_eps: config.layer_norm_eps,
        vocab_size: config.vocab_size,
        rope_theta: Some(config.rope_theta),
        rope_traditional: true,
        tie_word_embeddings: true,
        ..llama::Config::default()
    };
    let attention = Attention { projections: Projections::Fused, ..llama::attention(&llama)? };
    let layer = Layer { attention, ..llama::layer(&llama)? };
    Ok(llama::uniform(layer, &llama))
}
