//! ERNIE 4.5 with mixtures: scores in float32, weights that add up to one, and shared experts.
//!
//! Reference: `mlx_lm.models.ernie4_5_moe`. As there, `rope_scaling` and the learned correction of the choice are
//! passed over.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["ernie4_5_moe"], |checkpoint| {
    let config: llama::Config = checkpoint.config()?;
    let own: Config = checkpoint.config()?;
    checkpoint.discard(|name| UNUSED.iter().any(|unused| name.contains(unused)));
    let (layers, experts) = (config.num_hidden_layers, own.experts);
    mixture::stack_experts(checkpoint, layers, experts, mixture::PROJECTIONS)?;
    recipe(&config, &own)
});

const UNUSED: [&str; 5] = [
    "mtp_block.",
    "mtp_linear_proj.",
    "mtp_hidden_norm.",
    "mtp_emb_norm.",
    "e_score_correction_bias",
];

#[derive(Deserialize)]
struct Config {
    #[serde(rename = "moe_num_experts")]
    experts: i32,
    #[serde(rename = "moe_k", default = "one")]
    chosen: i32,
    /// Width between the projections of an expert; that of dense layers where it is zero.
    #[serde(rename = "moe_intermediate_size", default)]
    inner: i32,
    #[serde(rename = "moe_num_shared_experts", default)]
    shared: i32,
    #[serde(rename = "moe_layer_start_index")]
    first: Option<Places>,
    #[serde(rename = "moe_layer_end_index")]
    last: Option<Places>,
    #[serde(rename = "moe_layer_interval", default = "each")]
    interval: usize,
    #[serde(rename = "moe_gate_act", default)]
    activation: GateActivation,
}

fn one() -> i32 {
    1
}

fn each() -> usize {
    1
}

/// A layer, or one a kind of expert.
#[derive(Deserialize)]
#[serde(untagged)]
enum Places {
    One(usize),
    Several(Vec<usize>),
}

impl Places {
    fn all(&self) -> &[usize] {
        match self {
            Self::One(place) => std::slice::from_ref(place),
            Self::Several(places) => places,
        }
    }
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum GateActivation {
    #[default]
    Softmax,
    Sigmoid,
}

impl Config {
    fn is_sparse(&self, index: usize) -> bool {
        let first = self.first.as_ref();
        let first = first.and_then(|places| places.all().iter().min().copied());
        let last = self.last.as_ref();
        let last = last.and_then(|places| places.all().iter().max().copied());
        (index + 1).is_multiple_of(self.interval)
            && first.is_none_or(|first| index >= first)
            && last.is_none_or(|last| index <= last)
    }

    fn mixture(&self, intermediate: i32) -> Mixture {
        let inner = match self.inner {
            0 => intermediate,
            own => own,
        };
        let base = mixtral::mixture(self.experts, self.chosen, inner);
        Mixture {
            router: Router {
                scores: match self.activation {
                    GateActivation::Softmax => ExpertScores::Softmax(Precision::Float32),
                    GateActivation::Sigmoid => ExpertScores::Sigmoid,
                },
                weights: ExpertWeights::SharesOfAtLeast(1e-12),
                precision: Precision::Float32,
                ..base.router
            },
            shared: match self.shared {
                0 => Shared::None,
                count => Shared::Always { inner: inner * count },
            },
            ..base
        }
    }
}

fn recipe(config: &llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    let config =
        llama::Config { layer_types: None, rope_scaling: None, rope_traditional: true, ..*config };
    let dense = llama::layer(&config)?;
    let mixture = own.mixture(config.intermediate_size);
    let sparse = Layer { feed_forward: FeedForward::Mixture(Box::new(mixture)), ..dense.clone() };
    let layer = |index| if own.is_sparse(index) { &sparse } else { &dense }.clone();
    Ok(Recipe {
        layers: (0..config.num_hidden_layers).map(layer).collect(),
        ..llama::recipe(&config)?
    })
}
