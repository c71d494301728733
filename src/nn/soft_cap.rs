//! A soft limit on scores, compiled once a model.

use std::cell::RefCell;

use mlx_rs::{Array, error::Exception, ops::tanh, transforms::compile::compile};

use super::{Result, activation::Unary, scalar};

/// `cap · tanh(x / cap)`, which keeps scores within `±cap`, compiled as the reference compiles it.
pub struct SoftCap(RefCell<Unary>);

impl SoftCap {
    /// A limit of `cap`.
    pub fn new(cap: f32) -> Self {
        let capped = move |x: &Array| -> std::result::Result<Array, Exception> {
            tanh(x.divide(scalar(cap, x))?)?.multiply(scalar(cap, x))
        };
        Self(RefCell::new(Box::new(compile(capped, true))))
    }

    /// Limits each element of `x`.
    ///
    /// # Errors
    ///
    /// When MLX refuses.
    pub fn forward(&self, x: &Array) -> Result<Array> {
        Ok(self.0.borrow_mut()(x)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_stay_below_the_cap() {
        let x = Array::from_slice(&[1f32, 300.0], &[2]);
        let y = SoftCap::new(30.0).forward(&x).unwrap();
        // 30 · tanh(1/30) = 0.99962977; tanh(10) is 1 in single precision.
        let y = y.try_as_slice::<f32>().unwrap();
        assert!((y[0] - 0.999_63).abs() < 1e-5 && (y[1] - 30.0).abs() < 1e-4);
    }
}
