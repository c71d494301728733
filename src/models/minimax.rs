//! `MiniMax` M2: a mixture in every layer, chosen by corrected `σ` of float32 logits.
//!
//! Reference: `mlx_lm.models.minimax`. As there, `scoring_func` is passed over, and so is `rope_scaling`.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["minimax"], |checkpoint| {
    let config = llama::untied(checkpoint)?;
    let own: Config = checkpoint.config()?;
    checkpoint.rename_parts(&[(".block_sparse_moe.e_score", ".mlp.gate.e_score")]);
    checkpoint.rename_parts(&mixtral::NAMES);
    mixture::stack_experts(checkpoint, config.num_hidden_layers, own.num_local_experts)?;
    recipe(config, &own)
});

#[derive(Deserialize)]
struct Config {
    num_experts_per_tok: i32,
    num_local_experts: i32,
    rotary_dim: i32,
    #[serde(default = "yes")]
    use_qk_norm: bool,
}

fn recipe(config: llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    let config = llama::Config { rope_scaling: None, ..config };
    let router = Router {
        logits: Precision::Float32,
        scores: ExpertScores::Sigmoid,
        choice: Choice::Corrected(Groups::ONE),
        weights: ExpertWeights::SharesOfSumPlus(1e-20),
        ..Router::by_logits(own.num_experts_per_tok)
    };
    let mixture = Mixture::of(own.num_local_experts, config.intermediate_size, router);
    let attention = llama::attention(&config)?;
    let layer = Layer {
        attention: Attention {
            qk_norm: if own.use_qk_norm { QkNorm::Whole } else { QkNorm::None },
            rope: attention.rope.map(|rope| Rope { dims: own.rotary_dim, ..rope }),
            ..attention
        },
        feed_forward: FeedForward::mixture(mixture),
        wiring: Wiring::Pre,
    };
    Ok(llama::uniform(layer, &config))
}
