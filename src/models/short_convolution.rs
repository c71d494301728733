//! A short convolution between two gates: `out(c · convolution(b · x))`.

use mlx_rs::Array;

use super::cache::State;
use crate::{
    checkpoint::{LoadError, Scope},
    nn::{self, CausalConvolution, Linear, Tail, parts},
};

pub(super) struct ShortConvolution {
    input: Linear,
    convolution: CausalConvolution,
    output: Linear,
}

impl ShortConvolution {
    /// Takes every tensor below `scope`; the convolution sees `kernel` positions.
    pub(super) fn load(scope: &Scope<'_>, width: i32, kernel: i32) -> Result<Self, LoadError> {
        Ok(Self {
            input: Linear::load(&scope.at("in_proj"), 3 * width, width)?,
            convolution: CausalConvolution::load(&scope.at("conv"), width, kernel, Tail::View)?,
            output: Linear::load(&scope.at("out_proj"), width, width)?,
        })
    }

    /// Mixes `x` (`[batch, n, width]`) with what `state` holds and leaves the last inputs there.
    pub(super) fn forward(&self, x: &Array, state: &mut State) -> nn::Result<Array> {
        let width = x.dim(-1);
        let [b, c, x] = parts(&self.input.forward(x)?, &[width, 2 * width], -1)?;
        let mixed = self.convolution.forward(&b.multiply(x)?, &mut state.window)?;
        self.output.forward(&c.multiply(mixed)?)
    }
}
