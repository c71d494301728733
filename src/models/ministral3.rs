//! Ministral 3: Llama whose queries grow with their position.
//!
//! Reference: `mlx_lm.models.ministral3`. As there, everything about positions is read from `rope_parameters`.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["ministral3"], recipe);

#[derive(Deserialize)]
struct Config<T> {
    rope_parameters: T,
}

#[derive(Deserialize)]
struct Growth {
    llama_4_scaling_beta: f32,
    original_max_position_embeddings: f32,
}

pub(super) fn recipe(checkpoint: &Checkpoint<'_>) -> Result<Recipe, LoadError> {
    let config: llama::Config = checkpoint.config()?;
    let scaling: Config<positions::Scaling> = checkpoint.config()?;
    let growth = growth(checkpoint)?;
    llama::discard_unused(checkpoint, config.tie_word_embeddings);
    let config = llama::Config {
        rope_theta: scaling.rope_parameters.rope_theta,
        rope_scaling: Some(scaling.rope_parameters),
        rope_traditional: false,
        ..config
    };
    let mut recipe = llama::windowed(&config)?;
    for layer in &mut recipe.layers {
        layer.attention.growth = growth;
    }
    Ok(recipe)
}

/// How queries grow.
pub(super) fn growth(checkpoint: &Checkpoint<'_>) -> Result<QueryGrowth, LoadError> {
    let Config::<Growth> { rope_parameters } = checkpoint.config()?;
    Ok(QueryGrowth::Stepwise {
        rate: rope_parameters.llama_4_scaling_beta,
        step: rope_parameters.original_max_position_embeddings,
    })
}
