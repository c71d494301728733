//! OLMo 3: OLMo 2 where three of four layers see a window, and only the fourth scales its positions.
//!
//! Reference: `mlx_lm.models.olmo3`.

use super::{olmo2, prelude::*};

pub(super) const FAMILY: Family =
    Family::decoder(&["olmo3"], |checkpoint| recipe(llama::untied(checkpoint)?));

fn recipe(config: llama::Config) -> Result<Recipe, LoadError> {
    let sees_all: Vec<bool> = match &config.layer_types {
        Some(types) => types.iter().map(|kind| kind == "full_attention").collect(),
        None => (1..=config.num_hidden_layers).map(|number| number.is_multiple_of(4)).collect(),
    };
    let scaled = llama::Config { rope_traditional: false, ..config };
    let full = olmo2::layer(&scaled)?;
    let plain = llama::Config { rope_scaling: None, ..scaled };
    let mut near = olmo2::layer(&plain)?;
    near.attention.reach = llama::window(plain.sliding_window)?;
    let layers = sees_all.into_iter().map(|sees_all| if sees_all { &full } else { &near }.clone());
    Ok(llama::around(layers.collect(), &plain))
}
