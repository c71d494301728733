//! Depthwise convolution along time, which remembers the last inputs.

use mlx_rs::{
    Array,
    ops::{concatenate, conv1d, indexing::TryIndexOp, zeros_dtype},
};

use super::Result;
use crate::checkpoint::{LoadError, Scope};

/// A convolution of every channel by itself, in which no position sees a later one.
pub struct CausalConvolution {
    /// `[channels, kernel, 1]`.
    weight: Array,
    bias: Option<Array>,
    tail: Tail,
}

/// How the inputs that are remembered are kept until the next step; the numbers are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// As a view, so that the whole chunk stays in memory.
    View,
    /// As a copy.
    Copy,
}

impl CausalConvolution {
    /// Loads the weight (`[channels, kernel, 1]`), and a bias where the checkpoint has one.
    ///
    /// # Errors
    ///
    /// When the weight is missing, or a tensor is of another shape.
    pub fn load(
        scope: &Scope<'_>,
        channels: i32,
        kernel: i32,
        tail: Tail,
    ) -> std::result::Result<Self, LoadError> {
        let weight = scope.take_shaped("weight", &[channels, kernel, 1])?;
        let bias = scope.take_shaped_if_present("bias", &[channels])?;
        for array in bias.iter().chain([&weight]) {
            scope.record(array, array.size());
        }
        Ok(Self { weight, bias, tail })
    }

    /// Convolves `x` (`[batch, n, channels]`) with what stands in `window`, zeros at first, and leaves the last
    /// `kernel - 1` inputs there.
    ///
    /// # Errors
    ///
    /// When the shapes do not agree.
    pub fn forward(&self, x: &Array, window: &mut Option<Array>) -> Result<Array> {
        let (channels, kept) = (self.weight.dim(0), self.weight.dim(1) - 1);
        let before = match window.take() {
            Some(before) => before,
            None => zeros_dtype(&[x.dim(0), kept, channels], x.dtype())?,
        };
        let inputs = concatenate(&[&before, x], 1)?;
        let last = inputs.try_index((.., inputs.dim(1) - kept.., ..))?;
        *window = Some(match self.tail {
            Tail::View => last,
            Tail::Copy => last.contiguous()?,
        });
        let y = conv1d(&inputs, &self.weight, 1, 0, 1, channels)?;
        Ok(match &self.bias {
            Some(bias) => y.add(bias)?,
            None => y,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_continues_where_the_last_ended() {
        let convolution = CausalConvolution {
            weight: Array::from_slice(&[1f32, 10.0, 100.0], &[1, 3, 1]),
            bias: Some(Array::from_slice(&[0.5f32], &[1])),
            tail: Tail::Copy,
        };
        let mut window = None;
        let mut read = |values: &[f32]| {
            let x = Array::from_slice(values, &[1, i32::try_from(values.len()).unwrap(), 1]);
            let y = convolution.forward(&x, &mut window).unwrap();
            y.contiguous().unwrap().try_as_slice::<f32>().unwrap().to_vec()
        };
        // 100 × now + 10 × before + 1 × before that + ½.
        assert_eq!(read(&[1.0, 2.0]), [100.5, 210.5]);
        assert_eq!(read(&[3.0]), [321.5]);
        assert_eq!(read(&[4.0, 5.0, 6.0]), [432.5, 543.5, 654.5]);
    }
}
