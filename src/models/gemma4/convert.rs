//! Brings checkpoints of other exporters into the names that Gemma 4 is read by.
//!
//! Reference: `sanitize` of `mlx_lm.models.gemma4` and `mlx_lm.models.gemma4_text`.

use super::config::Config;
use crate::checkpoint::{Checkpoint, LoadError};

/// What belongs to eyes and ears.
const FOREIGN: [&str; 6] = [
    "audio_tower",
    "embed_audio",
    "embed_vision",
    "multi_modal_projector",
    "vision_embedder",
    "vision_tower",
];

/// Statistics of the training.
const UNUSED: [&str; 5] =
    ["self_attn.rotary_emb", "input_max", "input_min", "output_max", "output_min"];

/// What a layer that borrows does without.
const LENT: [&str; 3] = [".self_attn.k_norm", ".self_attn.k_proj", ".self_attn.v_proj"];

/// Leaves only the language model of a model that sees and hears, in its own names.
pub(super) fn unwrap(checkpoint: &Checkpoint<'_>) {
    checkpoint.discard(|name| {
        let name = name.strip_prefix("model.").unwrap_or(name);
        FOREIGN.iter().any(|foreign| name.starts_with(foreign))
    });
    checkpoint.rename(|name| {
        let inner = name.strip_prefix("model.language_model.");
        inner
            .map(|inner| format!("model.{inner}"))
            .or_else(|| name.strip_prefix("language_model.").map(str::to_owned))
    });
}

/// Drops what the model does without, and splits fused experts.
pub(super) fn convert(checkpoint: &Checkpoint<'_>, config: &Config) -> Result<(), LoadError> {
    checkpoint.discard(|name| {
        UNUSED.iter().any(|unused| name.contains(unused))
            || (LENT.iter().any(|lent| name.contains(lent))
                && layer(name).is_some_and(|index| !config.is_concrete(index)))
    });
    for name in checkpoint.names() {
        if let Some(experts) = name.strip_suffix(".gate_up_proj").filter(is_experts) {
            split(checkpoint, experts)?;
        } else if let Some(experts) = name.strip_suffix(".down_proj").filter(is_experts)
            && let Some(down) = checkpoint.take(&name)
        {
            checkpoint.insert(format!("{experts}.switch_glu.down_proj.weight"), down);
        }
    }
    Ok(())
}

fn is_experts(path: &&str) -> bool {
    path.ends_with(".experts")
}

fn split(checkpoint: &Checkpoint<'_>, experts: &str) -> Result<(), LoadError> {
    let fused = format!("{experts}.gate_up_proj");
    let half = match checkpoint.shape(&fused).as_deref() {
        Some([_, outputs, _]) => outputs / 2,
        _ => 0,
    };
    let part = |name: &str| (format!("{experts}.switch_glu.{name}.weight"), half);
    checkpoint.split(&fused, 1, &[part("gate_proj"), part("up_proj")])
}

fn layer(name: &str) -> Option<usize> {
    let (_, rest) = name.split_once("layers.")?;
    rest.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_says_its_layer() {
        assert_eq!(layer("model.layers.12.self_attn.k_proj.weight"), Some(12));
        assert_eq!(layer("model.norm.weight"), None);
    }
}
