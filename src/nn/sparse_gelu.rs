//! GELU of what stands out, for feed-forward blocks that keep few of their units (Gemma 3n).
//!
//! Reference: `gelu_topk` of `mlx_lm.models.gemma3n`, compilation boundary included.

use std::cell::RefCell;

use mlx_rs::{
    Array,
    error::Exception,
    ops::{erfinv, maximum, std_axis},
    transforms::compile::compile,
};

use super::{
    Result,
    activation::{Binary, gelu_tanh},
    scalar, single,
};

thread_local! {
    static SPARSE: RefCell<Binary> = RefCell::new(Box::new(compile(sparse_gelu, true)));
}

/// GELU of what exceeds the mean of its row by so many standard deviations that only a fraction of a normal
/// distribution does; the rest is zero.
pub struct SparseGelu {
    /// Standard deviations above the mean, float32. Shape `[]`.
    deviations: Array,
}

impl SparseGelu {
    /// Lets all but the fraction `dropped` of a normal distribution through.
    ///
    /// # Errors
    ///
    /// When MLX refuses.
    pub fn new(dropped: f64) -> Result<Self> {
        let quantile = erfinv(Array::from_slice(&[single(2.0 * dropped - 1.0)], &[]))?;
        let root = Array::from_slice(&[std::f32::consts::SQRT_2], &[]);
        Ok(Self { deviations: root.multiply(quantile)? })
    }

    /// `gelu(max(0, gate - cutoff)) · up`, elementwise; both `[batch, n, width]`.
    ///
    /// # Errors
    ///
    /// When the shapes do not agree.
    pub fn gate(&self, gate: &Array, up: &Array) -> Result<Array> {
        let sparse = SPARSE.with_borrow_mut(|sparse| sparse((gate, &self.deviations)))?;
        Ok(sparse.multiply(up)?)
    }
}

fn sparse_gelu((x, deviations): (&Array, &Array)) -> std::result::Result<Array, Exception> {
    let mean = x.mean_axis(-1, true)?;
    let spread = std_axis(x, -1, true, None)?;
    let cutoff = mean.add(spread.multiply(deviations.as_dtype(spread.dtype())?)?)?;
    gelu_tanh(&maximum(scalar(0.0, x), x.subtract(cutoff)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_out_is_let_through() {
        // Mean 1, standard deviation √3; 0.8413447 of a normal distribution lies below one deviation, so the
        // cutoff is 2.7320508 and gelu_tanh(4 - 2.7320508) = 1.1378746.
        let gate = Array::from_slice(&[0f32, 0.0, 0.0, 4.0], &[1, 4]);
        let up = Array::from_slice(&[1f32, 1.0, 1.0, 2.0], &[1, 4]);
        let y = SparseGelu::new(0.841_344_7).unwrap().gate(&gate, &up);
        let y = y.unwrap();
        let y = y.try_as_slice::<f32>().unwrap();
        assert_eq!(y[..3], [0.0, 0.0, 0.0]);
        assert!((y[3] - 2.275_749).abs() < 1e-3, "{}", y[3]);
    }
}
