//! The text half of a model that also sees or hears: its part of the configuration, and its tensors below a prefix.
//!
//! Reference: the `sanitize` of `mlx_lm.models.gemma3`, `gemma3n`, `gemma4`, `mistral3`, `pixtral`, `qwen2_vl` and
//! `qwen3_vl`.

use serde_json::Value;

use super::recipe::{Attention, Layer, Reach, Recipe};
use crate::checkpoint::{Checkpoint, LoadError};

/// What the tensors of the other half begin with.
const SENSES: [&str; 7] = [
    "audio_tower.",
    "embed_audio.",
    "embed_vision.",
    "multi_modal_projector.",
    "vision_embedder.",
    "vision_tower.",
    "visual.",
];

/// Leaves what a text model would hold: `text_config`, completed by `defaults`, and the tensors that it describes.
///
/// # Errors
///
/// When `text_config` is not a table.
pub(super) fn keep_text(
    checkpoint: &Checkpoint<'_>,
    defaults: &[(&str, Value)],
) -> Result<(), LoadError> {
    keep_tensors(checkpoint);
    checkpoint.enter("text_config", defaults)
}

/// Leaves the tensors that a text model would hold.
pub(super) fn keep_tensors(checkpoint: &Checkpoint<'_>) {
    checkpoint.discard(is_of_senses);
    checkpoint.rename(name_in_text);
}

/// Whether a tensor belongs to the other half.
fn is_of_senses(name: &str) -> bool {
    let name = name.strip_prefix("model.").unwrap_or(name);
    SENSES.iter().any(|sense| name.starts_with(sense))
}

/// The name of a tensor in the text half alone; none where it is the same.
fn name_in_text(name: &str) -> Option<String> {
    match name.strip_prefix("model.language_model.") {
        Some(rest) => Some(format!("model.{rest}")),
        None => name.strip_prefix("language_model.").map(str::to_owned),
    }
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
    Recipe { layers: recipe.layers.into_iter().map(masked).collect(), ..recipe }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn case(name: &str, in_text: Option<&str>) {
        assert!(!is_of_senses(name));
        assert_eq!(name_in_text(name).as_deref(), in_text);
    }

    #[test]
    fn the_text_half_is_found_below_every_prefix() {
        let norm = Some("model.norm.weight");
        case("language_model.model.norm.weight", norm);
        case("model.language_model.norm.weight", norm);
        case("model.norm.weight", None);
        case("language_model.lm_head.weight", Some("lm_head.weight"));
        case("lm_head.weight", None);
    }

    #[test]
    fn what_sees_or_hears_is_dropped() {
        assert!(is_of_senses("vision_tower.patch_conv.weight"));
        assert!(is_of_senses("model.visual.merger.mlp.0.bias"));
        assert!(is_of_senses("multi_modal_projector.linear_1.weight"));
        assert!(is_of_senses("model.embed_audio.embedding_projection.weight"));
    }
}
