//! Scaled dot-product attention and its masks.

use mlx_rs::{
    Array,
    fast::{self, ScaledDotProductAttentionMask},
    ops::arange,
};

use super::Result;

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
    let mask = match mask {
        Mask::All => None,
        Mask::Causal => Some(ScaledDotProductAttentionMask::Causal),
        Mask::Allowed(allowed) => Some(ScaledDotProductAttentionMask::Array(allowed)),
    };
    Ok(fast::scaled_dot_product_attention(
        q, k, v, scale, mask, None,
    )?)
}

/// The mask `[n, offset + n]` of a causal window: query `i` sees key `j` if `i - window < j <= i`.
///
/// # Errors
///
/// When MLX refuses.
pub fn causal_mask(n: i32, offset: i32, window: i32) -> Result<Array> {
    let keys = arange::<i32, i32>(0, offset + n, 1)?.expand_dims(0)?;
    let queries = arange::<i32, i32>(offset, offset + n, 1)?.expand_dims(1)?;
    let past = queries.ge(&keys)?;
    let near = queries.lt(keys.add(Array::from_int(window))?)?;
    Ok(past.logical_and(near)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_counts_the_query_itself() {
        let mask = causal_mask(3, 1, 2).unwrap();
        assert_eq!(mask.shape(), [3, 4]);
        let (t, f) = (true, false);
        assert_eq!(
            mask.try_as_slice::<bool>().unwrap(),
            [t, t, f, f, f, t, t, f, f, f, t, t]
        );
    }
}
