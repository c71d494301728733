//! Phi 3: Llama with fused projections, and rotary positions on a part of each head.
//!
//! Reference: `mlx_lm.models.phi3`. As there, `head_dim` and `sliding_window` are passed over, and so is any scaling
//! but `linear`, `longrope` and `su`.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["phi3"], |checkpoint| {
    recipe(llama::untied(checkpoint)?, &checkpoint.config()?)
});

#[derive(Deserialize)]
struct Config {
    partial_rotary_factor: Option<f64>,
    original_max_position_embeddings: Option<f64>,
}

fn recipe(config: llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    let scaling = scaling(&config, own)?;
    let is_long = matches!(scaling, RopeScaling::Long { .. });
    let config = llama::Config {
        head_dim: None,
        rope_traditional: config.rope_traditional && !is_long,
        rope_scaling: None,
        ..config
    };
    let attention = llama::attention(&config)?;
    let rope = positions::on_part(attention.rope, own.partial_rotary_factor.unwrap_or(1.0));
    let rope = rope.map(|rope| Rope { scaling, ..rope });
    let layer = Layer {
        attention: Attention { projections: Projections::Fused, rope, ..attention },
        feed_forward: FeedForward::GatedFused(Activation::Silu, config.intermediate_size),
        wiring: Wiring::Pre,
    };
    Ok(llama::uniform(layer, &config))
}

fn scaling(config: &llama::Config, own: &Config) -> Result<RopeScaling, LoadError> {
    let Some(asked) = &config.rope_scaling else {
        return Ok(RopeScaling::None);
    };
    let trained = config.max_position_embeddings.unwrap_or(131_072);
    match asked.kind() {
        "longrope" | "su" => {
            let original = own.original_max_position_embeddings.unwrap_or(4096.0);
            asked.long(original, trained)
        }
        "linear" => positions::scaling(Some(asked), 0, None),
        _ => Ok(RopeScaling::None),
    }
}
