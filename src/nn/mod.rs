//! Inference-only layers, each built from a [`Scope`](crate::checkpoint::Scope) of a checkpoint.
//!
//! Every layer keeps the element type of what it is given: constants go through [`scalar`], and no
//! `Array` operator is used, since those panic.

mod activation;
mod attention;
mod convolution;
mod experts;
mod gated_delta;
mod latent;
mod ledger;
mod linear;
mod norm;
mod packed_attention;
mod periods;
mod rope;
mod soft_cap;
mod sparse_gelu;
mod state_space;
mod xielu;

pub use activation::{Activation, gate_in_float32};
pub use attention::{
    Mask, attention, attention_with_sinks, capped_attention, causal_mask, chunk_mask, lowest,
};
pub use convolution::{CausalConvolution, Tail};
pub use experts::Experts;
pub use gated_delta::{GatedDelta, Reading};
pub use latent::{HeadwiseLinear, attention_with};
pub use ledger::{
    Format, Ledger, Matrices, RowsRead, note_attention, note_head, note_rows, recorded,
};
pub use linear::{Embedding, Linear};
pub use norm::{Norm, NormKind, unweighted_norm};
pub use packed_attention::{PackedRows, RowPacking, packed_attention};
pub use rope::{Pairs, Rope, RopeScaling, RotaryEmbedding};
pub use soft_cap::SoftCap;
pub use sparse_gelu::SparseGelu;
pub use state_space::{Precision, StateSpace, Step};
pub use xielu::XieLu;

pub use crate::ffi::MlxError;

use half::{bf16, f16};
use mlx_rs::{Array, Dtype};

/// What a layer answers.
pub type Result<T> = std::result::Result<T, MlxError>;

/// A constant in the element type of `like`, so that it never widens what it meets. Shape `[]`.
pub fn scalar(value: f32, like: &Array) -> Array {
    if like.dtype() == Dtype::Bfloat16 {
        Array::from_slice(&[bf16::from_f32(value)], &[])
    } else if like.dtype() == Dtype::Float16 {
        Array::from_slice(&[f16::from_f32(value)], &[])
    } else {
        Array::from_slice(&[value], &[])
    }
}

/// The parts of `x` along `axis` that end at each of `ends` and at its end, of which there have to be `N`.
///
/// # Errors
///
/// When there is another number of them, or MLX refuses.
pub fn parts<const N: usize>(x: &Array, ends: &[i32], axis: i32) -> Result<[Array; N]> {
    <[Array; N]>::try_from(x.split_at_indices(ends, axis)?)
        .map_err(|_| MlxError::new("a split has another number of parts"))
}

/// `value` in single precision, which is what MLX takes.
pub fn single(value: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "rounding is what is asked for")]
    let value = value as f32;
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_takes_the_type_of_what_it_meets() {
        let x = Array::from_slice(&[bf16::from_f32(2.0)], &[1]);
        let y = x.multiply(scalar(45.25, &x)).unwrap();
        assert_eq!(y.dtype(), Dtype::Bfloat16);
        assert_eq!(y.as_type::<f32>().unwrap().try_as_slice::<f32>().unwrap(), [90.5]);
    }
}
