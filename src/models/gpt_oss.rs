//! gpt-oss: windows in every other layer, learned attention sinks, and experts with biases and a clipped gate.
//!
//! Reference: `mlx_lm.models.gpt_oss`. As there, the head is never tied and `truncate` of the scaling is passed over.

use mlx_rs::{Array, ops::indexing::TryIndexOp};

use super::prelude::*;
use crate::nn;

pub(super) const FAMILY: Family = Family::decoder(&["gpt_oss"], |checkpoint| {
    adopt(checkpoint)?;
    recipe(checkpoint.config()?, &checkpoint.config()?)
});

keys! {
    struct Config {
        num_local_experts: i32 = 128,
        num_experts_per_tok: i32 = 4,
        head_dim: i32 = 64,
        rope_theta: f32 = 150_000.0,
        sliding_window: i32 = 128,
    }
}

fn recipe(config: llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    let kinds = ["sliding_attention", "full_attention"].map(str::to_owned);
    let alternating = kinds.into_iter().cycle().take(config.num_hidden_layers);
    let config = llama::Config {
        head_dim: Some(own.head_dim),
        rope_theta: Some(own.rope_theta),
        rope_traditional: false,
        tie_word_embeddings: false,
        sliding_window: Some(own.sliding_window),
        layer_types: config.layer_types.or_else(|| Some(alternating.collect())),
        ..config
    };
    let router = Router { choice: Choice::Ascending, ..Router::by_logits(own.num_experts_per_tok) };
    let mixture = Mixture {
        activation: Activation::ClippedSilu,
        ..Mixture::of(own.num_local_experts, config.intermediate_size, router)
    };
    let mut recipe = llama::windowed(&config)?;
    for layer in &mut recipe.layers {
        layer.attention.kernel = Kernel::FusedWithSinks;
        layer.feed_forward = FeedForward::mixture(mixture.clone());
    }
    Ok(recipe)
}

/// Brings the names and layouts of the original into ours.
fn adopt(checkpoint: &Checkpoint<'_>) -> Result<(), LoadError> {
    checkpoint.rename_parts(&[
        (".mlp.router.", ".mlp.gate."),
        (".mlp.experts.", ".mlp.switch_mlp."),
        ("_proj_blocks", "_proj.weight"),
        ("_proj_scales", "_proj.scales"),
        ("_proj_bias", "_proj.bias"),
    ]);
    for name in checkpoint.names() {
        if !name.contains(".mlp.switch_mlp.") {
            continue;
        }
        checkpoint.adopt_blocks(&name)?;
        let Some((path, part)) = name.split_once("gate_up_proj.") else {
            continue;
        };
        if let Some(whole) = checkpoint.take(&name) {
            checkpoint.insert(format!("{path}gate_proj.{part}"), every_other(&whole, 0)?);
            checkpoint.insert(format!("{path}up_proj.{part}"), every_other(&whole, 1)?);
        }
    }
    Ok(())
}

/// The rows `start`, `start + 2` and so on of each expert.
fn every_other(whole: &Array, start: i32) -> nn::Result<Array> {
    let mut shape = whole.shape().to_vec();
    if let Some(rows) = shape.get_mut(1) {
        *rows /= 2;
    }
    shape.insert(2.min(shape.len()), 2);
    Ok(whole.reshape(&shape)?.try_index((.., .., start))?.contiguous()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_rows_are_the_gate() {
        let whole = Array::from_slice(&[0, 1, 2, 3, 4, 5, 6, 7], &[1, 4, 2]);
        let part = |start| {
            let rows = every_other(&whole, start).unwrap();
            assert_eq!(rows.shape(), [1, 2, 2]);
            rows.try_as_slice::<i32>().unwrap().to_vec()
        };
        assert_eq!(part(0), [0, 1, 4, 5]);
        assert_eq!(part(1), [2, 3, 6, 7]);
        let bias = Array::from_slice(&[0, 1, 2, 3], &[1, 4]);
        let bias = every_other(&bias, 1).unwrap();
        assert_eq!(bias.try_as_slice::<i32>().unwrap(), [1, 3]);
    }
}
