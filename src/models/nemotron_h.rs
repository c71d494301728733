//! Nemotron H: blocks of one half each, a state-space recurrence, self-attention without positions, or a feed-forward
//! half, dense or a mixture.
//!
//! Reference: `mlx_lm.models.nemotron_h`.

use super::{
    hybrid::{self, Mixer, half},
    mamba2,
    prelude::*,
    state_space::{Gating, Shape, TimeStepLimit},
};
use crate::nn;

pub(super) const FAMILY: Family = Family::other(&["nemotron_h"], |checkpoint| {
    let config: Config = checkpoint.config()?;
    let kinds = config.kinds()?;
    bring_into_form(checkpoint, &kinds)?;
    recipe(checkpoint, &config, &kinds)?.load(checkpoint)
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
    fn mixture(&self) -> Mixture {
        let chosen = self.num_experts_per_tok;
        let groups = Groups { count: self.n_group, considered: self.topk_group };
        let shares = ExpertWeights::SharesOfSumPlus(1e-20);
        let weights = shares.only_if(chosen > 1 && self.norm_topk_prob);
        let router = Router {
            scale: Some(self.routed_scaling_factor),
            ..Router::by_sigmoid(chosen, groups, weights)
        };
        Mixture {
            activation: Activation::ReluSquared,
            is_gated: false,
            latent: self.moe_latent_size,
            shared: match self.n_shared_experts.and(self.moe_shared_expert_intermediate_size) {
                None => Shared::None,
                Some(inner) => Shared::Always { inner },
            },
            ..Mixture::of(self.n_routed_experts, self.moe_intermediate_size, router)
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

    /// What this family has like others, by its usual keys.
    fn base(&self) -> llama::Config {
        llama::Config {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: Some(self.num_key_value_heads),
            head_dim: self.head_dim,
            rms_norm_eps: self.layer_norm_epsilon,
            tie_word_embeddings: false,
            ..llama::Config::default()
        }
    }

    fn recurrence(&self) -> Shape {
        Shape {
            heads: self.mamba_num_heads,
            head_dim: self.mamba_head_dim,
            groups: self.n_groups,
            memory: self.ssm_state_size,
            kernel: self.conv_kernel,
            limits: self.time_step_limit.map_or((0.0, f32::INFINITY), Into::into),
            through: nn::Precision::Input,
            gating: Gating::BeforeNormOfGroups(self.layer_norm_epsilon),
        }
    }
}

fn recipe(
    checkpoint: &Checkpoint<'_>,
    config: &Config,
    kinds: &[Kind],
) -> Result<hybrid::Recipe, LoadError> {
    let base = config.base();
    let block = |kind: &Kind| {
        let mixer = match kind {
            Kind::Attention => {
                Mixer::Attention(Attention { rope: None, ..llama::attention(&base)? })
            }
            Kind::FeedForward => Mixer::FeedForward(FeedForward::Plain(
                Activation::ReluSquared,
                config.intermediate_size,
            )),
            Kind::Mixture => {
                let mixture = checkpoint.config::<MixtureConfig>()?.mixture();
                Mixer::FeedForward(FeedForward::mixture(mixture))
            }
            Kind::Recurrence => Mixer::StateSpace(config.recurrence()),
        };
        Ok(vec![half("norm", "mixer", mixer)])
    };
    let blocks = kinds.iter().map(block).collect::<Result<_, LoadError>>()?;
    Ok(llama::around(blocks, &base))
}

/// Stacks experts that lie one by one, and gives tensors the names and shapes that are used here.
fn bring_into_form(checkpoint: &Checkpoint<'_>, kinds: &[Kind]) -> Result<(), LoadError> {
    checkpoint.discard(|name| name.starts_with("mtp."));
    for (index, _) in kinds.iter().enumerate().filter(|(_, kind)| **kind == Kind::Mixture) {
        let MixtureConfig { n_routed_experts, .. } = checkpoint.config()?;
        let mixer = format!("backbone.layers.{index}.mixer");
        for (from, into) in [("up_proj", "fc1"), ("down_proj", "fc2")] {
            let each = (0..n_routed_experts).map(|i| format!("{mixer}.experts.{i}.{from}"));
            checkpoint.stack(each, &format!("{mixer}.switch_mlp.{into}"))?;
        }
    }
    checkpoint.rename_parts(&[(".fc1.", ".up_proj."), (".fc2.", ".down_proj.")]);
    mamba2::bring_into_form(checkpoint)
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
