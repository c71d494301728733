//! `MiniMax` M2: a mixture in every layer, chosen by corrected `σ` of float32 logits.
//!
//! Reference: `mlx_lm.models.minimax`. As there, `scoring_func` is passed over, and so is `rope_scaling`.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["minimax"], |checkpoint| {
    let config = llama::untied(checkpoint)?;
    let own: Config = checkpoint.config()?;
    checkpoint.rename(|name| {
        let name = name.replace(".block_sparse_moe.e_score", ".mlp.gate.e_score");
        Some(name.replace(".block_sparse_moe.", ".mlp."))
    });
    let (layers, experts) = (config.num_hidden_layers, own.num_local_experts);
    mixture::stack_experts(checkpoint, layers, experts, mixtral::PROJECTIONS)?;
    recipe(&config, &own)
});

#[derive(Deserialize)]
struct Config {
    num_experts_per_tok: i32,
    num_local_experts: i32,
    rotary_dim: i32,
    #[serde(default = "yes")]
    use_qk_norm: bool,
}

fn yes() -> bool {
    true
}

fn recipe(config: &llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    let config = llama::Config { layer_types: None, rope_scaling: None, ..*config };
    let (experts, chosen) = (own.num_local_experts, own.num_experts_per_tok);
    let base = mixtral::mixture(experts, chosen, config.intermediate_size);
    let mixture = Mixture {
        router: Router {
            logits: Precision::Float32,
            scores: ExpertScores::Sigmoid,
            choice: Choice::Corrected(Groups::ONE),
            weights: ExpertWeights::SharesOfSumPlus(1e-20),
            ..base.router
        },
        ..base
    };
    let base = llama::attention(&config)?;
    let attention = Attention {
        qk_norm: if own.use_qk_norm { QkNorm::Whole } else { QkNorm::None },
        rope: base.rope.map(|rope| Rope { dims: own.rotary_dim, ..rope }),
        ..base
    };
    let layer = Layer {
        attention,
        feed_forward: FeedForward::Mixture(Box::new(mixture)),
        ..llama::layer(&config)?
    };
    Ok(Recipe { layers: vec![layer; config.num_hidden_layers], ..llama::recipe(&config)? })
}
