//! Mamba 2: nothing but state-space recurrences.
//!
//! Reference: `mlx_lm.models.mamba2`. As there, `layer_norm_epsilon` counts for all norms but those of the blocks.

use super::{
    hybrid::{Frame, Hybrid, Mixer, channels_last},
    prelude::*,
    state_space::{Gating, Shape, StateSpaceMixer, TimeStepLimit},
};
use crate::nn::Precision;

pub(super) const FAMILY: Family = Family::other(&["mamba2"], |checkpoint| {
    channels_last(checkpoint, "conv1d.weight")?;
    Ok(Box::new(load(checkpoint, &checkpoint.config()?)?))
});

/// Of the norms before the blocks.
const BLOCK_EPS: f32 = 1e-5;

#[derive(Deserialize)]
struct Config {
    num_heads: i32,
    head_dim: i32,
    vocab_size: i32,
    hidden_size: i32,
    state_size: i32,
    ssm_state_size: Option<i32>,
    num_hidden_layers: usize,
    layer_norm_epsilon: f32,
    conv_kernel: i32,
    n_groups: i32,
    tie_word_embeddings: bool,
    time_step_limit: TimeStepLimit,
}

fn load(checkpoint: &Checkpoint<'_>, config: &Config) -> Result<Hybrid, LoadError> {
    let frame = Frame {
        embedding: "backbone.embeddings",
        norm: "backbone.norm_f",
        ..Frame::new(
            config.vocab_size,
            config.hidden_size,
            config.layer_norm_epsilon,
            llama::head(config.tie_word_embeddings),
        )
    };
    let shape = Shape {
        width: config.hidden_size,
        heads: config.num_heads,
        head_dim: config.head_dim,
        groups: config.n_groups,
        memory: config.ssm_state_size.unwrap_or(config.state_size),
        kernel: config.conv_kernel,
        limits: config.time_step_limit.into(),
        through: Precision::Stored,
        gating: Gating::BeforeNorm(config.layer_norm_epsilon),
    };
    let halves = (0..config.num_hidden_layers)
        .map(|index| {
            let scope = checkpoint.root().at("backbone.layers").at(index);
            let mixer = StateSpaceMixer::load(&scope.at("mixer"), &shape)?;
            frame.half_with(&scope.at("norm"), BLOCK_EPS, Mixer::StateSpace(mixer))
        })
        .collect::<Result<_, _>>()?;
    Hybrid::load(&frame, halves, checkpoint)
}
