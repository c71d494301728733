//! Qwen 3 Next: gated delta networks, gated self-attention in every fourth layer, and mixtures.
//!
//! Reference: `mlx_lm.models.qwen3_next`. As there, `layer_types` is passed over for the interval, and what a checkpoint
//! holds is only brought into form where its experts lie one by one.

use super::{
    gated_delta::{Inputs, Shape},
    hybrid::{self, Mixer, block, channels_last},
    positions::{Scaling, part, scaling},
    prelude::*,
};
use crate::nn;

pub(super) const FAMILY: Family = Family::other(&["qwen3_next"], |checkpoint| {
    let config: Config = checkpoint.config()?;
    let own: Own = checkpoint.config()?;
    bring_into_form(checkpoint, &config)?;
    let is_sparse = |index: usize| {
        !own.mlp_only_layers.contains(&index) && (index + 1).is_multiple_of(own.decoder_sparse_step)
    };
    let rope = config.rope(own.rope_theta, own.partial_rotary_factor, own.rope_scaling.as_ref())?;
    config.recipe(rope, Inputs::ByHead, ExpertWeights::Scores, is_sparse)?.load(checkpoint)
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

/// The keys that Qwen 3.5 has elsewhere or does without.
#[derive(Deserialize)]
struct Own {
    decoder_sparse_step: usize,
    mlp_only_layers: Vec<usize>,
    rope_theta: f32,
    partial_rotary_factor: f64,
    rope_scaling: Option<Scaling>,
}

impl Config {
    /// The model whose layers are mixtures where `is_sparse` says so, if it has experts at all; `weights` are what
    /// `norm_topk_prob` means where it is absent.
    pub(super) fn recipe(
        &self,
        rope: Rope,
        inputs: Inputs,
        weights: ExpertWeights,
        is_sparse: impl Fn(usize) -> bool,
    ) -> Result<hybrid::Recipe, LoadError> {
        let base = self.base();
        let attention = Mixer::Attention(Attention {
            projections: Projections::Gated,
            qk_norm: QkNorm::PerHead,
            rope: Some(rope),
            ..llama::attention(&base)?
        });
        let recurrence = Mixer::GatedDelta(self.recurrence(inputs));
        let dense = FeedForward::Gated(Activation::Silu, self.intermediate_size);
        let sparse = FeedForward::mixture(self.mixture(weights));
        let blocks = (0..self.num_hidden_layers).map(|index| {
            let (place, mixer) = if (index + 1).is_multiple_of(self.full_attention_interval) {
                ("self_attn", &attention)
            } else {
                ("linear_attn", &recurrence)
            };
            let is_sparse = self.num_experts > 0 && is_sparse(index);
            let feed_forward = if is_sparse { &sparse } else { &dense };
            block(place, mixer.clone(), feed_forward.clone())
        });
        Ok(llama::around(blocks.collect(), &base))
    }

    fn head_dim(&self) -> i32 {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// What these families have like others.
    fn base(&self) -> llama::Config {
        llama::Config {
            hidden_size: self.hidden_size,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: Some(self.num_key_value_heads),
            head_dim: Some(self.head_dim()),
            rms_norm_eps: self.rms_norm_eps,
            vocab_size: self.vocab_size,
            tie_word_embeddings: self.tie_word_embeddings,
            ..llama::Config::default()
        }
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

    fn recurrence(&self, inputs: Inputs) -> Shape {
        Shape {
            key_heads: self.linear_num_key_heads,
            heads: self.linear_num_value_heads,
            key_dim: self.linear_key_head_dim,
            value_dim: self.linear_value_head_dim,
            kernel: self.linear_conv_kernel_dim,
            eps: self.rms_norm_eps,
            inputs,
        }
    }

    fn mixture(&self, weights: ExpertWeights) -> Mixture {
        let weights =
            self.norm_topk_prob.map_or(weights, |add_up| ExpertWeights::Shares.only_if(add_up));
        let router = Router {
            choice: Choice::Ascending,
            ..Router::by_softmax(self.num_experts_per_tok, weights)
        };
        Mixture {
            shared: Shared::Gated { inner: self.shared_expert_intermediate_size },
            ..Mixture::of(self.num_experts, self.moe_intermediate_size, router)
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
    checkpoint.rename_parts(&[SHARED_EXPERTS]);
    Ok(())
}

/// What shared experts are called: by the file, and by mixtures here.
pub(super) const SHARED_EXPERTS: (&str, &str) = (".shared_expert.", ".shared_experts.");

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
