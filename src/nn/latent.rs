//! What latent attention needs beside the usual layers: one matrix a head, and attention with scores added.
//!
//! Reference: `mlx_lm.models.mla`.

use mlx_rs::{
    Array,
    fast::{self, ScaledDotProductAttentionMask},
};

use super::{
    Result,
    ledger::{note_attention, note_product},
    linear::Weight,
};
use crate::{
    checkpoint::{LoadError, Scope},
    ffi::{self, Product},
};

/// One matrix `[outputs, inputs]` a head, dense or packed as the checkpoint has them: `[heads, outputs, inputs]`.
pub struct HeadwiseLinear(Weight);

impl HeadwiseLinear {
    /// Loads the matrices of `heads` heads.
    ///
    /// # Errors
    ///
    /// When they are missing or of another shape.
    pub fn load(
        scope: &Scope<'_>,
        heads: i32,
        outputs: i32,
        inputs: i32,
    ) -> std::result::Result<Self, LoadError> {
        Weight::load(scope, &[heads, outputs], inputs).map(Self)
    }

    /// `x Wᵀ`: takes `[batch, heads, n, inputs]` to `[batch, heads, n, outputs]`; one head may stand for all.
    ///
    /// # Errors
    ///
    /// When the shapes do not agree.
    pub fn forward(&self, x: &Array) -> Result<Array> {
        self.note(x, self.0.dim(-2));
        match &self.0 {
            Weight::Dense { transposed, .. } => Ok(x.matmul(transposed)?),
            Weight::Packed(packed) => packed.apply(x),
        }
    }

    /// `x W`: takes `[batch, heads, n, outputs]` to `[batch, heads, n, inputs]`; one head may stand for all.
    ///
    /// # Errors
    ///
    /// When the shapes do not agree.
    pub fn backward(&self, x: &Array) -> Result<Array> {
        self.note(x, self.0.inputs());
        match &self.0 {
            Weight::Dense { table, .. } => Ok(x.matmul(table)?),
            Weight::Packed(packed) => {
                let parts = (&packed.weight, &packed.scales, packed.biases.as_ref());
                let packing = packed.quantization.packing();
                Ok(ffi::quantized_matmul(x, parts, Product::Plain, packing)?)
            }
        }
    }

    /// Notes that every head meets rows of `x`, its own or the same, and makes rows `into` wide of them.
    fn note(&self, x: &Array, into: i32) {
        let (tokens, heads) = (x.dim(2).unsigned_abs(), self.0.dim(0).unsigned_abs());
        let rows = u64::from(tokens) * u64::from(heads);
        note_product((x.dim(-1), rows), into, || self.0.matrices(self.0.bytes()));
    }
}

/// `softmax(scale · q kᵀ + added) v`, shaped as for [`attention`](super::attention()) with `added` as
/// `[batch, heads, n, keys]`.
///
/// # Errors
///
/// When the shapes do not agree.
pub fn attention_with(q: &Array, k: &Array, v: &Array, scale: f32, added: &Array) -> Result<Array> {
    note_attention(q.dim(1), q.dim(3) + v.dim(3));
    let mask = Some(ScaledDotProductAttentionMask::Array(added));
    Ok(fast::scaled_dot_product_attention(q, k, v, scale, mask, None)?)
}
