//! Gemma 2: Gemma with four norms a block, and scores bent below a cap, in attention as at the head.
//!
//! Reference: `mlx_lm.models.gemma2`. As there, every layer sees everything, whatever `sliding_window` says.

use super::{gemma, prelude::*};

pub(super) const FAMILY: Family = Family::decoder(&["gemma2"], |checkpoint| {
    recipe(&gemma::plain(&checkpoint.config()?), &checkpoint.config()?)
});

keys! {
    struct Config {
        attn_logit_softcapping: f32 = 50.0,
        final_logit_softcapping: f32 = 30.0,
        query_pre_attn_scalar: f64 = 144.0,
    }
}

fn recipe(config: &llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    let layer = Layer {
        attention: Attention {
            scale: llama::inverse_root(own.query_pre_attn_scalar),
            kernel: Kernel::Capped(own.attn_logit_softcapping),
            ..llama::attention(config)?
        },
        feed_forward: FeedForward::Gated(Activation::GeluTanh, config.intermediate_size),
        wiring: Wiring::Sandwich,
    };
    Ok(Recipe {
        scores: Scores::Capped(own.final_logit_softcapping),
        ..gemma::recipe(config, layer)
    })
}
