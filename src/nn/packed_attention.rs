//! Attention over packed keys and values, which are never made dense.
//!
//! Reference: `quantized_scaled_dot_product_attention` of `mlx_lm.models.base`.

use mlx_rs::{
    Array,
    ops::{quantize, quantized_matmul, select, softmax_axis},
};

use super::{Mask, Result, attention::lowest, ledger::note_attention, scalar};
use crate::plan::KvPacking;

/// How keys and values are packed: as affine weights are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowPacking {
    /// Elements that share one scale.
    pub group_size: i32,
    /// Bits an element takes.
    pub bits: i32,
}

impl From<KvPacking> for RowPacking {
    fn from(KvPacking { bits, group_size, .. }: KvPacking) -> Self {
        let number = |count| i32::try_from(count).unwrap_or(0);
        Self { group_size: number(group_size), bits: number(bits) }
    }
}

/// Packed rows, `[batch, kv_heads, rows, dim]` if they were dense.
#[derive(Clone, Debug)]
pub struct PackedRows {
    /// Words, scales and biases, each with `rows` on the third axis.
    pub parts: [Array; 3],
}

impl PackedRows {
    /// Packs dense rows.
    ///
    /// # Errors
    ///
    /// When a row is no multiple of the group.
    pub fn pack(rows: &Array, packing: RowPacking) -> Result<Self> {
        let (words, scales, biases) = quantize(rows, packing.group_size, packing.bits)?;
        Ok(Self { parts: [words, scales, biases] })
    }

    /// The same parts, each changed by `change`.
    ///
    /// # Errors
    ///
    /// When `change` fails.
    pub fn map(&self, change: impl Fn(&Array) -> Result<Array>) -> Result<Self> {
        let [words, scales, biases] = &self.parts;
        Ok(Self { parts: [change(words)?, change(scales)?, change(biases)?] })
    }

    /// `x` times these rows, or their transpose.
    fn multiply(&self, x: &Array, side: Side, packing: RowPacking) -> Result<Array> {
        let [words, scales, biases] = &self.parts;
        Ok(quantized_matmul(
            x,
            words,
            scales,
            biases,
            side == Side::Transposed,
            packing.group_size,
            packing.bits,
        )?)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    AsStored,
    Transposed,
}

/// `softmax(scale · q kᵀ) v` for `q` `[batch, heads, n, dim]`, step by step.
///
/// # Errors
///
/// When the shapes do not agree.
pub fn packed_attention(
    q: &Array,
    (keys, values): (&PackedRows, &PackedRows),
    packing: RowPacking,
    scale: f32,
    mask: &Mask,
) -> Result<Array> {
    let [words, ..] = &keys.parts;
    let (batch, heads, n, dim) = (q.dim(0), q.dim(1), q.dim(2), q.dim(3));
    let (kv_heads, rows) = (words.dim(1), words.dim(2));
    // Packed values have as many numbers as keys wherever both are packed.
    note_attention(heads, 2 * dim);
    let q = q.multiply(scalar(scale, q))?;
    let (q, keys, values) = if heads > kv_heads {
        let in_front = |part: &Array| Ok(part.expand_dims(-3)?);
        (
            q.reshape(&[batch, kv_heads, heads / kv_heads, n, dim])?,
            keys.map(in_front)?,
            values.map(in_front)?,
        )
    } else {
        (q, keys.clone(), values.clone())
    };
    let scores = keys.multiply(&q, Side::Transposed, packing)?;
    let scores = match mask.spelled_out(n, rows)? {
        Mask::Allowed(allowed) => select(allowed, &scores, lowest(&scores))?,
        Mask::All | Mask::Causal => scores,
    };
    let weights = softmax_axis(scores, -1, true)?;
    let mixed = values.multiply(&weights, Side::AsStored, packing)?;
    Ok(mixed.reshape(&[batch, heads, n, -1])?)
}
