//! Qwen 3.5: Qwen 3 Next with a projection for each input of the delta rule, dense; text only.
//!
//! Reference: `mlx_lm.models.qwen3_5`. As there, `layer_types` is passed over for the interval, and vision is dropped.

use super::{
    Model,
    gated_delta::Inputs,
    hybrid::channels_last,
    positions::Scaling,
    prelude::*,
    qwen3_next::{self, Config},
};

pub(super) const FAMILY: Family = Family::other(&["qwen3_5"], |checkpoint| {
    wrapper::keep_text(checkpoint, &[])?;
    load(checkpoint)
});

#[derive(Deserialize)]
struct Positions {
    rope_parameters: Option<Scaling>,
}

/// The model of a checkpoint of which only the text half is left.
pub(super) fn load(checkpoint: &Checkpoint<'_>) -> Result<Box<dyn Model>, LoadError> {
    let config: Config = checkpoint.config()?;
    let Positions { rope_parameters } = checkpoint.config()?;
    let is_foreign = |name: &String| {
        let shape = checkpoint.shape(name);
        name.contains("conv1d.weight") && shape.is_some_and(|shape| shape.last() != Some(&1))
    };
    let was_converted = !checkpoint.names().iter().any(is_foreign);
    checkpoint.discard(|name| name.contains("mtp."));
    channels_last(checkpoint, "conv1d.weight")?;
    if !was_converted {
        qwen3_next::shift_norms(checkpoint)?;
    }
    checkpoint.rename_parts(&[qwen3_next::SHARED_EXPERTS]);
    let asked = rope_parameters.unwrap_or_default();
    let rope = config.rope(
        asked.rope_theta.unwrap_or(100_000.0),
        asked.partial_rotary_factor.unwrap_or(0.25),
        Some(&asked),
    )?;
    config.recipe(rope, Inputs::Separate, ExpertWeights::Shares, |_| true)?.load(checkpoint)
}
