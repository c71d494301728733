//! Granite 4: state-space recurrences, and self-attention in a few layers.
//!
//! Reference: `mlx_lm.models.granitemoehybrid`. As there, of `rope_parameters` only `rope_theta` counts.

use serde::Deserialize;

use super::{
    Architecture, Family,
    feed_forward::FeedForward,
    hybrid::{Factor, Frame, Hybrid, Mixer, channels_last},
    recipe::{self, Attention, Head, Kernel, Projections, QkNorm, Reach},
    state_space::{Gating, Shape, StateSpaceMixer, TimeStepLimit},
};
use crate::{
    checkpoint::{Checkpoint, LoadError, Scope},
    nn::{Activation, Pairs, Precision, Rope, RopeScaling},
};

pub(super) const FAMILY: Family = Family {
    model_types: &["granitemoehybrid"],
    architecture: Architecture::Other(|checkpoint| {
        let config: Config = checkpoint.config()?;
        bring_into_form(checkpoint, &config)?;
        Ok(Box::new(load(checkpoint, &config)?))
    }),
};

#[derive(Deserialize)]
struct Config {
    vocab_size: i32,
    hidden_size: i32,
    intermediate_size: i32,
    num_attention_heads: i32,
    num_key_value_heads: i32,
    embedding_multiplier: f32,
    attention_multiplier: f32,
    logits_scaling: f32,
    residual_multiplier: f32,
    layer_types: Vec<LayerType>,
    rms_norm_eps: f32,
    num_local_experts: Option<i32>,
    #[serde(default = "rope")]
    position_embedding_type: String,
    #[serde(default = "yes")]
    tie_word_embeddings: bool,
    rope_theta: Option<f32>,
    rope_parameters: Option<RopeParameters>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LayerType {
    Mamba,
    Attention,
}

#[derive(Deserialize)]
struct RopeParameters {
    rope_theta: Option<f32>,
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

fn rope() -> String {
    "rope".to_owned()
}

fn yes() -> bool {
    true
}

fn load(checkpoint: &Checkpoint<'_>, config: &Config) -> Result<Hybrid, LoadError> {
    let frame = config.frame();
    let mut halves = Vec::new();
    for (index, kind) in config.layer_types.iter().enumerate() {
        let scope = checkpoint.root().at("model.layers").at(index);
        let mixer = match kind {
            LayerType::Attention => {
                let attention = config.attention()?;
                Mixer::Attention(frame.attention(&scope.at("self_attn"), &attention)?)
            }
            LayerType::Mamba => {
                let shape = checkpoint.config::<Recurrence>()?.shape(config);
                Mixer::StateSpace(StateSpaceMixer::load(&scope.at("mamba"), &shape)?)
            }
        };
        halves.push(frame.half(&scope.at("input_layernorm"), mixer)?);
        let mixer = Mixer::FeedForward(config.feed_forward(&scope)?);
        halves.push(frame.half(&scope.at("post_attention_layernorm"), mixer)?);
    }
    for half in &mut halves {
        half.factor = Factor::Times(config.residual_multiplier);
    }
    Hybrid::load(&frame, halves, checkpoint)
}

impl Config {
    fn frame(&self) -> Frame {
        Frame {
            vocabulary: self.vocab_size,
            width: self.hidden_size,
            eps: self.rms_norm_eps,
            root: "",
            embedding: "model.embed_tokens",
            norm: "model.norm",
            head: if self.tie_word_embeddings {
                Head::Tied
            } else {
                Head::Separate
            },
            tokens: Factor::Times(self.embedding_multiplier),
            scores: Factor::Over(self.logits_scaling),
        }
    }

    fn attention(&self) -> Result<Attention, LoadError> {
        let heads = self.num_attention_heads;
        let head_dim = self.hidden_size.checked_div(heads);
        let head_dim = head_dim.ok_or_else(|| LoadError::Unsupported {
            what: format!("`num_attention_heads` {heads}"),
        })?;
        let nested = self.rope_parameters.as_ref();
        let theta = nested.and_then(|rope| rope.rope_theta).or(self.rope_theta);
        let rope = Rope {
            dims: head_dim,
            theta: theta.unwrap_or(10_000.0),
            pairs: Pairs::Halves,
            scaling: RopeScaling::None,
        };
        Ok(Attention {
            heads,
            kv_heads: self.num_key_value_heads,
            head_dim,
            scale: self.attention_multiplier,
            projections: Projections::Separate,
            qk_norm: QkNorm::None,
            rope: (self.position_embedding_type != "nope").then_some(rope),
            reach: Reach::Full,
            kernel: Kernel::Fused,
        })
    }

    fn feed_forward(&self, layer: &Scope<'_>) -> Result<FeedForward, LoadError> {
        let dense = recipe::FeedForward::Gated {
            activation: Activation::Silu,
            inner: self.intermediate_size,
        };
        FeedForward::load(&layer.at("mlp"), self.hidden_size, &dense)
    }
}

impl Recurrence {
    fn shape(&self, config: &Config) -> Shape {
        let limit = self.time_step_limit;
        Shape {
            width: config.hidden_size,
            heads: self.mamba_n_heads,
            head_dim: self.mamba_d_head,
            groups: self.mamba_n_groups,
            memory: self.mamba_d_state,
            kernel: self.mamba_d_conv,
            limits: limit.map_or((0.001, 100.0), Into::into),
            through: Precision::Input,
            gating: Gating::BeforeNorm(config.rms_norm_eps),
        }
    }
}

/// Gives tensors of a checkpoint that was not converted the names and shapes that are used here.
fn bring_into_form(checkpoint: &Checkpoint<'_>, config: &Config) -> Result<(), LoadError> {
    channels_last(checkpoint, "conv1d.weight")?;
    if config.tie_word_embeddings {
        checkpoint.discard(|name| name == "lm_head.weight");
    }
    if config.num_local_experts.is_some_and(|experts| experts > 0) {
        return Err(LoadError::Unsupported {
            what: "`num_local_experts`".to_owned(),
        });
    }
    checkpoint.rename(|name| {
        let (layer, part) = name.split_once(".shared_mlp.output_linear.")?;
        Some(format!("{layer}.mlp.down_proj.{part}"))
    });
    let inner = config.intermediate_size;
    for index in 0..config.layer_types.len() {
        let layer = format!("model.layers.{index}");
        let into = ["gate_proj", "up_proj"].map(|name| (format!("{layer}.mlp.{name}"), inner));
        checkpoint.split(&format!("{layer}.shared_mlp.input_linear"), 0, &into)?;
    }
    Ok(())
}
