//! Nanochat: norms that learn nothing, heads that turn backwards and are normalized then, and squared `ReLU`.
//!
//! Reference: `mlx_lm.models.nanochat`.

use super::prelude::*;

/// Added to the mean square by every norm.
const EPS: f32 = 1e-5;

/// What scores are bent below.
const CAP: f32 = 15.0;

pub(super) const FAMILY: Family = Family::decoder(&["nanochat"], |checkpoint| {
    checkpoint.rename_parts(&[
        ("transformer.wte.", "model.embed_tokens."),
        ("transformer.h.", "model.layers."),
        (".attn.c_q.", ".self_attn.q_proj."),
        (".attn.c_k.", ".self_attn.k_proj."),
        (".attn.c_v.", ".self_attn.v_proj."),
        (".attn.c_proj.", ".self_attn.o_proj."),
        (".mlp.c_fc.", ".mlp.up_proj."),
        (".mlp.c_proj.", ".mlp.down_proj."),
    ]);
    recipe(&checkpoint.config()?)
});

keys! {
    struct Config {
        hidden_size: i32 = 1280,
        num_hidden_layers: usize = 20,
        num_attention_heads: i32 = 10,
        num_key_value_heads: i32 = 10,
        vocab_size: i32 = 65_536,
        intermediate_size: i32 = 5120,
        rope_theta: f32 = 10_000.0,
    }
}

fn recipe(config: &Config) -> Result<Recipe, LoadError> {
    let llama = llama::Config {
        hidden_size: config.hidden_size,
        num_hidden_layers: config.num_hidden_layers,
        intermediate_size: config.intermediate_size,
        num_attention_heads: config.num_attention_heads,
        num_key_value_heads: Some(config.num_key_value_heads),
        rms_norm_eps: EPS,
        vocab_size: config.vocab_size,
        rope_theta: Some(config.rope_theta),
        ..llama::Config::default()
    };
    let attention = llama::attention(&llama)?;
    let backwards = |rope| Rope { scaling: RopeScaling::Backwards, ..rope };
    let layer = Layer {
        attention: Attention {
            rope: attention.rope.map(backwards),
            qk_norm: QkNorm::PerHeadAfterRope,
            ..attention
        },
        feed_forward: FeedForward::Plain(Activation::ReluSquared, config.intermediate_size),
        ..llama::layer(&llama)?
    };
    Ok(Recipe {
        embedding_scale: EmbeddingScale::Normalized,
        norm: NormKind::RmsPlain,
        scores: Scores::Capped(CAP),
        ..llama::uniform(layer, &llama)
    })
}
