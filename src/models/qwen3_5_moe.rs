//! Qwen 3.5 with mixtures; text only.
//!
//! Reference: `mlx_lm.models.qwen3_5_moe`, which only splits what other exporters have fused.

use super::{prelude::*, qwen3_5, qwen3_next::Config};

pub(super) const FAMILY: Family = Family::other(&["qwen3_5_moe"], |checkpoint| {
    wrapper::keep_text(checkpoint, &[])?;
    let config: Config = checkpoint.config()?;
    checkpoint.rename(|name| {
        let mixture = name.strip_suffix(".experts.down_proj")?;
        Some(format!("{mixture}.switch_mlp.down_proj.weight"))
    });
    for index in 0..config.num_hidden_layers {
        let mixture = format!("model.layers.{index}.mlp");
        let into = ["gate_proj", "up_proj"].map(|name| {
            let path = format!("{mixture}.switch_mlp.{name}.weight");
            (path, config.moe_intermediate_size)
        });
        checkpoint.split(&format!("{mixture}.experts.gate_up_proj"), 1, &into)?;
    }
    qwen3_5::load(checkpoint)
});
