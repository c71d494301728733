//! Inference-only layers, each built from a [`Scope`](crate::checkpoint::Scope) of a checkpoint.
//!
//! Every layer keeps the element type of what it is given: constants go through [`scalar`], and no
//! `Array` operator is used, since those panic.

mod activation;
mod attention;
mod linear;
mod norm;
mod rope;

pub use activation::Activation;
pub use attention::{Mask, attention, causal_mask};
pub use linear::{Embedding, Linear};
pub use norm::{Norm, NormKind};
pub use rope::{Pairs, Rope, RopeScaling, RotaryEmbedding};

use half::{bf16, f16};
use mlx_rs::{Array, Dtype, error::Exception};
use thiserror::Error;

/// MLX refused an operation.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("MLX: {0}")]
pub struct MlxError(String);

impl MlxError {
    /// An error of our own about shapes or types, worded as MLX would.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl From<Exception> for MlxError {
    fn from(exception: Exception) -> Self {
        // The text ends in the source location of the wrapper that caught it, which helps nobody.
        let text = exception.what();
        Self(text.split(" at /").next().unwrap_or(text).to_owned())
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_takes_the_type_of_what_it_meets() {
        let x = Array::from_slice(&[bf16::from_f32(2.0)], &[1]);
        let y = x.multiply(scalar(45.25, &x)).unwrap();
        assert_eq!(y.dtype(), Dtype::Bfloat16);
        assert_eq!(
            y.as_type::<f32>().unwrap().try_as_slice::<f32>().unwrap(),
            [90.5]
        );
    }

    #[test]
    fn an_error_of_mlx_loses_the_place_in_the_wrapper() {
        let x = Array::from_slice(&[1f32, 2.0], &[1, 2]);
        let error = MlxError::from(x.matmul(&x).unwrap_err());
        assert!(error.to_string().contains("(1,2)"), "{error}");
        assert!(!error.to_string().contains(" at /"), "{error}");
    }
}
