//! Qwen 3.5: Qwen 3 Next with a projection for each input of the delta rule, dense; text only.
//!
//! Reference: `mlx_lm.models.qwen3_5`. As there, `layer_types` is passed over for the interval, and vision is dropped.

use super::{
    Model,
    gated_delta::Inputs,
    hybrid::channels_last,
    positions::Scaling,
    prelude::*,
    qwen3_next::{self, Config, Place},
};

pub(super) const FAMILY: Family = Family::other(&["qwen3_5"], |checkpoint| {
    bring_names_into_form(checkpoint);
    load(checkpoint)
});

/// Where the language model lies.
pub(super) const ROOT: &str = "language_model";

/// A configuration that nests that of the language model.
#[derive(Deserialize)]
struct Nested<T> {
    text_config: Option<T>,
}

#[derive(Deserialize)]
struct Positions {
    rope_parameters: Option<Scaling>,
}

/// The configuration of the language model, nested or not.
pub(super) fn text_config<T: serde::de::DeserializeOwned>(
    checkpoint: &Checkpoint<'_>,
) -> Result<T, LoadError> {
    match checkpoint.config::<Nested<T>>()?.text_config {
        Some(config) => Ok(config),
        None => checkpoint.config(),
    }
}

/// Drops vision, and gives tensors of other exporters the names that are used here.
pub(super) fn bring_names_into_form(checkpoint: &Checkpoint<'_>) {
    checkpoint.discard(|name| name.starts_with("vision_tower") || name.starts_with("model.visual"));
    checkpoint.rename(|name| {
        if name.starts_with("model.language_model") {
            return Some(name.replace("model.language_model", "language_model.model"));
        }
        let is_outside = !name.starts_with("language_model.");
        is_outside.then(|| format!("{ROOT}.{name}"))
    });
}

/// The model of tensors whose names are in form.
pub(super) fn load(checkpoint: &Checkpoint<'_>) -> Result<Box<dyn Model>, LoadError> {
    let config: Config = text_config(checkpoint)?;
    let rope: Positions = text_config(checkpoint)?;
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
    qwen3_next::name_shared_experts(checkpoint);
    let asked = rope.rope_parameters.unwrap_or_default();
    let rope = config.rope(
        asked.rope_theta.unwrap_or(100_000.0),
        asked.partial_rotary_factor.unwrap_or(0.25),
        Some(&asked),
    )?;
    let place = Place { root: ROOT, inputs: Inputs::Separate, weights: ExpertWeights::Shares };
    let model = qwen3_next::load(checkpoint, &config, place, &rope, |_| true)?;
    Ok(Box::new(model))
}
