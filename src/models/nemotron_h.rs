//! Nemotron H: blocks of one half each, a state-space recurrence, self-attention without positions, or a feed-forward
//! half.
//!
//! Reference: `mlx_lm.models.nemotron_h`.

use serde::Deserialize;

use super::{
    Architecture, Family,
    feed_forward::FeedForward,
    hybrid::{Factor, Frame, Half, Hybrid, Mixer, channels_last},
    llama,
    recipe::{self, Attention, Head, Kernel, Projections, QkNorm, Reach},
    state_space::{Gating, Shape, StateSpaceMixer, TimeStepLimit},
};
use crate::{
    checkpoint::{Checkpoint, LoadError, Scope},
    nn::{Activation, Precision},
};

pub(super) const FAMILY: Family = Family {
    model_types: &["nemotron_h"],
    architecture: Architecture::Other(|checkpoint| {
        checkpoint.discard(|name| name.starts_with("mtp."));
        channels_last(checkpoint, "conv1d.weight")?;
        Ok(Box::new(load(checkpoint, &checkpoint.config()?)?))
    }),
};

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
    Recurrence,
}

impl Kind {
    /// The kind of a letter, or of the words that stand for it.
    fn read(word: &str) -> Result<Self, LoadError> {
        match word {
            "*" | "attention" | "full_attention" => Ok(Self::Attention),
            "M" | "mamba" | "linear_attention" | "conv" => Ok(Self::Recurrence),
            "-" | "mlp" => Ok(Self::FeedForward),
            _ => Err(LoadError::Unsupported {
                what: format!("a block of type `{word}`"),
            }),
        }
    }
}

impl Config {
    fn kinds(&self) -> Result<Vec<Kind>, LoadError> {
        let named = [&self.layers_block_type, &self.layer_types];
        let named = named.into_iter().flatten().find(|names| !names.is_empty());
        match (&self.hybrid_override_pattern, named) {
            (Some(Pattern::Word(letters)), _) => letters
                .chars()
                .map(|letter| Kind::read(letter.encode_utf8(&mut [0; 4])))
                .collect(),
            (Some(Pattern::Letters(names)), _) | (None, Some(names)) => {
                names.iter().map(|name| Kind::read(name)).collect()
            }
            (None, None) => Err(LoadError::Unsupported {
                what: "neither `hybrid_override_pattern` nor `layers_block_type`".to_owned(),
            }),
        }
    }

    fn frame(&self) -> Frame {
        Frame {
            vocabulary: self.vocab_size,
            width: self.hidden_size,
            eps: self.layer_norm_epsilon,
            root: "",
            embedding: "backbone.embeddings",
            norm: "backbone.norm_f",
            head: Head::Separate,
            tokens: Factor::One,
            scores: Factor::One,
        }
    }

    fn attention(&self) -> Result<Attention, LoadError> {
        let heads = self.num_attention_heads;
        let head_dim = self.head_dim.or(self.hidden_size.checked_div(heads));
        let head_dim = head_dim.ok_or_else(|| LoadError::Unsupported {
            what: format!("`num_attention_heads` {heads}"),
        })?;
        Ok(Attention {
            heads,
            kv_heads: self.num_key_value_heads,
            head_dim,
            scale: llama::inverse_root(f64::from(head_dim)),
            projections: Projections::Separate,
            qk_norm: QkNorm::None,
            rope: None,
            reach: Reach::Full,
            kernel: Kernel::Fused,
        })
    }

    fn recurrence(&self) -> Shape {
        Shape {
            width: self.hidden_size,
            heads: self.mamba_num_heads,
            head_dim: self.mamba_head_dim,
            groups: self.n_groups,
            memory: self.ssm_state_size,
            kernel: self.conv_kernel,
            limits: self
                .time_step_limit
                .map_or((0.0, f32::INFINITY), Into::into),
            through: Precision::Input,
            gating: Gating::BeforeNormOfGroups(self.layer_norm_epsilon),
        }
    }

    fn mixer(&self, frame: &Frame, kind: Kind, scope: &Scope<'_>) -> Result<Mixer, LoadError> {
        Ok(match kind {
            Kind::Attention => Mixer::Attention(frame.attention(scope, &self.attention()?)?),
            Kind::Recurrence => {
                Mixer::StateSpace(StateSpaceMixer::load(scope, &self.recurrence())?)
            }
            Kind::FeedForward => {
                let plain = recipe::FeedForward::Plain {
                    activation: Activation::ReluSquared,
                    inner: self.intermediate_size,
                };
                Mixer::FeedForward(FeedForward::load(scope, self.hidden_size, &plain)?)
            }
        })
    }
}

fn load(checkpoint: &Checkpoint<'_>, config: &Config) -> Result<Hybrid, LoadError> {
    let frame = config.frame();
    let mut halves: Vec<Half> = Vec::new();
    for (index, kind) in config.kinds()?.into_iter().enumerate() {
        let scope = checkpoint.root().at("backbone.layers").at(index);
        let mixer = config.mixer(&frame, kind, &scope.at("mixer"))?;
        halves.push(frame.half(&scope.at("norm"), mixer)?);
    }
    Hybrid::load(&frame, halves, checkpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_words_say_the_same() {
        for (letter, words) in [
            ("M", ["mamba", "linear_attention"]),
            ("*", ["attention", "full_attention"]),
        ] {
            for word in words {
                assert_eq!(Kind::read(letter).unwrap(), Kind::read(word).unwrap());
            }
        }
        let error = Kind::read("?").unwrap_err().to_string();
        assert!(error.contains("block of type `?`"), "{error}");
    }
}
