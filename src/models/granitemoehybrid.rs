//! Granite 4: state-space recurrences, and self-attention in a few layers; dense or with mixtures.
//!
//! Reference: `mlx_lm.models.granitemoehybrid`. As there, of `rope_parameters` only `rope_theta` counts.

use super::{
    hybrid::{self, Mixer, block, channels_last},
    positions::Scaling,
    prelude::*,
    state_space::{Gating, Shape, TimeStepLimit},
};
use crate::nn;

pub(super) const FAMILY: Family = Family::other(&["granitemoehybrid"], |checkpoint| {
    let config: llama::Config = checkpoint.config()?;
    let own: Config = checkpoint.config()?;
    bring_into_form(checkpoint, &config, &own)?;
    recipe(checkpoint, config, &own)?.load(checkpoint)
});

#[derive(Deserialize)]
struct Config {
    embedding_multiplier: f32,
    attention_multiplier: f32,
    logits_scaling: f32,
    residual_multiplier: f32,
    layer_types: Vec<LayerType>,
    num_local_experts: Option<i32>,
    num_experts_per_tok: Option<i32>,
    shared_intermediate_size: Option<i32>,
    position_embedding_type: Option<String>,
    rope_parameters: Option<Scaling>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LayerType {
    Mamba,
    Attention,
}

/// The keys of its recurrences, which a model may be without.
#[derive(Deserialize)]
struct Recurrence {
    mamba_n_heads: i32,
    mamba_d_head: i32,
    mamba_d_state: i32,
    mamba_d_conv: i32,
    mamba_n_groups: i32,
    time_step_limit: Option<TimeStepLimit>,
}

fn recipe(
    checkpoint: &Checkpoint<'_>,
    config: llama::Config,
    own: &Config,
) -> Result<hybrid::Recipe, LoadError> {
    let nested = own.rope_parameters.as_ref().and_then(|rope| rope.rope_theta);
    let config = llama::Config {
        head_dim: None,
        rope_scaling: None,
        rope_theta: nested.or(config.rope_theta),
        rope_traditional: false,
        ..config
    };
    let feed_forward = own.feed_forward(config.intermediate_size)?;
    let block = |kind: &LayerType| {
        let (place, mixer) = match kind {
            LayerType::Attention => ("self_attn", Mixer::Attention(own.attention(&config)?)),
            LayerType::Mamba => {
                let recurrence: Recurrence = checkpoint.config()?;
                ("mamba", Mixer::StateSpace(recurrence.shape(config.rms_norm_eps)))
            }
        };
        Ok(block(place, mixer, feed_forward.clone()))
    };
    let blocks = own.layer_types.iter().map(block).collect::<Result<_, LoadError>>()?;
    Ok(Recipe {
        embedding_scale: EmbeddingScale::Times(own.embedding_multiplier),
        scores: Scores::Over(own.logits_scaling),
        residual: Residual::AddTimes(own.residual_multiplier),
        ..llama::around(blocks, &config)
    })
}

impl Config {
    fn attention(&self, config: &llama::Config) -> Result<Attention, LoadError> {
        let attention = llama::attention(config)?;
        let knows_positions = self.position_embedding_type.as_deref() != Some("nope");
        Ok(Attention {
            scale: self.attention_multiplier,
            rope: attention.rope.filter(|_| knows_positions),
            ..attention
        })
    }

    /// How many experts there are, of a model that has them.
    fn experts(&self) -> Option<i32> {
        self.num_local_experts.filter(|experts| *experts > 0)
    }

    fn feed_forward(&self, inner: i32) -> Result<FeedForward, LoadError> {
        let Some(experts) = self.experts() else {
            return Ok(FeedForward::Gated(Activation::Silu, inner));
        };
        let (Some(chosen), Some(shared)) =
            (self.num_experts_per_tok, self.shared_intermediate_size)
        else {
            return Err(unsupported(
                "experts without `num_experts_per_tok` or `shared_intermediate_size`",
            ));
        };
        let router = Router { choice: Choice::Ascending, ..Router::by_logits(chosen) };
        Ok(FeedForward::mixture(Mixture {
            shared: Shared::Fused { inner: shared },
            ..Mixture::of(experts, inner, router)
        }))
    }
}

impl Recurrence {
    fn shape(&self, eps: f32) -> Shape {
        Shape {
            heads: self.mamba_n_heads,
            head_dim: self.mamba_d_head,
            groups: self.mamba_n_groups,
            memory: self.mamba_d_state,
            kernel: self.mamba_d_conv,
            limits: self.time_step_limit.map_or((0.001, 100.0), Into::into),
            through: nn::Precision::Input,
            gating: Gating::BeforeNorm(eps),
        }
    }
}

/// Gives tensors of a checkpoint that was not converted the names and shapes that are used here.
fn bring_into_form(
    checkpoint: &Checkpoint<'_>,
    config: &llama::Config,
    own: &Config,
) -> Result<(), LoadError> {
    channels_last(checkpoint, "conv1d.weight")?;
    llama::discard_unused(checkpoint, config.tie_word_embeddings);
    let (whole, halves, axis) = if own.experts().is_some() {
        checkpoint.rename_parts(&[
            (".shared_mlp.input_linear.", ".mlp.shared_experts.gate_up_proj."),
            (".shared_mlp.output_linear.", ".mlp.shared_experts.down_proj."),
            (".block_sparse_moe.", ".mlp."),
            (".mlp.router.layer.", ".mlp.gate."),
            (".mlp.output_linear.", ".mlp.switch_mlp.down_proj."),
        ]);
        ("mlp.input_linear", "mlp.switch_mlp", 1)
    } else {
        checkpoint.rename_parts(&[(".shared_mlp.output_linear.", ".mlp.down_proj.")]);
        ("shared_mlp.input_linear", "mlp", 0)
    };
    for index in 0..own.layer_types.len() {
        let layer = format!("model.layers.{index}");
        let into = ["gate_proj", "up_proj"]
            .map(|part| (format!("{layer}.{halves}.{part}"), config.intermediate_size));
        checkpoint.split(&format!("{layer}.{whole}"), axis, &into)?;
    }
    Ok(())
}
