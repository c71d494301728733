//! Cohere's Command R7B and Command A: three of four layers see a window, and only those encode positions.
//!
//! Reference: `mlx_lm.models.cohere2`.

use super::{cohere, prelude::*};

pub(super) const FAMILY: Family = Family::decoder(&["cohere2"], |checkpoint| {
    recipe(&checkpoint.config()?, &checkpoint.config()?)
});

#[derive(Deserialize)]
struct Config {
    head_dim: Option<i32>,
    sliding_window: Option<i32>,
    sliding_window_pattern: Option<usize>,
}

fn recipe(config: &cohere::Config, own: &Config) -> Result<Recipe, LoadError> {
    let llama =
        llama::Config { head_dim: Some(own.head_dim.unwrap_or(128)), ..config.llama(50_000.0) };
    let pattern = own.sliding_window_pattern.unwrap_or(4);
    let window = llama::window(Some(own.sliding_window.unwrap_or(4096)))?;
    let layer = cohere::layer(&llama)?;
    let attention = Attention { kernel: Kernel::WideForFloat16, ..layer.attention };
    let near = Attention { reach: window, ..attention.clone() };
    let far = Attention { rope: None, ..attention };
    let layers = (1..=config.num_hidden_layers).map(|number| {
        let sees_all = number.is_multiple_of(pattern);
        let attention = if sees_all { &far } else { &near };
        Layer {
            attention: attention.clone(),
            feed_forward: layer.feed_forward.clone(),
            wiring: layer.wiring,
        }
    });
    config.recipe(&llama, layers.collect())
}
