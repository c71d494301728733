//! MiniCPM 3: latent attention with keys and values kept in full, and scaled embeddings, halves and scores.
//!
//! Reference: `mlx_lm.models.minicpm3`. As there, the norms between projections have an epsilon of their own, positions
//! are always scaled by LongRoPE, and only a separate head has its input divided.

use super::{
    latent::{Form, Head, Latent, Recipe},
    positions::Scaling,
    prelude::*,
};

pub(super) const FAMILY: Family =
    Family::other(&["minicpm3"], |checkpoint| recipe(checkpoint.config()?)?.load(checkpoint));

#[derive(Deserialize)]
struct Config {
    hidden_size: i32,
    dim_model_base: f64,
    num_hidden_layers: u16,
    intermediate_size: i32,
    num_attention_heads: i32,
    rms_norm_eps: f32,
    vocab_size: i32,
    q_lora_rank: i32,
    qk_nope_head_dim: i32,
    qk_rope_head_dim: i32,
    kv_lora_rank: i32,
    scale_depth: f64,
    scale_emb: f32,
    max_position_embeddings: i32,
    rope_theta: Option<f32>,
    rope_scaling: Scaling,
    #[serde(default)]
    tie_word_embeddings: bool,
}

fn recipe(config: Config) -> Result<Recipe, LoadError> {
    let heads = config.num_attention_heads;
    if heads < 1 {
        return Err(unsupported(format!("`num_attention_heads` {heads}")));
    }
    let feed_forward = FeedForward::gated(Activation::Silu, config.intermediate_size);
    let layers = config.num_hidden_layers;
    Ok(Recipe {
        vocabulary: config.vocab_size,
        width: config.hidden_size,
        embedding_scale: Some(config.scale_emb),
        feed_forward: vec![feed_forward; usize::from(layers)],
        residual_scale: Some(single(config.scale_depth / f64::from(layers).sqrt())),
        eps: config.rms_norm_eps,
        head: if config.tie_word_embeddings {
            Head::Tied
        } else {
            let divisor = f64::from(config.hidden_size) / config.dim_model_base;
            Head::Divided(single(divisor))
        },
        attention: attention(config)?,
    })
}

fn attention(config: Config) -> Result<Latent, LoadError> {
    let (plain_dim, rotated) = (config.qk_nope_head_dim, config.qk_rope_head_dim);
    let mut scaling = config.rope_scaling;
    let original = scaling.original_max_position_embeddings.unwrap_or(4096.0);
    let pairs = usize::try_from(rotated / 2).unwrap_or(0);
    scaling.long_factor.get_or_insert_with(|| vec![1.0; pairs]);
    Ok(Latent {
        heads: config.num_attention_heads,
        query_rank: Some(config.q_lora_rank),
        rank: config.kv_lora_rank,
        plain_dim,
        value_dim: config.hidden_size / config.num_attention_heads,
        rope: Rope {
            dims: rotated,
            theta: config.rope_theta.unwrap_or(1e6),
            pairs: Pairs::Halves,
            scaling: scaling.long(original, config.max_position_embeddings)?,
        },
        eps: 1e-5,
        scale: single(f64::from(plain_dim + rotated).powf(-0.5)),
        form: Form::Expanded,
    })
}
