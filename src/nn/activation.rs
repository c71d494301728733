//! Gates of feed-forward blocks, each compiled once a thread.
//!
//! Reference: `mlx_lm.models.activations` and `mlx.nn.layers.activations`. Compilation boundaries are
//! theirs, since fused and unfused arithmetic differ in the last bits.

use std::cell::RefCell;

use mlx_rs::{
    Array,
    error::Exception,
    ops::{sigmoid, tanh},
    transforms::compile::compile,
};

use super::{Result, scalar};

/// The gate of a feed-forward block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x · σ(x)`.
    Silu,
    /// `½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))`, the usual approximation of GELU.
    GeluTanh,
}

type Unary = Box<dyn for<'a> FnMut(&'a Array) -> std::result::Result<Array, Exception>>;
type Binary =
    Box<dyn for<'a> FnMut((&'a Array, &'a Array)) -> std::result::Result<Array, Exception>>;

thread_local! {
    static SWIGLU: RefCell<Binary> = RefCell::new(Box::new(compile(swiglu, true)));
    static GELU_TANH: RefCell<Unary> = RefCell::new(Box::new(compile(gelu_tanh, true)));
}

impl Activation {
    /// `activation(gate) · up`, elementwise; both `[batch, n, width]`.
    ///
    /// # Errors
    ///
    /// When the shapes do not agree.
    pub fn gate(self, gate: &Array, up: &Array) -> Result<Array> {
        Ok(match self {
            Self::Silu => SWIGLU.with_borrow_mut(|swiglu| swiglu((gate, up)))?,
            Self::GeluTanh => GELU_TANH.with_borrow_mut(|gelu| gelu(gate))?.multiply(up)?,
        })
    }
}

fn swiglu((gate, up): (&Array, &Array)) -> std::result::Result<Array, Exception> {
    gate.multiply(sigmoid(gate)?)?.multiply(up)
}

fn gelu_tanh(x: &Array) -> std::result::Result<Array, Exception> {
    let cubed = x.power(scalar(3.0, x))?;
    let inner = x.add(scalar(0.044_715, x).multiply(cubed)?)?;
    let bent = tanh(scalar((2.0 / std::f32::consts::PI).sqrt(), x).multiply(inner)?)?;
    scalar(0.5, x)
        .multiply(x)?
        .multiply(scalar(1.0, x).add(bent)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gated(activation: Activation, x: f32) -> f32 {
        let x = Array::from_slice(&[x], &[1]);
        let one = Array::from_slice(&[1f32], &[1]);
        activation.gate(&x, &one).unwrap().try_item_exact().unwrap()
    }

    #[test]
    fn gates_agree_with_tables() {
        // σ(1) = 0.731058579; gelu_tanh(1) = 0.841191991 (the exact GELU is 0.841344746).
        assert!((gated(Activation::Silu, 1.0) - 0.731_058_6).abs() < 1e-6);
        assert!((gated(Activation::GeluTanh, 1.0) - 0.841_192).abs() < 1e-6);
        assert!((gated(Activation::Silu, -2.0) + 0.238_405_84).abs() < 1e-6);
    }
}
