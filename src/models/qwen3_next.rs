//! Qwen 3 Next: gated delta networks, gated self-attention in every fourth layer, and mixtures.
//!
//! Reference: `mlx_lm.models.qwen3_next`. As there, `layer_types` is passed over for the interval, and what a checkpoint
//! holds is only brought into form where its experts lie one by one.

use super::{
    feed_forward::FeedForward,
    gated_delta::{GatedDeltaMixer, Inputs, Shape},
    hybrid::{Frame, Hybrid, Mixer, channels_last},
    positions::{Scaling, part, scaling},
    prelude::*,
    recipe,
};
use crate::nn;

pub(super) const FAMILY: Family = Family::other(&["qwen3_next"], |checkpoint| {
    let config: Config = checkpoint.config()?;
    let own: Layout = checkpoint.config()?;
    let rope: Positions = checkpoint.config()?;
    bring_into_form(checkpoint, &config)?;
    let is_sparse = |index: usize| {
        !own.mlp_only_layers.contains(&index) && (index + 1).is_multiple_of(own.decoder_sparse_step)
    };
    let rope =
        config.rope(rope.rope_theta, rope.partial_rotary_factor, rope.rope_scaling.as_ref())?;
    let place = Place { root: "", inputs: Inputs::ByHead, weights: ExpertWeights::Scores };
    Ok(Box::new(load(checkpoint, &config, place, &rope, is_sparse)?))
});

keys! {
    /// The keys that this family shares with Qwen 3.5, with that one's defaults.
    pub(super) struct Config {
        hidden_size: i32 = 4096,
        pub(super) num_hidden_layers: usize = 32,
        intermediate_size: i32 = 14_336,
        num_attention_heads: i32 = 32,
        num_key_value_heads: i32 = 8,
        head_dim: Option<i32> = None,
        linear_num_value_heads: i32 = 64,
        linear_num_key_heads: i32 = 16,
        linear_key_head_dim: i32 = 192,
        linear_value_head_dim: i32 = 128,
        linear_conv_kernel_dim: i32 = 4,
        num_experts: i32 = 0,
        num_experts_per_tok: i32 = 0,
        shared_expert_intermediate_size: i32 = 0,
        pub(super) moe_intermediate_size: i32 = 0,
        norm_topk_prob: Option<bool> = None,
        rms_norm_eps: f32 = 1e-6,
        vocab_size: i32 = 151_936,
        max_position_embeddings: i32 = 131_072,
        tie_word_embeddings: bool = false,
        full_attention_interval: usize = 4,
    }
}

#[derive(Deserialize)]
struct Layout {
    decoder_sparse_step: usize,
    mlp_only_layers: Vec<usize>,
}

#[derive(Deserialize)]
struct Positions {
    rope_theta: f32,
    partial_rotary_factor: f64,
    rope_scaling: Option<Scaling>,
}

/// Where and in which form a checkpoint has such a model.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// See [`Frame::root`].
    pub(super) root: &'static str,
    /// How the inputs of the delta rule are projected.
    pub(super) inputs: Inputs,
    /// What `norm_topk_prob` means where it is absent.
    pub(super) weights: ExpertWeights,
}

/// The model whose layers are mixtures where `is_sparse` says so, if it has experts at all.
pub(super) fn load(
    checkpoint: &Checkpoint<'_>,
    config: &Config,
    place: Place,
    rope: &Rope,
    is_sparse: impl Fn(usize) -> bool,
) -> Result<Hybrid, LoadError> {
    let frame = config.frame(place.root);
    let (shape, attention) = (config.recurrence(place.inputs), config.attention(rope)?);
    let mut halves = Vec::new();
    for index in 0..config.num_hidden_layers {
        let scope = checkpoint.root().at(place.root).at("model.layers").at(index);
        let mixer = if (index + 1).is_multiple_of(config.full_attention_interval) {
            Mixer::Attention(frame.attention(&scope.at("self_attn"), &attention)?)
        } else {
            Mixer::GatedDelta(GatedDeltaMixer::load(&scope.at("linear_attn"), &shape)?)
        };
        halves.push(frame.half(&scope.at("input_layernorm"), mixer)?);
        let feed_forward = if config.num_experts > 0 && is_sparse(index) {
            recipe::FeedForward::Mixture(Box::new(config.mixture(place)))
        } else {
            recipe::FeedForward::gated(Activation::Silu, config.intermediate_size)
        };
        let fed = FeedForward::load(&scope.at("mlp"), config.hidden_size, &feed_forward)?;
        halves.push(frame.half(&scope.at("post_attention_layernorm"), Mixer::FeedForward(fed))?);
    }
    Hybrid::load(&frame, halves, checkpoint)
}

impl Config {
    fn frame(&self, root: &'static str) -> Frame {
        Frame {
            root,
            ..Frame::new(
                self.vocab_size,
                self.hidden_size,
                self.rms_norm_eps,
                llama::head(self.tie_word_embeddings),
            )
        }
    }

    fn head_dim(&self) -> i32 {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// Positions of the leading `share` of each head.
    pub(super) fn rope(
        &self,
        theta: f32,
        share: f64,
        asked: Option<&Scaling>,
    ) -> Result<Rope, LoadError> {
        let dims = part(self.head_dim(), share);
        Ok(Rope {
            dims,
            theta,
            pairs: Pairs::Halves,
            scaling: scaling(asked, dims, Some(self.max_position_embeddings))?,
        })
    }

    fn attention(&self, rope: &Rope) -> Result<Attention, LoadError> {
        let attention = llama::attention(&llama::Config {
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: Some(self.num_key_value_heads),
            head_dim: Some(self.head_dim()),
            ..llama::Config::default()
        })?;
        Ok(Attention {
            projections: Projections::Gated,
            qk_norm: QkNorm::PerHead,
            rope: Some(rope.clone()),
            ..attention
        })
    }

    fn recurrence(&self, inputs: Inputs) -> Shape {
        Shape {
            width: self.hidden_size,
            key_heads: self.linear_num_key_heads,
            heads: self.linear_num_value_heads,
            key_dim: self.linear_key_head_dim,
            value_dim: self.linear_value_head_dim,
            kernel: self.linear_conv_kernel_dim,
            eps: self.rms_norm_eps,
            inputs,
        }
    }

    fn mixture(&self, place: Place) -> Mixture {
        let base = mixtral::mixture(
            self.num_experts,
            self.num_experts_per_tok,
            self.moe_intermediate_size,
        );
        Mixture {
            router: Router {
                scores: ExpertScores::Softmax(Precision::Model),
                choice: Choice::Ascending,
                weights: match self.norm_topk_prob {
                    Some(true) => ExpertWeights::Shares,
                    Some(false) => ExpertWeights::Scores,
                    None => place.weights,
                },
                ..base.router
            },
            shared: Shared::Gated { inner: self.shared_expert_intermediate_size },
            ..base
        }
    }
}

fn bring_into_form(checkpoint: &Checkpoint<'_>, config: &Config) -> Result<(), LoadError> {
    let are_single = |name: &String| name.ends_with(".mlp.experts.0.up_proj.weight");
    if checkpoint.names().iter().any(are_single) {
        let is_tied = config.tie_word_embeddings;
        checkpoint.discard(|name| name.contains("mtp.") || (is_tied && name == "lm_head.weight"));
        let (layers, experts) = (config.num_hidden_layers, config.num_experts);
        mixture::stack_experts(checkpoint, layers, experts)?;
        shift_norms(checkpoint)?;
        channels_last(checkpoint, "conv1d.weight")?;
    }
    name_shared_experts(checkpoint);
    Ok(())
}

/// Gives shared experts the name that mixtures have for them.
pub(super) fn name_shared_experts(checkpoint: &Checkpoint<'_>) {
    checkpoint.rename(|name| {
        let is_one = name.contains(".shared_expert.");
        is_one.then(|| name.replace(".shared_expert.", ".shared_experts."))
    });
}

/// Adds one to the weights of norms, as converting does, but not to those of the delta rule.
pub(super) fn shift_norms(checkpoint: &Checkpoint<'_>) -> Result<(), LoadError> {
    let shifted = [
        ".input_layernorm.weight",
        ".post_attention_layernorm.weight",
        "model.norm.weight",
        ".q_norm.weight",
        ".k_norm.weight",
    ];
    for name in checkpoint.names() {
        if shifted.iter().any(|suffix| name.ends_with(suffix)) {
            checkpoint.transform(&name, |weight| Ok(weight.add(nn::scalar(1.0, &weight))?))?;
        }
    }
    Ok(())
}
