//! Arrays that a recurrent layer replaces at every step, whatever the length of the sequence.
//!
//! Reference: `mlx_lm.models.cache.ArraysCache`.

use mlx_rs::Array;

/// What a recurrent layer remembers.
#[derive(Default)]
pub(in crate::models) struct State {
    /// The last inputs of its convolution, `[batch, kernel - 1, channels]`.
    pub(in crate::models) window: Option<Array>,
    /// The sum of all that it read, in the form of the layer.
    pub(in crate::models) memory: Option<Array>,
}

impl State {
    pub(super) fn arrays(&self) -> impl Iterator<Item = &Array> {
        self.window.iter().chain(&self.memory)
    }
}
