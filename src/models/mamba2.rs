//! Mamba 2: nothing but state-space recurrences.
//!
//! Reference: `mlx_lm.models.mamba2`. As there, `layer_norm_epsilon` counts for all norms but those of the blocks.

use super::{
    hybrid::{self, Half, Mixer, channels_last, half},
    prelude::*,
    state_space::{Gating, Shape, TimeStepLimit},
};
use crate::nn;

pub(super) const FAMILY: Family = Family::other(&["mamba2"], |checkpoint| {
    bring_into_form(checkpoint)?;
    let config: Config = checkpoint.config()?;
    config.recipe().load(checkpoint)
});

/// Of the norms before the blocks.
const BLOCK_EPS: f32 = 1e-5;

/// Gives tensors the names and shapes that are used here.
pub(super) fn bring_into_form(checkpoint: &Checkpoint<'_>) -> Result<(), LoadError> {
    checkpoint.rename_parts(&[
        ("backbone.embeddings.", "model.embed_tokens."),
        ("backbone.norm_f.", "model.norm."),
        ("backbone.layers.", "model.layers."),
    ]);
    channels_last(checkpoint, "conv1d.weight")
}

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

impl Config {
    fn recipe(&self) -> hybrid::Recipe {
        let mixer = Half { eps: Some(BLOCK_EPS), ..half("norm", "mixer", self.recurrence()) };
        let blocks = vec![vec![mixer]; self.num_hidden_layers];
        let (width, eps) = (self.hidden_size, self.layer_norm_epsilon);
        let head = llama::head(self.tie_word_embeddings);
        Recipe::plain(blocks, self.vocab_size, width, eps, head)
    }

    fn recurrence(&self) -> Mixer {
        Mixer::StateSpace(Shape {
            heads: self.num_heads,
            head_dim: self.head_dim,
            groups: self.n_groups,
            memory: self.ssm_state_size.unwrap_or(self.state_size),
            kernel: self.conv_kernel,
            limits: self.time_step_limit.into(),
            through: nn::Precision::Stored,
            gating: Gating::BeforeNorm(self.layer_norm_epsilon),
        })
    }
}
