//! Granite with mixtures: Granite's multipliers, and experts weighted by the softmax of the chosen logits in float32.
//!
//! Reference: `mlx_lm.models.granitemoe`.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["granitemoe"], |checkpoint| {
    let config: llama::Config = checkpoint.config()?;
    adopt(checkpoint, &config)?;
    recipe(config, &checkpoint.config()?)
});

#[derive(Deserialize)]
struct Config {
    num_local_experts: i32,
    num_experts_per_tok: i32,
    logits_scaling: f32,
    attention_multiplier: f32,
    embedding_multiplier: f32,
    residual_multiplier: f32,
}

/// Brings the names of the reference and of the original into ours; the latter has gate and up in one.
fn adopt(checkpoint: &Checkpoint<'_>, config: &llama::Config) -> Result<(), LoadError> {
    llama::discard_unused(checkpoint, config.tie_word_embeddings);
    checkpoint.rename(|name| {
        let name = name.replace(".block_sparse_moe.router.layer.", ".mlp.gate.");
        let name = name.replace(".block_sparse_moe.switch_mlp.", ".mlp.switch_mlp.");
        let name = name.replace(".block_sparse_moe.output_linear.", ".mlp.switch_mlp.down_proj.");
        Some(name.replace(".block_sparse_moe.input_linear.", ".mlp.input_linear."))
    });
    for layer in 0..config.num_hidden_layers {
        let path = |part| format!("model.layers.{layer}.mlp.{part}");
        let halves = ["switch_mlp.gate_proj", "switch_mlp.up_proj"]
            .map(|part| (path(part), config.intermediate_size));
        checkpoint.split(&path("input_linear"), 1, &halves)?;
    }
    Ok(())
}

fn recipe(config: llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    let config =
        llama::Config { head_dim: None, layer_types: None, rope_traditional: false, ..config };
    let (experts, chosen) = (own.num_local_experts, own.num_experts_per_tok);
    let base = mixtral::mixture(experts, chosen, config.intermediate_size);
    let mixture = Mixture {
        router: Router {
            choice: Choice::Ascending,
            weights: ExpertWeights::Softmax(Precision::Float32),
            precision: Precision::Float32,
            ..base.router
        },
        ..base
    };
    let layer = Layer {
        attention: Attention { scale: own.attention_multiplier, ..llama::attention(&config)? },
        feed_forward: FeedForward::Mixture(Box::new(mixture)),
        ..llama::layer(&config)?
    };
    Ok(Recipe {
        embedding_scale: EmbeddingScale::Times(own.embedding_multiplier),
        layers: vec![layer; config.num_hidden_layers],
        scores: Scores::Over(own.logits_scaling),
        residual: Residual::AddTimes(own.residual_multiplier),
        ..llama::recipe(&config)?
    })
}
