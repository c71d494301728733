//! Gemma 3, text or the text half: four norms a block by `1 + weight`, and five of six layers see a window.
//!
//! Reference: `mlx_lm.models.gemma3_text` and `gemma3`. As there, `layer_types` is passed over for the pattern, and the
//! head is tied where the checkpoint has none.

use serde::de::IgnoredAny;

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["gemma3", "gemma3_text"], |checkpoint| {
    let whole: Whole = checkpoint.config()?;
    let heads = [("num_attention_heads", 8.into()), ("num_key_value_heads", 4.into())];
    wrapper::keep_text(checkpoint, &heads)?;
    let text: Config = checkpoint.config()?;
    let vocab_size = match whole.text_config {
        Some(_) => whole.vocab_size.unwrap_or(262_208),
        None => text.vocab_size,
    };
    let head = if checkpoint.holds("lm_head.weight") { Head::Separate } else { Head::Tied };
    recipe(&Config { vocab_size, ..text }, head)
});

/// What a model that also sees says of itself; its vocabulary counts, not that of its text half.
#[derive(Deserialize)]
struct Whole {
    text_config: Option<IgnoredAny>,
    vocab_size: Option<i32>,
}

keys! {
    struct Config {
        hidden_size: i32 = 1152,
        num_hidden_layers: usize = 26,
        intermediate_size: i32 = 6912,
        num_attention_heads: i32 = 4,
        head_dim: i32 = 256,
        rms_norm_eps: f32 = 1e-6,
        vocab_size: i32 = 262_144,
        num_key_value_heads: i32 = 1,
        rope_theta: f32 = 1_000_000.0,
        rope_local_base_freq: f32 = 10_000.0,
        query_pre_attn_scalar: f64 = 256.0,
        sliding_window: i32 = 512,
        sliding_window_pattern: usize = 6,
        max_position_embeddings: Option<i32> = Some(32_768),
        rope_scaling: Option<positions::Scaling> = None,
    }
}

fn recipe(config: &Config, head: Head) -> Result<Recipe, LoadError> {
    if config.sliding_window_pattern == 0 || config.sliding_window < 2 {
        return Err(unsupported(format!(
            "`sliding_window` {} in a pattern of {}",
            config.sliding_window, config.sliding_window_pattern
        )));
    }
    let layers = (0..config.num_hidden_layers).map(|index| layer(config, index));
    let layers = layers.collect::<Result<_, _>>()?;
    let (vocabulary, width) = (config.vocab_size, config.hidden_size);
    Ok(Recipe {
        embedding_scale: EmbeddingScale::RootOfWidth,
        norm: NormKind::RmsUnitOffset,
        residual: Residual::AddClipped,
        ..Recipe::plain(layers, vocabulary, width, config.rms_norm_eps, head)
    })
}

fn layer(config: &Config, index: usize) -> Result<Layer, LoadError> {
    let sees_all = (index + 1).is_multiple_of(config.sliding_window_pattern);
    let (theta, rope_scaling, reach) = if sees_all {
        (config.rope_theta, config.rope_scaling.clone(), Reach::Full)
    } else {
        (config.rope_local_base_freq, None, Reach::Window(config.sliding_window))
    };
    let attention = llama::attention(&llama::Config {
        num_attention_heads: config.num_attention_heads,
        num_key_value_heads: Some(config.num_key_value_heads),
        head_dim: Some(config.head_dim),
        rope_theta: Some(theta),
        rope_scaling,
        max_position_embeddings: config.max_position_embeddings,
        ..llama::Config::default()
    })?;
    let scale = llama::inverse_root(config.query_pre_attn_scalar);
    Ok(Layer {
        attention: Attention { scale, qk_norm: QkNorm::PerHead, reach, ..attention },
        feed_forward: FeedForward::Gated(Activation::GeluTanh, config.intermediate_size),
        wiring: Wiring::Sandwich,
    })
}
