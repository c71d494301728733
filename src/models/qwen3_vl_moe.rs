//! Qwen 3 VL with mixtures: the text half is a Qwen 3 with mixtures.
//!
//! Reference: `mlx_lm.models.qwen3_vl_moe`. Text moves along one axis only, so that `mrope` is plain rotation.

use super::{prelude::*, qwen3_moe};

pub(super) const FAMILY: Family = Family::decoder(&["qwen3_vl_moe"], |checkpoint| {
    let Text { text_config } = checkpoint.config()?;
    wrapper::keep_text(checkpoint, &[])?;
    mixture::adopt_transposed(checkpoint, text_config.num_hidden_layers)?;
    qwen3_moe::recipe(text_config, &checkpoint.config()?)
});

/// Without its text half it is nothing.
#[derive(Deserialize)]
struct Text {
    text_config: llama::Config,
}
