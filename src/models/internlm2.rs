//! InternLM 2: Llama with queries, keys and values in one projection, a group of heads after another.
//!
//! Reference: `mlx_lm.models.internlm2`. As there, a `head_dim` is passed over, and a missing
//! `tie_word_embeddings` means untied.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["internlm2"], |checkpoint| {
    checkpoint.discard(|name| name.contains("attention.rope.inv_freq"));
    checkpoint.rename_parts(&[
        ("model.tok_embeddings.", "model.embed_tokens."),
        (".attention.wqkv.", ".self_attn.qkv_proj."),
        (".attention.wo.", ".self_attn.o_proj."),
        (".feed_forward.w1.", ".mlp.gate_proj."),
        (".feed_forward.w2.", ".mlp.down_proj."),
        (".feed_forward.w3.", ".mlp.up_proj."),
        (".attention_norm.", ".input_layernorm."),
        (".ffn_norm.", ".post_attention_layernorm."),
    ]);
    checkpoint.rename(|name| name.strip_prefix("output.").map(|part| format!("lm_head.{part}")));
    let config = llama::Config { head_dim: None, ..llama::untied(checkpoint)? };
    let attention = llama::attention(&config)?;
    let attention = Attention { projections: Projections::FusedByGroup, ..attention };
    Ok(llama::uniform(Layer { attention, ..llama::layer(&config)? }, &config))
});
