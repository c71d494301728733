//! Gemma 3n, text only: four residual streams of which a block computes one and predicts the others, late layers that
//! borrow keys and values, and vectors of every layer's own.
//!
//! Papers: Baykal et al., "Alternating updates" (2023); Menghani et al., "Learned augmented residual layer" (2024).
//! Reference: `mlx_lm.models.gemma3n`. Projections of layers that borrow keys and values are held there and never
//! used; here they are dropped.

use super::{lending, prelude::*};

pub(super) const FAMILY: Family = Family::decoder(&["gemma3n"], |checkpoint| {
    let Text { text_config: config } = checkpoint.config()?;
    let lenders = lending::lenders(config.num_hidden_layers, config.num_kv_shared_layers)?;
    wrapper::keep_tensors(checkpoint);
    lending::discard_lent(checkpoint, lenders);
    recipe(&config, lenders)
});

#[derive(Deserialize)]
struct Text {
    text_config: Config,
}

#[derive(Deserialize)]
struct Config {
    hidden_size: i32,
    num_hidden_layers: usize,
    intermediate_size: Widths,
    num_attention_heads: i32,
    head_dim: i32,
    rms_norm_eps: f32,
    vocab_size: i32,
    num_key_value_heads: i32,
    num_kv_shared_layers: usize,
    vocab_size_per_layer_input: i32,
    sliding_window: i32,
    rope_local_base_freq: f32,
    rope_theta: f32,
    final_logit_softcapping: Option<f32>,
    layer_types: Vec<String>,
    activation_sparsity_pattern: Option<Vec<f64>>,
    hidden_size_per_layer_input: i32,
    altup_num_inputs: i32,
    altup_coef_clip: Option<f32>,
    altup_correct_scale: bool,
    altup_active_idx: i32,
    laurel_rank: i32,
}

/// Widths between the projections of feed-forward halves.
#[derive(Deserialize)]
#[serde(untagged)]
enum Widths {
    /// The same in every layer.
    One(i32),
    /// One a layer.
    Each(Vec<i32>),
}

impl Config {
    /// The same in Llama's words, for layers that turn with a base of `theta`.
    fn llama(&self, theta: f32) -> llama::Config {
        llama::Config {
            hidden_size: self.hidden_size,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: Some(self.num_key_value_heads),
            head_dim: Some(self.head_dim),
            rms_norm_eps: self.rms_norm_eps,
            vocab_size: self.vocab_size,
            rope_theta: Some(theta),
            tie_word_embeddings: true,
            ..llama::Config::default()
        }
    }
}

fn recipe(config: &Config, lenders: usize) -> Result<Recipe, LoadError> {
    let layers = (0..config.num_hidden_layers).map(|index| layer(config, index, lenders));
    Ok(Recipe {
        embedding_scale: EmbeddingScale::Times(single(f64::from(config.hidden_size).sqrt())),
        layers: layers.collect::<Result<_, _>>()?,
        scores: config.final_logit_softcapping.map_or(Scores::Plain, Scores::CappedAtOnce),
        extras: Extras {
            per_layer: Some(PerLayer {
                known: config.vocab_size_per_layer_input,
                inner: config.hidden_size_per_layer_input,
            }),
            streams: Some(Streams {
                count: config.altup_num_inputs,
                active: config.altup_active_idx,
                clip: config.altup_coef_clip,
                is_scaled: config.altup_correct_scale,
                shortcut_rank: config.laurel_rank,
            }),
            experts: None,
        },
        ..llama::recipe(&config.llama(config.rope_theta))?
    })
}

fn layer(config: &Config, index: usize, lenders: usize) -> Result<Layer, LoadError> {
    let kind = of_layer("layer_types", &config.layer_types, index)?;
    let reach = llama::reach(kind, Some(config.sliding_window))?;
    let sees_all = reach == Reach::Full;
    let theta = if sees_all { config.rope_theta } else { config.rope_local_base_freq };
    let inner = match &config.intermediate_size {
        Widths::One(inner) => *inner,
        Widths::Each(widths) => *of_layer("intermediate_size", widths, index)?,
    };
    let dropped = match &config.activation_sparsity_pattern {
        None => 0.0,
        Some(pattern) => *of_layer("activation_sparsity_pattern", pattern, index)?,
    };
    Ok(Layer {
        attention: Attention {
            scale: 1.0,
            projections: if index < lenders {
                Projections::Separate
            } else {
                Projections::Borrowed
            },
            qk_norm: QkNorm::PerHeadAndValues,
            reach,
            kernel: Kernel::Lending,
            ..llama::attention(&config.llama(theta))?
        },
        feed_forward: if dropped > 0.0 {
            FeedForward::GatedSparse(dropped, inner)
        } else {
            FeedForward::Gated(Activation::GeluTanh, inner)
        },
        wiring: Wiring::Sandwich,
    })
}

/// What `list`, found at `key`, says of layer `index`.
fn of_layer<'a, T>(key: &str, list: &'a [T], index: usize) -> Result<&'a T, LoadError> {
    let layers = list.len();
    list.get(index).ok_or_else(|| unsupported(format!("`{key}` of only {layers} layers")))
}
