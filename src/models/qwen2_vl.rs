//! Qwen 2 VL and 2.5 VL: the text half is a Qwen 2.
//!
//! Reference: `mlx_lm.models.qwen2_vl`. Text moves along one axis only, so that `mrope` is plain rotation.

use super::{prelude::*, qwen2};

pub(super) const FAMILY: Family = Family::decoder(&["qwen2_5_vl", "qwen2_vl"], |checkpoint| {
    wrapper::keep_text(checkpoint, &[])?;
    qwen2::recipe(checkpoint)
});
