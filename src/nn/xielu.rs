//! `xIELU`, an activation that learns its two slopes.
//!
//! Paper: Huang, "Deriving activation functions using integration" (2024). Reference: `mlx_lm.models.activations`,
//! compiled there as one function too.

use std::cell::RefCell;

use mlx_rs::{
    Array,
    error::Exception,
    ops::{expm1, logaddexp, minimum, select, square},
    transforms::compile::compile,
};

use super::{MlxError, Result, scalar};
use crate::checkpoint::{LoadError, Scope};

/// The activation with its parameters, each of shape `[]`.
pub struct XieLu {
    /// Slope of the positive side, before it is made positive.
    positive: Array,
    /// Slope of the negative side, before it is made positive.
    negative: Array,
    /// The linear part of both sides.
    beta: Array,
    /// What negative inputs are bounded by.
    bound: Array,
}

type Compiled = Box<dyn for<'a> FnMut(&'a [Array]) -> std::result::Result<Vec<Array>, Exception>>;

thread_local! {
    static XIELU: RefCell<Compiled> = RefCell::new(Box::new(compile(xielu, true)));
}

impl XieLu {
    /// Loads its four numbers.
    ///
    /// # Errors
    ///
    /// When one is missing or more than a number.
    pub fn load(scope: &Scope<'_>) -> std::result::Result<Self, LoadError> {
        let number = |name| {
            let number = scope.take_shaped(name, &[])?;
            scope.record(&number, 1);
            Ok::<_, LoadError>(number)
        };
        Ok(Self {
            positive: number("alpha_p")?,
            negative: number("alpha_n")?,
            beta: number("beta")?,
            bound: number("eps")?,
        })
    }

    /// Bends `x`, elementwise.
    ///
    /// # Errors
    ///
    /// When MLX refuses.
    pub fn forward(&self, x: &Array) -> Result<Array> {
        let inputs = [x, &self.positive, &self.negative, &self.beta, &self.bound].map(Array::clone);
        let bent = XIELU.with_borrow_mut(|xielu| xielu(&inputs))?;
        let mut bent = bent.into_iter();
        bent.next().ok_or_else(|| MlxError::new("a compiled function answers nothing"))
    }
}

/// `α₊ x² + β x` where `x` is positive, else `α₋ (eˣ - 1 - x) + β x`; the first of `inputs` is `x`.
fn xielu(inputs: &[Array]) -> std::result::Result<Vec<Array>, Exception> {
    let [x, positive, negative, beta, bound] = inputs else {
        return Err(Exception::custom("xIELU takes five arrays"));
    };
    let positive = logaddexp(positive, scalar(0.0, positive))?;
    let negative = beta.add(logaddexp(negative, scalar(0.0, negative))?)?;
    let above = positive.multiply(square(x)?)?.add(beta.multiply(x)?)?;
    let below =
        expm1(minimum(x, bound)?)?.subtract(x)?.multiply(negative)?.add(beta.multiply(x)?)?;
    Ok(vec![select(x.gt(scalar(0.0, x))?, above, below)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_agree_with_arithmetic() {
        // Zero before softplus is a slope of ln 2 = 0.693147; the negative one gains β = 0.5.
        let number = |value: f32| Array::from_slice(&[value], &[]);
        let xielu = XieLu {
            positive: number(0.0),
            negative: number(0.0),
            beta: number(0.5),
            bound: number(-1e-6),
        };
        let y = xielu.forward(&Array::from_slice(&[2f32, -1.0], &[2])).unwrap();
        let y = y.try_as_slice::<f32>().unwrap();
        // 4 · 0.693147 + 1, and 1.193147 (e⁻¹ - 1 + 1) - 0.5.
        assert!((y[0] - 3.772_588_7).abs() < 1e-5, "{y:?}");
        assert!((y[1] + 0.061_065_7).abs() < 1e-5, "{y:?}");
    }
}
