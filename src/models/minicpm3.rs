//! MiniCPM 3: latent attention with keys and values kept in full, and scaled embeddings, halves and scores.
//!
//! Reference: `mlx_lm.models.minicpm3`. As there, the norms between projections have an epsilon of their own, positions
//! are always scaled by LongRoPE, and only a separate head has its input divided.

use super::{
    hybrid::{self, Mixer, block},
    latent::{Form, Latent},
    positions::Scaling,
    prelude::*,
};

pub(super) const FAMILY: Family =
    Family::other(&["minicpm3"], |checkpoint| recipe(&checkpoint.config()?)?.load(checkpoint));

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

fn recipe(config: &Config) -> Result<hybrid::Recipe, LoadError> {
    let feed_forward = FeedForward::Gated(Activation::Silu, config.intermediate_size);
    let block = block("self_attn", Mixer::Latent(attention(config)?), feed_forward);
    let layers = config.num_hidden_layers;
    let blocks = vec![block; usize::from(layers)];
    let (vocabulary, width) = (config.vocab_size, config.hidden_size);
    let head = llama::head(config.tie_word_embeddings);
    let divisor = single(f64::from(config.hidden_size) / config.dim_model_base);
    Ok(Recipe {
        embedding_scale: EmbeddingScale::Times(config.scale_emb),
        residual: Residual::AddTimes(single(config.scale_depth / f64::from(layers).sqrt())),
        scores: match head {
            Head::Tied => Scores::Plain,
            Head::Separate => Scores::OfStreamOver(divisor),
        },
        ..Recipe::plain(blocks, vocabulary, width, config.rms_norm_eps, head)
    })
}

fn attention(config: &Config) -> Result<Latent, LoadError> {
    let heads = config.num_attention_heads;
    if heads < 1 {
        return Err(unsupported(format!("`num_attention_heads` {heads}")));
    }
    let (plain_dim, rotated) = (config.qk_nope_head_dim, config.qk_rope_head_dim);
    let mut scaling = config.rope_scaling.clone();
    let original = scaling.original_max_position_embeddings.unwrap_or(4096.0);
    let pairs = usize::try_from(rotated / 2).unwrap_or(0);
    scaling.long_factor.get_or_insert_with(|| vec![1.0; pairs]);
    Ok(Latent {
        heads,
        query_rank: Some(config.q_lora_rank),
        rank: config.kv_lora_rank,
        plain_dim,
        value_dim: config.hidden_size / heads,
        rope: Rope {
            dims: rotated,
            theta: config.rope_theta.unwrap_or(1e6),
            pairs: Pairs::Halves,
            scaling: scaling.long(original, config.max_position_embeddings)?,
        },
        eps: 1e-5,
        scale: single(f64::from(plain_dim + rotated).powf(-0.5)),
        form: Form::Expanded,
        growth: QueryGrowth::None,
    })
}
