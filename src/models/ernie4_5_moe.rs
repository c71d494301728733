//! ERNIE 4.5 with mixtures: scores in float32, weights that add up to one, and shared experts.
//!
//! Reference: `mlx_lm.models.ernie4_5_moe`. As there, `rope_scaling` and the learned correction of the choice are
//! passed over.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["ernie4_5_moe"], |checkpoint| {
    let config: llama::Config = checkpoint.config()?;
    let own: Config = checkpoint.config()?;
    checkpoint.discard(|name| UNUSED.iter().any(|unused| name.contains(unused)));
    mixture::stack_experts(checkpoint, config.num_hidden_layers, own.experts)?;
    let config = llama::Config { rope_scaling: None, rope_traditional: true, ..config };
    let mixture = own.mixture(config.intermediate_size);
    let is_sparse = |index| own.is_sparse(index);
    Ok(mixture::interleaved(&config, llama::layer(&config)?, mixture, is_sparse))
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
    #[serde(rename = "moe_layer_interval", default = "one")]
    interval: usize,
    #[serde(rename = "moe_gate_act", default)]
    activation: GateActivation,
}

/// A layer, or one a kind of expert.
#[derive(Deserialize)]
#[serde(untagged)]
enum Places {
    One(usize),
    Several(Vec<usize>),
}

impl Places {
    /// Whether one of them is so.
    fn any(&self, is_so: impl Fn(usize) -> bool) -> bool {
        match self {
            Self::One(place) => is_so(*place),
            Self::Several(places) => places.iter().copied().any(is_so),
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
        (index + 1).is_multiple_of(self.interval)
            && self.first.as_ref().is_none_or(|first| first.any(|first| index >= first))
            && self.last.as_ref().is_none_or(|last| last.any(|last| index <= last))
    }

    fn mixture(&self, intermediate: i32) -> Mixture {
        let inner = match self.inner {
            0 => intermediate,
            own => own,
        };
        let router = Router {
            scores: match self.activation {
                GateActivation::Softmax => ExpertScores::Softmax(Precision::Float32),
                GateActivation::Sigmoid => ExpertScores::Sigmoid,
            },
            weights: ExpertWeights::SharesOfAtLeast(1e-12),
            precision: Precision::Float32,
            ..Router::by_logits(self.chosen)
        };
        let shared = match self.shared {
            0 => Shared::None,
            count => Shared::Always { inner: inner * count },
        };
        Mixture { shared, ..Mixture::of(self.experts, inner, router) }
    }
}
