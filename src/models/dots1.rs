//! dots.llm1: a mixture whose experts are chosen by corrected `σ`, in groups, beside shared ones.
//!
//! Reference: `mlx_lm.models.dots1`. As there, `scoring_func` and `attention_bias` are passed over.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["dots1"], |checkpoint| {
    let config = llama::untied(checkpoint)?;
    let own: Config = checkpoint.config()?;
    llama::discard_unused(checkpoint, config.tie_word_embeddings);
    let (layers, experts) = (config.num_hidden_layers, own.n_routed_experts);
    mixture::stack_experts(checkpoint, layers, experts, mixture::PROJECTIONS)?;
    checkpoint.rename(|name| Some(name.replace(".mlp.experts.", ".mlp.switch_mlp.")));
    let config = llama::Config { layer_types: None, ..config };
    let attention = Attention { qk_norm: QkNorm::PerHead, ..llama::attention(&config)? };
    recipe(&config, attention, &own)
});

/// What tells a mixture with corrected choice apart; GLM 4.5 shares it.
#[derive(Deserialize)]
pub(super) struct Config {
    first_k_dense_replace: usize,
    moe_intermediate_size: i32,
    pub(super) n_routed_experts: i32,
    n_shared_experts: i32,
    norm_topk_prob: bool,
    num_experts_per_tok: i32,
    routed_scaling_factor: f32,
    #[serde(default = "one")]
    n_group: i32,
    #[serde(default = "one")]
    topk_group: i32,
}

fn one() -> i32 {
    1
}

/// Dense layers first, then mixtures.
pub(super) fn recipe(
    config: &llama::Config,
    attention: Attention,
    own: &Config,
) -> Result<Recipe, LoadError> {
    let dense = Layer { attention, ..llama::layer(config)? };
    let sparse =
        Layer { feed_forward: FeedForward::Mixture(Box::new(mixture(own))), ..dense.clone() };
    let is_dense = |index: usize| index < own.first_k_dense_replace;
    let layer = |index| if is_dense(index) { &dense } else { &sparse }.clone();
    Ok(Recipe {
        layers: (0..config.num_hidden_layers).map(layer).collect(),
        ..llama::recipe(config)?
    })
}

fn mixture(own: &Config) -> Mixture {
    let (experts, chosen) = (own.n_routed_experts, own.num_experts_per_tok);
    let base = mixtral::mixture(experts, chosen, own.moe_intermediate_size);
    Mixture {
        router: Router {
            scores: ExpertScores::Sigmoid,
            choice: Choice::Corrected(Groups { count: own.n_group, considered: own.topk_group }),
            weights: if chosen > 1 && own.norm_topk_prob {
                ExpertWeights::Shares
            } else {
                ExpertWeights::Scores
            },
            scale: Some(own.routed_scaling_factor),
            precision: Precision::Float32,
            fusion: Fusion::Compiled,
            ..base.router
        },
        shared: Shared::Always { inner: own.moe_intermediate_size * own.n_shared_experts },
        ..base
    }
}
