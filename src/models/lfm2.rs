//! LFM 2: short convolutions, and self-attention in a few layers.
//!
//! Reference: `mlx_lm.models.lfm2`. As there, the head is always tied.

use super::{
    hybrid::{self, Mixer, channels_last, half},
    positions::Scaling,
    prelude::*,
};

pub(super) const FAMILY: Family = Family::other(&["lfm2"], |checkpoint| {
    let config: Config = checkpoint.config()?;
    let own: FeedForwardConfig = checkpoint.config()?;
    bring_into_form(checkpoint)?;
    let inner = own.inner()?;
    recipe(&config, |_| FeedForward::Gated(Activation::Silu, inner))?.load(checkpoint)
});

/// The keys that this family shares with its mixtures.
#[derive(Deserialize)]
pub(super) struct Config {
    vocab_size: i32,
    hidden_size: i32,
    pub(super) num_hidden_layers: usize,
    num_attention_heads: i32,
    num_key_value_heads: Option<i32>,
    norm_eps: f32,
    #[serde(rename = "conv_L_cache")]
    conv_l_cache: i32,
    rope_theta: Option<f32>,
    /// The reference reads no more than its `rope_theta`.
    rope_parameters: Option<Scaling>,
    full_attn_idxs: Option<Vec<usize>>,
    layer_types: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct FeedForwardConfig {
    block_ff_dim: Option<i32>,
    intermediate_size: Option<i32>,
    block_multiple_of: i32,
    block_ffn_dim_multiplier: Option<f64>,
    block_auto_adjust_ff_dim: bool,
}

impl FeedForwardConfig {
    /// Width between the projections.
    fn inner(&self) -> Result<i32, LoadError> {
        let asked = self.block_ff_dim.or(self.intermediate_size);
        let asked =
            asked.ok_or_else(|| unsupported("neither `block_ff_dim` nor `intermediate_size`"))?;
        Ok(if self.block_auto_adjust_ff_dim { self.adjusted(asked) } else { asked })
    }

    /// Two thirds of `asked`, times the multiplier, rounded up to a multiple.
    fn adjusted(&self, asked: i32) -> i32 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the reference truncates, and widths are small"
        )]
        let scaled = |width: i32, by: f64| (f64::from(width) * by) as i32;
        let width = 2 * asked / 3;
        let width = self.block_ffn_dim_multiplier.map_or(width, |by| scaled(width, by));
        let multiple = self.block_multiple_of.max(1);
        (width + multiple - 1) / multiple * multiple
    }
}

/// Gives tensors the names and shapes that are used here.
pub(super) fn bring_into_form(checkpoint: &Checkpoint<'_>) -> Result<(), LoadError> {
    checkpoint.rename_parts(&[
        ("model.embedding_norm.", "model.norm."),
        (".self_attn.out_proj.", ".self_attn.o_proj."),
        (".q_layernorm.", ".q_norm."),
        (".k_layernorm.", ".k_norm."),
        (".w1.", ".gate_proj."),
        (".w2.", ".down_proj."),
        (".w3.", ".up_proj."),
    ]);
    channels_last(checkpoint, ".conv.weight")
}

/// The model with the feed-forward halves that `feed_forward` answers for each layer.
pub(super) fn recipe(
    config: &Config,
    feed_forward: impl Fn(usize) -> FeedForward,
) -> Result<hybrid::Recipe, LoadError> {
    let base = config.base();
    let attention = Attention { qk_norm: QkNorm::PerHead, ..llama::attention(&base)? };
    let blocks = (0..config.num_hidden_layers).map(|index| {
        let (place, mixer) = if config.attends(index) {
            ("self_attn", Mixer::Attention(attention.clone()))
        } else {
            ("conv", Mixer::ShortConvolution(config.conv_l_cache))
        };
        let feed_forward = Mixer::FeedForward(feed_forward(index));
        vec![half("operator_norm", place, mixer), half("ffn_norm", "feed_forward", feed_forward)]
    });
    Ok(llama::around(blocks.collect(), &base))
}

impl Config {
    fn attends(&self, index: usize) -> bool {
        match (&self.full_attn_idxs, &self.layer_types) {
            (Some(indices), _) => indices.contains(&index),
            (None, Some(types)) => types.get(index).is_some_and(|kind| kind == "full_attention"),
            (None, None) => false,
        }
    }

    /// What this family has like others, by its usual keys.
    fn base(&self) -> llama::Config {
        let nested = self.rope_parameters.as_ref();
        let theta = nested.and_then(|rope| rope.rope_theta).or(self.rope_theta);
        llama::Config {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: self.num_key_value_heads,
            rms_norm_eps: self.norm_eps,
            rope_theta: Some(theta.unwrap_or(1_000_000.0)),
            tie_word_embeddings: true,
            ..llama::Config::default()
        }
    }
}
