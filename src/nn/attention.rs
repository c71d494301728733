//! Scaled dot-product attention and its masks.

use half::{bf16, f16};
use mlx_rs::{
    Array, Dtype,
    fast::{self, ScaledDotProductAttentionMask},
    ops::{arange, select, softmax_axis, tanh},
};

use super::{Result, ledger::note_attention, scalar};

/// Which keys a query may see. The three forms take different kernels, whose results differ in the last bits.
#[derive(Clone, Debug)]
pub enum Mask {
    /// All of them: one query at the end of the sequence.
    All,
    /// Those up to its own position, aligned at the end.
    Causal,
    /// Those marked `true`: `[queries, keys]`.
    Allowed(Array),
}

/// `softmax(scale · q kᵀ) v` for `q` `[batch, heads, n, dim]`, `k` and `v` `[batch, kv_heads, keys, dim]`.
///
/// # Errors
///
/// When the shapes do not agree.
pub fn attention(q: &Array, k: &Array, v: &Array, scale: f32, mask: &Mask) -> Result<Array> {
    fused(q, k, v, scale, mask, None)
}

/// The same with one more score a head, `sinks` `[heads]`, that takes part in the softmax and has no value.
///
/// # Errors
///
/// When the shapes do not agree.
pub fn attention_with_sinks(
    q: &Array,
    k: &Array,
    v: &Array,
    scale: f32,
    sinks: &Array,
    mask: &Mask,
) -> Result<Array> {
    fused(q, k, v, scale, mask, Some(sinks))
}

fn fused(
    q: &Array,
    k: &Array,
    v: &Array,
    scale: f32,
    mask: &Mask,
    sinks: Option<&Array>,
) -> Result<Array> {
    note_attention(q.dim(1), q.dim(3) + v.dim(3));
    let mask = match mask {
        Mask::All => None,
        Mask::Causal => Some(ScaledDotProductAttentionMask::Causal),
        Mask::Allowed(allowed) => Some(ScaledDotProductAttentionMask::Array(allowed)),
    };
    Ok(fast::scaled_dot_product_attention(q, k, v, scale, mask, sinks)?)
}

/// The same with every score bent below `cap`, as `cap · tanh(score / cap)`, which no fused kernel does.
///
/// Reference: `mlx_lm.models.gemma2`. [`Mask::Causal`] is none of its forms: see [`Mask::spelled_out`].
///
/// # Errors
///
/// When the shapes do not agree.
pub fn capped_attention(
    q: &Array,
    k: &Array,
    v: &Array,
    scale: f32,
    cap: f32,
    mask: &Mask,
) -> Result<Array> {
    let (batch, heads, kv_heads) = (q.dim(0), q.dim(1), k.dim(1));
    let (n, dim) = (q.dim(2), q.dim(3));
    note_attention(heads, dim + v.dim(3));
    let q = q.multiply(scalar(scale, q))?;
    let (q, k, v) = if heads > kv_heads {
        let q = q.reshape(&[batch, kv_heads, heads / kv_heads, n, dim])?;
        (q, k.expand_dims(2)?, v.expand_dims(2)?)
    } else {
        (q, k.clone(), v.clone())
    };
    let scores = q.matmul(k.swap_axes(-1, -2)?)?;
    let limit = scalar(cap, &scores);
    let scores = tanh(scores.divide(&limit)?)?.multiply(limit)?;
    let scores = match mask.spelled_out(n, k.dim(-2))? {
        Mask::Allowed(allowed) => select(allowed, &scores, lowest(&scores))?,
        Mask::All | Mask::Causal => scores,
    };
    let mixed = softmax_axis(scores, -1, true)?.matmul(v)?;
    Ok(mixed.reshape(&[batch, heads, n, -1])?)
}

/// The lowest finite number of the element type of `like`, which no softmax lets through. Shape `[]`.
pub fn lowest(like: &Array) -> Array {
    if like.dtype() == Dtype::Bfloat16 {
        Array::from_slice(&[bf16::MIN], &[])
    } else if like.dtype() == Dtype::Float16 {
        Array::from_slice(&[f16::MIN], &[])
    } else {
        Array::from_slice(&[f32::MIN], &[])
    }
}

impl Mask {
    /// This mask with [`Self::Causal`] written out, for `n` queries at the end of `keys` keys.
    ///
    /// # Errors
    ///
    /// When MLX refuses.
    pub fn spelled_out(&self, n: i32, keys: i32) -> Result<Self> {
        match self {
            Self::Causal => {
                let (queries, keys) = positions(n, keys - n)?;
                Ok(Self::Allowed(queries.ge(&keys)?))
            }
            Self::All | Self::Allowed(_) => Ok(self.clone()),
        }
    }
}

/// The mask `[n, offset + n]` of a causal window: query `i` sees key `j` if `i - window < j <= i`.
///
/// # Errors
///
/// When MLX refuses.
pub fn causal_mask(n: i32, offset: i32, window: i32) -> Result<Array> {
    let (queries, keys) = positions(n, offset)?;
    let past = queries.ge(&keys)?;
    let near = queries.lt(keys.add(Array::from_int(window))?)?;
    Ok(past.logical_and(near)?)
}

/// The mask `[n, offset + n - oldest]` of chunks: query `i` sees key `oldest <= j <= i` of its own chunk.
///
/// # Errors
///
/// When MLX refuses.
pub fn chunk_mask(n: i32, offset: i32, oldest: i32, chunk: i32) -> Result<Array> {
    let queries = arange::<i32, i32>(offset, offset + n, 1)?.expand_dims(1)?;
    let keys = arange::<i32, i32>(oldest, offset + n, 1)?.expand_dims(0)?;
    let of = |positions: &Array| positions.floor_divide(Array::from_int(chunk));
    let past = queries.ge(&keys)?;
    Ok(of(&queries)?.eq(of(&keys)?)?.logical_and(past)?)
}

/// Positions of `n` queries after `offset` tokens, `[n, 1]`, and of all keys, `[1, offset + n]`.
fn positions(n: i32, offset: i32) -> Result<(Array, Array)> {
    Ok((
        arange::<i32, i32>(offset, offset + n, 1)?.expand_dims(1)?,
        arange::<i32, i32>(0, offset + n, 1)?.expand_dims(0)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_counts_the_query_itself() {
        let mask = causal_mask(3, 1, 2).unwrap();
        assert_eq!(mask.shape(), [3, 4]);
        let (t, f) = (true, false);
        assert_eq!(mask.try_as_slice::<bool>().unwrap(), [t, t, f, f, f, t, t, f, f, f, t, t]);
    }

    #[test]
    fn causal_masks_are_aligned_at_the_end() {
        let Mask::Allowed(mask) = Mask::Causal.spelled_out(2, 3).unwrap() else {
            panic!("it was not spelled out");
        };
        let (t, f) = (true, false);
        assert_eq!(mask.try_as_slice::<bool>().unwrap(), [t, t, f, t, t, t]);
    }

    #[test]
    fn scores_are_bent_below_the_cap() {
        let one = Array::from_slice(&[1f32], &[1, 1, 1, 1]);
        let keys = Array::from_slice(&[0f32, 100.0], &[1, 1, 2, 1]);
        let values = Array::from_slice(&[0f32, 1.0], &[1, 1, 2, 1]);
        let mixed = capped_attention(&one, &keys, &values, 1.0, 2.0, &Mask::All).unwrap();
        // Scores 0 and 2 tanh(50) = 2: the second weighs e² / (1 + e²).
        let mixed: f32 = mixed.reshape(&[]).unwrap().try_item_exact().unwrap();
        assert!((mixed - 0.880_797).abs() < 1e-5);
    }
}
