//! Nemotron H: blocks of one half each, a state-space recurrence, self-attention without positions, or a feed-forward
//! half, dense or a mixture.
//!
//! Reference: `mlx_lm.models.nemotron_h`.

use super::{
    feed_forward::FeedForward,
    hybrid::{Frame, Half, Hybrid, Mixer, channels_last},
    latent_mixture::{self, LatentMixture},
    prelude::*,
    recipe,
    state_space::{Gating, Shape, StateSpaceMixer, TimeStepLimit},
};
use crate::nn::Precision;

pub(super) const FAMILY: Family = Family::other(&["nemotron_h"], |checkpoint| {
    checkpoint.discard(|name| name.starts_with("mtp."));
    channels_last(checkpoint, "conv1d.weight")?;
    Ok(Box::new(load(checkpoint, &checkpoint.config()?)?))
});

#[derive(Deserialize)]
struct Config {
    vocab_size: i32,
    hidden_size: i32,
    intermediate_size: i32,
    num_attention_heads: i32,
    num_key_value_heads: i32,
    head_dim: Option<i32>,
    mamba_num_heads: i32,
    mamba_head_dim: i32,
    ssm_state_size: i32,
    conv_kernel: i32,
    n_groups: i32,
    layer_norm_epsilon: f32,
    time_step_limit: Option<TimeStepLimit>,
    hybrid_override_pattern: Option<Pattern>,
    layers_block_type: Option<Vec<String>>,
    layer_types: Option<Vec<String>>,
}

/// The keys of its mixtures, which a model may be without.
#[derive(Deserialize)]
struct MixtureConfig {
    moe_intermediate_size: i32,
    moe_shared_expert_intermediate_size: Option<i32>,
    moe_latent_size: Option<i32>,
    n_group: i32,
    n_routed_experts: i32,
    n_shared_experts: Option<i32>,
    topk_group: i32,
    num_experts_per_tok: i32,
    norm_topk_prob: bool,
    routed_scaling_factor: f32,
}

impl MixtureConfig {
    fn shape(&self, width: i32) -> latent_mixture::Shape {
        let chosen = self.num_experts_per_tok;
        latent_mixture::Shape {
            width,
            latent: self.moe_latent_size,
            experts: self.n_routed_experts,
            inner: self.moe_intermediate_size,
            shared: self.n_shared_experts.and(self.moe_shared_expert_intermediate_size),
            router: Router {
                chosen,
                logits: recipe::Precision::Model,
                scores: ExpertScores::Sigmoid,
                choice: Choice::Corrected(Groups {
                    count: self.n_group,
                    considered: self.topk_group,
                }),
                weights: if chosen > 1 && self.norm_topk_prob {
                    ExpertWeights::SharesOfSumPlus(1e-20)
                } else {
                    ExpertWeights::Scores
                },
                scale: Some(self.routed_scaling_factor),
                precision: recipe::Precision::Float32,
                fusion: Fusion::Compiled,
            },
        }
    }
}

/// `hybrid_override_pattern`, a letter a block.
#[derive(Deserialize)]
#[serde(untagged)]
enum Pattern {
    Word(String),
    Letters(Vec<String>),
}

/// What a block does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Attention,
    FeedForward,
    Mixture,
    Recurrence,
}

impl Kind {
    /// The kind of a letter, or of the words that stand for it.
    fn read(word: &str) -> Result<Self, LoadError> {
        match word {
            "*" | "attention" | "full_attention" => Ok(Self::Attention),
            "M" | "mamba" | "linear_attention" | "conv" => Ok(Self::Recurrence),
            "-" | "mlp" => Ok(Self::FeedForward),
            "E" | "moe" => Ok(Self::Mixture),
            _ => Err(unsupported(format!("a block of type `{word}`"))),
        }
    }
}

impl Config {
    fn kinds(&self) -> Result<Vec<Kind>, LoadError> {
        let words = [&self.layers_block_type, &self.layer_types];
        let words = words.into_iter().flatten().find(|words| !words.is_empty());
        match (&self.hybrid_override_pattern, words) {
            (Some(Pattern::Word(letters)), _) => {
                letters.chars().map(|letter| Kind::read(letter.encode_utf8(&mut [0; 4]))).collect()
            }
            (Some(Pattern::Letters(kinds)), _) | (None, Some(kinds)) => {
                kinds.iter().map(|kind| Kind::read(kind)).collect()
            }
            (None, None) => {
                Err(unsupported("neither `hybrid_override_pattern` nor `layers_block_type`"))
            }
        }
    }

    fn frame(&self) -> Frame {
        Frame {
            embedding: "backbone.embeddings",
            norm: "backbone.norm_f",
            ..Frame::new(self.vocab_size, self.hidden_size, self.layer_norm_epsilon, Head::Separate)
        }
    }

    fn attention(&self) -> Result<Attention, LoadError> {
        let attention = llama::attention(&llama::Config {
            hidden_size: self.hidden_size,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: Some(self.num_key_value_heads),
            head_dim: self.head_dim,
            ..llama::Config::default()
        })?;
        Ok(Attention { rope: None, ..attention })
    }

    fn recurrence(&self) -> Shape {
        Shape {
            width: self.hidden_size,
            heads: self.mamba_num_heads,
            head_dim: self.mamba_head_dim,
            groups: self.n_groups,
            memory: self.ssm_state_size,
            kernel: self.conv_kernel,
            limits: self.time_step_limit.map_or((0.0, f32::INFINITY), Into::into),
            through: Precision::Input,
            gating: Gating::BeforeNormOfGroups(self.layer_norm_epsilon),
        }
    }
}

fn load(checkpoint: &Checkpoint<'_>, config: &Config) -> Result<Hybrid, LoadError> {
    let frame = config.frame();
    let mut halves: Vec<Half> = Vec::new();
    for (index, kind) in config.kinds()?.into_iter().enumerate() {
        let scope = checkpoint.root().at("backbone.layers").at(index);
        let mixer = match kind {
            Kind::Mixture => {
                let mixture: MixtureConfig = checkpoint.config()?;
                stack_experts(checkpoint, index, mixture.n_routed_experts)?;
                let shape = mixture.shape(config.hidden_size);
                Mixer::LatentMixture(LatentMixture::load(&scope.at("mixer"), &shape)?)
            }
            Kind::Attention => {
                let attention = config.attention()?;
                Mixer::Attention(frame.attention(&scope.at("mixer"), &attention)?)
            }
            Kind::Recurrence => {
                let shape = config.recurrence();
                Mixer::StateSpace(StateSpaceMixer::load(&scope.at("mixer"), &shape)?)
            }
            Kind::FeedForward => {
                let plain =
                    recipe::FeedForward::plain(Activation::ReluSquared, config.intermediate_size);
                let width = config.hidden_size;
                Mixer::FeedForward(FeedForward::load(&scope.at("mixer"), width, &plain)?)
            }
        };
        halves.push(frame.half(&scope.at("norm"), mixer)?);
    }
    Hybrid::load(&frame, halves, checkpoint)
}

/// Stacks experts that lie one by one.
fn stack_experts(checkpoint: &Checkpoint<'_>, index: usize, count: i32) -> Result<(), LoadError> {
    let mixer = format!("backbone.layers.{index}.mixer");
    for (from, into) in [("up_proj", "fc1"), ("down_proj", "fc2")] {
        let each = (0..count).map(|expert| format!("{mixer}.experts.{expert}.{from}"));
        checkpoint.stack(each, &format!("{mixer}.switch_mlp.{into}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_words_say_the_same() {
        for (letter, words) in
            [("M", ["mamba", "linear_attention"]), ("*", ["attention", "full_attention"])]
        {
            for word in words {
                assert_eq!(Kind::read(letter).unwrap(), Kind::read(word).unwrap());
            }
        }
        let error = Kind::read("?").unwrap_err().to_string();
        assert!(error.contains("block of type `?`"), "{error}");
    }
}
