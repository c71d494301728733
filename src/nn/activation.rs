//! Activations and gates, each compiled once a thread.
//!
//! Reference: `mlx_lm.models.activations` and `mlx.nn.layers.activations`. Compilation boundaries are
//! theirs, since fused and unfused arithmetic differ in the last bits.

use std::cell::RefCell;

use mlx_rs::{
    Array, Dtype,
    error::Exception,
    ops::{erf, maximum, minimum, sigmoid, tanh},
    transforms::compile::compile,
};

use super::{Result, scalar, single};

/// The bend of a feed-forward block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x · σ(x)`.
    Silu,
    /// `½ x (1 + erf(x / √2))`.
    Gelu,
    /// `½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))`, the usual approximation of GELU.
    GeluTanh,
    /// The same, compiled as one with the product that follows (Gemma 4).
    GegluTanh,
    /// `max(x, 0)²`.
    ReluSquared,
    /// `x · σ(1.702 x)` of `x` clipped above 7; what it gates is clipped to ±7 and has one added (gpt-oss).
    ClippedSilu,
}

pub(super) type Unary = Box<dyn for<'a> FnMut(&'a Array) -> std::result::Result<Array, Exception>>;
pub(super) type Binary =
    Box<dyn for<'a> FnMut((&'a Array, &'a Array)) -> std::result::Result<Array, Exception>>;

thread_local! {
    static SWIGLU: RefCell<Binary> = RefCell::new(Box::new(compile(swiglu, true)));
    static GEGLU_TANH: RefCell<Binary> = RefCell::new(Box::new(compile(geglu_tanh, true)));
    static SWIGLU_FLOAT32: RefCell<Binary> = RefCell::new(Box::new(compile(swiglu_float32, true)));
    static CLIPPED_SWIGLU: RefCell<Binary> = RefCell::new(Box::new(compile(clipped_swiglu, true)));
    static SILU: RefCell<Unary> = RefCell::new(Box::new(compile(silu, true)));
    static GELU: RefCell<Unary> = RefCell::new(Box::new(compile(gelu, true)));
    static GELU_TANH: RefCell<Unary> = RefCell::new(Box::new(compile(gelu_tanh, true)));
    static RELU_SQUARED: RefCell<Unary> = RefCell::new(Box::new(compile(relu_squared, true)));
}

impl Activation {
    /// `activation(gate) · up`, elementwise; both `[batch, n, width]`.
    ///
    /// # Errors
    ///
    /// When the shapes do not agree.
    pub fn gate(self, gate: &Array, up: &Array) -> Result<Array> {
        match self {
            Self::Silu => Ok(SWIGLU.with_borrow_mut(|swiglu| swiglu((gate, up)))?),
            Self::GegluTanh => Ok(GEGLU_TANH.with_borrow_mut(|geglu| geglu((gate, up)))?),
            Self::ClippedSilu => Ok(CLIPPED_SWIGLU.with_borrow_mut(|swiglu| swiglu((gate, up)))?),
            Self::Gelu | Self::GeluTanh | Self::ReluSquared => {
                Ok(self.forward(gate)?.multiply(up)?)
            }
        }
    }

    /// `activation(x)`, elementwise.
    ///
    /// # Errors
    ///
    /// When MLX refuses.
    pub fn forward(self, x: &Array) -> Result<Array> {
        let compiled = match self {
            Self::Silu => &SILU,
            Self::Gelu => &GELU,
            Self::GeluTanh | Self::GegluTanh => &GELU_TANH,
            Self::ReluSquared => &RELU_SQUARED,
            // One is added to what it gates.
            Self::ClippedSilu => return self.gate(x, &scalar(0.0, x)),
        };
        Ok(compiled.with_borrow_mut(|activation| activation(x))?)
    }
}

/// `silu(gate) · x`, computed in float32 and answered in the element type of `x`.
///
/// # Errors
///
/// When the shapes do not agree.
pub fn gate_in_float32(gate: &Array, x: &Array) -> Result<Array> {
    Ok(SWIGLU_FLOAT32.with_borrow_mut(|swiglu| swiglu((gate, x)))?)
}

fn swiglu_float32((gate, x): (&Array, &Array)) -> std::result::Result<Array, Exception> {
    silu(&gate.as_dtype(Dtype::Float32)?)?
        .multiply(x.as_dtype(Dtype::Float32)?)?
        .as_dtype(x.dtype())
}

fn silu(x: &Array) -> std::result::Result<Array, Exception> {
    x.multiply(sigmoid(x)?)
}

fn gelu(x: &Array) -> std::result::Result<Array, Exception> {
    let share = scalar(1.0, x).add(erf(x.divide(scalar(std::f32::consts::SQRT_2, x))?)?)?;
    x.multiply(share)?.divide(scalar(2.0, x))
}

fn relu_squared(x: &Array) -> std::result::Result<Array, Exception> {
    maximum(x, scalar(0.0, x))?.square()
}

fn swiglu((gate, up): (&Array, &Array)) -> std::result::Result<Array, Exception> {
    gate.multiply(sigmoid(gate)?)?.multiply(up)
}

fn clipped_swiglu((gate, up): (&Array, &Array)) -> std::result::Result<Array, Exception> {
    let gate = minimum(gate, scalar(7.0, gate))?;
    let up = minimum(maximum(up, scalar(-7.0, up))?, scalar(7.0, up))?;
    let share = sigmoid(scalar(1.702, &gate).multiply(&gate)?)?;
    up.add(scalar(1.0, &up))?.multiply(gate.multiply(share)?)
}

pub(super) fn gelu_tanh(x: &Array) -> std::result::Result<Array, Exception> {
    let cubed = x.power(scalar(3.0, x))?;
    let inner = x.add(scalar(0.044_715, x).multiply(cubed)?)?;
    let bent = tanh(scalar(single((2.0 / std::f64::consts::PI).sqrt()), x).multiply(inner)?)?;
    scalar(0.5, x).multiply(x)?.multiply(scalar(1.0, x).add(bent)?)
}

fn geglu_tanh((gate, up): (&Array, &Array)) -> std::result::Result<Array, Exception> {
    gelu_tanh(gate)?.multiply(up)
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
        // σ(1) = 0.731058579; GELU(1) = 0.841344746, and approximately 0.841191991.
        assert!((gated(Activation::Silu, 1.0) - 0.731_058_6).abs() < 1e-6);
        assert!((gated(Activation::Silu, -2.0) + 0.238_405_84).abs() < 1e-6);
        assert!((gated(Activation::Gelu, 1.0) - 0.841_344_7).abs() < 1e-6);
        assert!((gated(Activation::GeluTanh, 1.0) - 0.841_192).abs() < 1e-6);
        assert!((gated(Activation::ReluSquared, 1.5) - 2.25).abs() < 1e-6);
        assert!(gated(Activation::ReluSquared, -1.5).abs() < 1e-6);
    }

    #[test]
    fn a_gate_is_its_activation_times_one() {
        let x = Array::from_slice(&[-2f32], &[1]);
        let alone: f32 = Activation::Silu.forward(&x).unwrap().try_item_exact().unwrap();
        // -2 σ(-2).
        assert!((alone + 0.238_405_84).abs() < 1e-6);
    }

    #[test]
    fn a_clipped_gate_is_flat_beyond_seven() {
        // 7 σ(11.914) = 6.99995329; what is gated is 1 + 1, or 7 + 1.
        assert!((gated(Activation::ClippedSilu, 9.0) - 13.999_907).abs() < 1e-5);
        let (gate, up) = ([7f32], [20f32]);
        let array = |values: &[f32]| Array::from_slice(values, &[1]);
        let y = Activation::ClippedSilu.gate(&array(&gate), &array(&up)).unwrap();
        assert!((y.try_item_exact::<f32>().unwrap() - 55.999_626).abs() < 1e-4);
    }
}
