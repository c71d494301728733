//! The text half of a model that also sees: its part of the configuration, and its tensors below a prefix.
//!
//! Reference: the `sanitize` of `mlx_lm.models.gemma3`, `mistral3`, `pixtral`, `qwen2_vl` and `qwen3_vl`.

use serde_json::Value;

use super::recipe::{Attention, Layer, Reach, Recipe};
use crate::checkpoint::{Checkpoint, LoadError};

/// What the tensors of the other half begin with.
const SIGHT: [&str; 3] = ["multi_modal_projector.", "vision_tower.", "visual."];

/// Leaves what a text model would hold: `text_config`, completed by `defaults`, and the tensors that it describes.
///
/// # Errors
///
/// When `text_config` is not a table.
pub(super) fn keep_text(
    checkpoint: &Checkpoint<'_>,
    defaults: &[(&str, Value)],
) -> Result<(), LoadError> {
    checkpoint.discard(|name| {
        let name = name.strip_prefix("model.").unwrap_or(name);
        SIGHT.iter().any(|sight| name.starts_with(sight))
    });
    checkpoint.rename(|name| match name.strip_prefix("model.language_model.") {
        Some(rest) => Some(format!("model.{rest}")),
        None => name.strip_prefix("language_model.").map(str::to_owned),
    });
    checkpoint.enter("text_config", defaults)
}

/// `recipe` with the caches of a wrapper without a say in them: windows hide older tokens, but all are kept.
pub(super) fn with_plain_caches(recipe: Recipe) -> Recipe {
    let masked = |layer: Layer| Layer {
        attention: Attention {
            reach: match layer.attention.reach {
                Reach::Window(window) => Reach::Masked(window),
                reach @ (Reach::Full | Reach::Masked(_) | Reach::Chunk(_)) => reach,
            },
            ..layer.attention
        },
        ..layer
    };
    Recipe {
        layers: recipe.layers.into_iter().map(masked).collect(),
        ..recipe
    }
}
