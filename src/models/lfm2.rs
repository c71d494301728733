//! LFM 2: short convolutions, and self-attention in a few layers.
//!
//! Reference: `mlx_lm.models.lfm2`. As there, the head is always tied.

use super::{
    feed_forward::FeedForward,
    hybrid::{Frame, Half, Hybrid, Mixer},
    prelude::*,
    recipe,
    short_convolution::ShortConvolution,
};
use crate::checkpoint::Scope;

pub(super) const FAMILY: Family = Family::other(&["lfm2"], |checkpoint| {
    let config: Config = checkpoint.config()?;
    let own: FeedForwardConfig = checkpoint.config()?;
    bring_into_form(checkpoint)?;
    let feed_forward = own.feed_forward()?;
    let model = load(checkpoint, &config, |scope, _| {
        FeedForward::load(scope, config.hidden_size, &feed_forward)
    })?;
    Ok(Box::new(model))
});

/// The keys that this family shares with its mixtures.
#[derive(Deserialize)]
pub(super) struct Config {
    pub(super) vocab_size: i32,
    pub(super) hidden_size: i32,
    pub(super) num_hidden_layers: usize,
    num_attention_heads: i32,
    num_key_value_heads: Option<i32>,
    norm_eps: f32,
    #[serde(rename = "conv_L_cache")]
    conv_l_cache: i32,
    rope_theta: Option<f32>,
    rope_parameters: Option<RopeParameters>,
    full_attn_idxs: Option<Vec<usize>>,
    layer_types: Option<Vec<String>>,
}

/// `rope_parameters`, of which the reference reads no more.
#[derive(Deserialize)]
struct RopeParameters {
    rope_theta: Option<f32>,
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
    fn feed_forward(&self) -> Result<recipe::FeedForward, LoadError> {
        let asked = self.block_ff_dim.or(self.intermediate_size);
        let asked =
            asked.ok_or_else(|| unsupported("neither `block_ff_dim` nor `intermediate_size`"))?;
        let inner = if self.block_auto_adjust_ff_dim { self.adjusted(asked) } else { asked };
        Ok(recipe::FeedForward::gated(Activation::Silu, inner))
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
    checkpoint.rename(|name| {
        let mut new = name.to_owned();
        for (theirs, ours) in [
            (".self_attn.out_proj.", ".self_attn.o_proj."),
            (".q_layernorm.", ".q_norm."),
            (".k_layernorm.", ".k_norm."),
            (".w1.", ".gate_proj."),
            (".w2.", ".down_proj."),
            (".w3.", ".up_proj."),
        ] {
            new = new.replace(theirs, ours);
        }
        (new != name).then_some(new)
    });
    super::hybrid::channels_last(checkpoint, ".conv.weight")
}

/// The model with the feed-forward halves that `feed_forward` loads for each layer.
pub(super) fn load(
    checkpoint: &Checkpoint<'_>,
    config: &Config,
    feed_forward: impl Fn(&Scope<'_>, usize) -> Result<FeedForward, LoadError>,
) -> Result<Hybrid, LoadError> {
    let frame = Frame {
        norm: "model.embedding_norm",
        ..Frame::new(config.vocab_size, config.hidden_size, config.norm_eps, Head::Tied)
    };
    let attention = config.attention()?;
    let mut halves: Vec<Half> = Vec::new();
    for index in 0..config.num_hidden_layers {
        let scope = checkpoint.root().at("model.layers").at(index);
        let mixer = if config.attends(index) {
            Mixer::Attention(frame.attention(&scope.at("self_attn"), &attention)?)
        } else {
            let scope = scope.at("conv");
            Mixer::ShortConvolution(ShortConvolution::load(
                &scope,
                config.hidden_size,
                config.conv_l_cache,
            )?)
        };
        halves.push(frame.half(&scope.at("operator_norm"), mixer)?);
        let mixer = Mixer::FeedForward(feed_forward(&scope.at("feed_forward"), index)?);
        halves.push(frame.half(&scope.at("ffn_norm"), mixer)?);
    }
    Hybrid::load(&frame, halves, checkpoint)
}

impl Config {
    fn attends(&self, index: usize) -> bool {
        match (&self.full_attn_idxs, &self.layer_types) {
            (Some(indices), _) => indices.contains(&index),
            (None, Some(types)) => types.get(index).is_some_and(|kind| kind == "full_attention"),
            (None, None) => false,
        }
    }

    fn attention(&self) -> Result<Attention, LoadError> {
        let nested = self.rope_parameters.as_ref();
        let theta = nested.and_then(|rope| rope.rope_theta).or(self.rope_theta);
        let attention = llama::attention(&llama::Config {
            hidden_size: self.hidden_size,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: self.num_key_value_heads,
            rope_theta: Some(theta.unwrap_or(1_000_000.0)),
            ..llama::Config::default()
        })?;
        Ok(Attention { qk_norm: QkNorm::PerHead, ..attention })
    }
}
