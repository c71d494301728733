//! Falcon H1: a state-space recurrence and self-attention side by side in every block.
//!
//! Reference: `mlx_lm.models.falcon_h1`. As there, multipliers are folded into weights only of a checkpoint that was
//! not converted, which shows in the shape of its convolutions; values get none, and `key_multiplier` is passed over.

use mlx_rs::{
    Array,
    ops::{broadcast_to, concatenate},
};

use super::{
    hybrid::{self, Half, Mixer, channels_last, half},
    positions::Scaling,
    prelude::*,
    state_space::{Gating, Shape},
};
use crate::nn;

pub(super) const FAMILY: Family = Family::other(&["falcon_h1"], |checkpoint| {
    let config: Config = checkpoint.config()?;
    fold_multipliers(checkpoint, &config)?;
    checkpoint.rename_parts(&[("model.final_layernorm.", "model.norm.")]);
    config.recipe()?.load(checkpoint)
});

keys! {
    struct Config {
        attention_in_multiplier: f32 = 1.0,
        attention_out_multiplier: f32 = 0.9375,
        embedding_multiplier: f64 = 5.656_854_249_492_381,
        head_dim: i32 = 64,
        hidden_size: i32 = 1024,
        intermediate_size: i32 = 2048,
        lm_head_multiplier: f64 = 0.039_062_5,
        mamba_d_conv: i32 = 4,
        mamba_d_head: i32 = 64,
        mamba_d_ssm: i32 = 1536,
        mamba_d_state: i32 = 128,
        mamba_n_groups: i32 = 1,
        mamba_n_heads: i32 = 24,
        mamba_norm_before_gate: bool = false,
        mamba_rms_norm: bool = false,
        max_position_embeddings: i32 = 131_072,
        mlp_multipliers: [f32; 2] = [0.883_883_5, 0.585_937_5],
        num_attention_heads: i32 = 8,
        num_hidden_layers: usize = 36,
        num_key_value_heads: i32 = 2,
        rms_norm_eps: f32 = 1e-5,
        rope_traditional: bool = false,
        rope_scaling: Option<Scaling> = None,
        rope_theta: f32 = 1e11,
        ssm_in_multiplier: f32 = 1.25,
        ssm_multipliers: [f32; 5] = [0.353_553_38, 0.25, 0.353_553_38, 0.5, 0.353_553_38],
        ssm_out_multiplier: f32 = 0.235_702_26,
        vocab_size: i32 = 32_784,
        tie_word_embeddings: bool = true,
    }
}

impl Config {
    fn recipe(&self) -> Result<hybrid::Recipe, LoadError> {
        let base = self.base();
        let feed_forward = FeedForward::Gated(Activation::Silu, self.intermediate_size);
        let block = vec![
            Half {
                mixers: vec![
                    ("mamba", Mixer::StateSpace(self.recurrence())),
                    ("self_attn", Mixer::Attention(llama::attention(&base)?)),
                ],
                norm: "input_layernorm",
                eps: None,
            },
            half("pre_ff_layernorm", "feed_forward", Mixer::FeedForward(feed_forward)),
        ];
        let of_tied = single(self.lm_head_multiplier / self.embedding_multiplier);
        Ok(Recipe {
            scores: if self.tie_word_embeddings { Scores::Times(of_tied) } else { Scores::Plain },
            ..llama::around(vec![block; self.num_hidden_layers], &base)
        })
    }

    /// What this family has like others.
    fn base(&self) -> llama::Config {
        llama::Config {
            hidden_size: self.hidden_size,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: Some(self.num_key_value_heads),
            head_dim: Some(self.head_dim),
            rms_norm_eps: self.rms_norm_eps,
            vocab_size: self.vocab_size,
            rope_theta: Some(self.rope_theta),
            rope_traditional: self.rope_traditional,
            rope_scaling: self.rope_scaling.clone(),
            tie_word_embeddings: self.tie_word_embeddings,
            max_position_embeddings: Some(self.max_position_embeddings),
            ..llama::Config::default()
        }
    }

    fn recurrence(&self) -> Shape {
        Shape {
            heads: self.mamba_n_heads,
            head_dim: self.mamba_d_ssm / self.mamba_n_heads.max(1),
            groups: self.mamba_n_groups,
            memory: self.mamba_d_state,
            kernel: self.mamba_d_conv,
            limits: (0.0, f32::INFINITY),
            through: nn::Precision::Stored,
            gating: match (self.mamba_rms_norm, self.mamba_norm_before_gate) {
                (false, _) => Gating::Plain,
                (true, true) => Gating::AfterNorm(self.rms_norm_eps),
                (true, false) => Gating::BeforeNorm(self.rms_norm_eps),
            },
        }
    }

    /// What the weight `name` is multiplied by when a checkpoint is converted.
    fn multiplier(&self, name: &str) -> Option<f32> {
        let [gate, down] = self.mlp_multipliers;
        let queries_and_keys = self.attention_in_multiplier;
        [
            ("embed_tokens", single(self.embedding_multiplier)),
            ("lm_head", single(self.lm_head_multiplier)),
            ("q_proj", queries_and_keys),
            ("k_proj", queries_and_keys),
            ("o_proj", self.attention_out_multiplier),
            ("out_proj", self.ssm_out_multiplier),
            ("gate_proj", gate),
            ("down_proj", down),
        ]
        .into_iter()
        .find(|(part, _)| name.ends_with(&format!("{part}.weight")))
        .map(|(_, multiplier)| multiplier)
    }

    /// What the rows of `in_proj` are multiplied by: `[rows, 1]`, in the element type of `like`.
    fn input_multipliers(&self, like: &Array) -> nn::Result<Array> {
        let (inner, shared) = (self.mamba_d_ssm, self.mamba_n_groups * self.mamba_d_state);
        let sizes = [inner, inner, shared, shared, self.mamba_n_heads];
        let parts = sizes
            .into_iter()
            .zip(self.ssm_multipliers)
            .map(|(size, multiplier)| broadcast_to(nn::scalar(multiplier, like), &[size]))
            .collect::<Result<Vec<_>, _>>()?;
        let rows = concatenate(&parts, 0)?.expand_dims(1)?;
        Ok(nn::scalar(self.ssm_in_multiplier, like).multiply(rows)?)
    }
}

/// Does what a conversion does, where the convolutions show that there was none.
fn fold_multipliers(checkpoint: &Checkpoint<'_>, config: &Config) -> Result<(), LoadError> {
    let first = checkpoint.shape("model.layers.0.mamba.conv1d.weight");
    if !matches!(first.as_deref(), Some([_, middle, last]) if last > middle) {
        return Ok(());
    }
    for name in checkpoint.names() {
        if name.ends_with("in_proj.weight") {
            checkpoint.transform(&name, |weight| {
                Ok(weight.multiply(config.input_multipliers(&weight)?)?)
            })?;
        } else if let Some(multiplier) = config.multiplier(&name) {
            checkpoint
                .transform(&name, |weight| Ok(weight.multiply(nn::scalar(multiplier, &weight))?))?;
        }
    }
    channels_last(checkpoint, "conv1d.weight")
}
