//! Granite 4: state-space recurrences, and self-attention in a few layers; dense or with mixtures.
//!
//! Reference: `mlx_lm.models.granitemoehybrid`. As there, of `rope_parameters` only `rope_theta` counts.

use super::{
    feed_forward::FeedForward,
    hybrid::{Factor, Frame, Hybrid, Mixer, channels_last},
    prelude::*,
    recipe,
    state_space::{Gating, Shape, StateSpaceMixer, TimeStepLimit},
};
use crate::{checkpoint::Scope, nn::Precision};

pub(super) const FAMILY: Family = Family::other(&["granitemoehybrid"], |checkpoint| {
    let config: Config = checkpoint.config()?;
    bring_into_form(checkpoint, &config)?;
    Ok(Box::new(load(checkpoint, &config)?))
});

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
    num_experts_per_tok: Option<i32>,
    shared_intermediate_size: Option<i32>,
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
            tokens: Factor::Times(self.embedding_multiplier),
            scores: Factor::Over(self.logits_scaling),
            ..Frame::new(
                self.vocab_size,
                self.hidden_size,
                self.rms_norm_eps,
                llama::head(self.tie_word_embeddings),
            )
        }
    }

    fn attention(&self) -> Result<Attention, LoadError> {
        let nested = self.rope_parameters.as_ref();
        let attention = llama::attention(&llama::Config {
            hidden_size: self.hidden_size,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: Some(self.num_key_value_heads),
            rope_theta: nested.and_then(|rope| rope.rope_theta).or(self.rope_theta),
            ..llama::Config::default()
        })?;
        let knows_positions = self.position_embedding_type != "nope";
        Ok(Attention {
            scale: self.attention_multiplier,
            rope: attention.rope.filter(|_| knows_positions),
            ..attention
        })
    }

    fn feed_forward(&self, layer: &Scope<'_>) -> Result<FeedForward, LoadError> {
        let half = match self.experts() {
            Some(experts) => recipe::FeedForward::Mixture(Box::new(self.mixture(experts)?)),
            None => recipe::FeedForward::gated(Activation::Silu, self.intermediate_size),
        };
        FeedForward::load(&layer.at("mlp"), self.hidden_size, &half)
    }

    /// How many experts there are, of a model that has them.
    fn experts(&self) -> Option<i32> {
        self.num_local_experts.filter(|experts| *experts > 0)
    }

    fn mixture(&self, experts: i32) -> Result<Mixture, LoadError> {
        let (Some(chosen), Some(shared)) =
            (self.num_experts_per_tok, self.shared_intermediate_size)
        else {
            return Err(unsupported(
                "experts without `num_experts_per_tok` or `shared_intermediate_size`",
            ));
        };
        let base = mixtral::mixture(experts, chosen, self.intermediate_size);
        Ok(Mixture {
            router: Router {
                choice: Choice::Ascending,
                weights: ExpertWeights::Softmax(recipe::Precision::Model),
                ..base.router
            },
            shared: Shared::Fused { inner: shared },
            ..base
        })
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
    if config.experts().is_some() {
        return bring_mixtures_into_form(checkpoint, config);
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

fn bring_mixtures_into_form(checkpoint: &Checkpoint<'_>, config: &Config) -> Result<(), LoadError> {
    checkpoint.rename(|name| {
        let mut new = name.to_owned();
        for (theirs, ours) in [
            (".shared_mlp.input_linear.", ".mlp.shared_experts.gate_up_proj."),
            (".shared_mlp.output_linear.", ".mlp.shared_experts.down_proj."),
            (".block_sparse_moe.", ".mlp."),
            (".mlp.router.layer.", ".mlp.gate."),
            (".mlp.output_linear.", ".mlp.switch_mlp.down_proj."),
        ] {
            new = new.replace(theirs, ours);
        }
        (new != name).then_some(new)
    });
    for index in 0..config.layer_types.len() {
        let mixture = format!("model.layers.{index}.mlp");
        let into = ["gate_proj", "up_proj"].map(|name| {
            let path = format!("{mixture}.switch_mlp.{name}");
            (path, config.intermediate_size)
        });
        checkpoint.split(&format!("{mixture}.input_linear"), 1, &into)?;
    }
    Ok(())
}
