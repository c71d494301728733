//! Qwen 3 VL: the text half is a Qwen 3.
//!
//! Reference: `mlx_lm.models.qwen3_vl`. Text moves along one axis only, so that `mrope` is plain rotation.

use super::{prelude::*, qwen3};

pub(super) const FAMILY: Family = Family::decoder(&["qwen3_vl"], |checkpoint| {
    wrapper::keep_text(checkpoint, &[])?;
    qwen3::recipe(checkpoint)
});
