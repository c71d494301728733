//! Qwen 3 VL with mixtures: the text half is a Qwen 3 with mixtures.
//!
//! Reference: `mlx_lm.models.qwen3_vl_moe`. Text moves along one axis only, so that `mrope` is plain rotation.

use super::{prelude::*, qwen3_moe};

pub(super) const FAMILY: Family = Family::decoder(&["qwen3_vl_moe"], |checkpoint| {
    let Text { text_config } = checkpoint.config()?;
    let own: Text<qwen3_moe::Config> = checkpoint.config()?;
    adopt(checkpoint, &text_config)?;
    qwen3_moe::recipe(text_config, &own.text_config)
});

#[derive(Deserialize)]
struct Text<T = llama::Config> {
    text_config: T,
}

/// Leaves the text half under its own names; the original has experts stacked, transposed, gate and up in one.
fn adopt(checkpoint: &Checkpoint<'_>, config: &llama::Config) -> Result<(), LoadError> {
    checkpoint.discard(|name| name.starts_with("visual.") || name.starts_with("model.visual."));
    checkpoint.rename(|name| match name.strip_prefix("model.language_model.") {
        Some(rest) => Some(format!("model.{rest}")),
        None => name.strip_prefix("language_model.").map(str::to_owned),
    });
    mixture::adopt_transposed(checkpoint, config.num_hidden_layers)
}
