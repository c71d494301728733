//! DeepSeek V2: latent attention that keeps keys and values in full, and experts chosen by softmax.
//!
//! Reference: `mlx_lm.models.deepseek_v2`. As there, positions are always scaled by YaRN, whatever `rope_scaling` calls
//! itself, and weights of experts do not add up to one.

use super::{deepseek_v3::Config, latent::Form, prelude::*};

pub(super) const FAMILY: Family = Family::other(&["deepseek_v2"], |checkpoint| {
    let mut config: Config = checkpoint.config()?;
    match &mut config.rope_scaling {
        None => {
            return Err(unsupported("a deepseek_v2 without `rope_scaling`"));
        }
        Some(scaling) => {
            scaling.r#type = None;
            scaling.rope_type = Some("yarn".to_owned());
        }
    }
    let experts = config.n_routed_experts.unwrap_or(0);
    mixture::stack_experts(checkpoint, config.num_hidden_layers, experts)?;
    let latent = config.latent(1e-6, Form::Expanded)?;
    config.recipe(latent, router(&config))?.load(checkpoint)
});

fn router(config: &Config) -> Result<Router, LoadError> {
    let choice = match (config.topk_method.as_deref(), config.n_group, config.topk_group) {
        (Some("group_limited_greedy"), Some(count), Some(considered)) => {
            Choice::Grouped(Groups { count, considered })
        }
        (Some("group_limited_greedy"), ..) => {
            return Err(unsupported("`group_limited_greedy` without `n_group` and `topk_group`"));
        }
        _ => Choice::Descending,
    };
    Ok(Router {
        choice,
        scale: Some(config.routed_scaling_factor.unwrap_or(1.0)),
        ..Router::by_softmax(config.chosen()?, ExpertWeights::Scores)
    })
}
