//! Granite with mixtures: Granite's multipliers, and experts weighted by the softmax of the chosen logits in float32.
//!
//! Reference: `mlx_lm.models.granitemoe`.

use super::{granite, prelude::*};

pub(super) const FAMILY: Family = Family::decoder(&["granitemoe"], |checkpoint| {
    let config: llama::Config = checkpoint.config()?;
    let own: Config = checkpoint.config()?;
    adopt(checkpoint, &config)?;
    let router = Router {
        choice: Choice::Ascending,
        weights: ExpertWeights::Softmax(Precision::Float32),
        precision: Precision::Float32,
        ..Router::by_logits(own.num_experts_per_tok)
    };
    let mixture = Mixture::of(own.num_local_experts, config.intermediate_size, router);
    granite::recipe(config, &checkpoint.config()?, FeedForward::mixture(mixture))
});

#[derive(Deserialize)]
struct Config {
    num_local_experts: i32,
    num_experts_per_tok: i32,
}

/// Brings the names of the reference and of the original into ours; the latter has gate and up in one.
fn adopt(checkpoint: &Checkpoint<'_>, config: &llama::Config) -> Result<(), LoadError> {
    llama::discard_unused(checkpoint, config.tie_word_embeddings);
    checkpoint.rename_parts(&[
        (".block_sparse_moe.router.layer.", ".mlp.gate."),
        (".block_sparse_moe.switch_mlp.", ".mlp.switch_mlp."),
        (".block_sparse_moe.output_linear.", ".mlp.switch_mlp.down_proj."),
        (".block_sparse_moe.input_linear.", ".mlp.input_linear."),
    ]);
    for layer in 0..config.num_hidden_layers {
        let path = |part| format!("model.layers.{layer}.mlp.{part}");
        let halves = ["switch_mlp.gate_proj", "switch_mlp.up_proj"]
            .map(|part| (path(part), config.intermediate_size));
        checkpoint.split(&path("input_linear"), 1, &halves)?;
    }
    Ok(())
}
