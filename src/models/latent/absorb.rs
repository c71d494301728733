//! Splits the projection that keys and values grow by into the matrices that absorbed attention keeps.
//!
//! Reference: `sanitize` of `mlx_lm.models.deepseek_v3`. A packed projection is unpacked, split, and packed again with
//! the bits and groups it had.

use mlx_rs::Array;

use super::Latent;
use crate::{
    checkpoint::{Checkpoint, LoadError},
    ffi::{self, MlxError, Packing},
};

/// Splits `kv_b_proj` of the attention at `path`, where the checkpoint still has it, into `embed_q` and
/// `unembed_out`.
///
/// # Errors
///
/// When it has another shape than `latent` says.
pub(in crate::models) fn absorb(
    checkpoint: &Checkpoint<'_>,
    path: &str,
    latent: &Latent,
) -> Result<(), LoadError> {
    let name = format!("{path}.kv_b_proj.weight");
    let Some(weight) = checkpoint.take(&name) else {
        return Ok(());
    };
    let part = |part: &str| checkpoint.take(&format!("{path}.kv_b_proj.{part}"));
    let packed = match (part("scales"), part("biases")) {
        (Some(scales), Some(biases)) => Some((scales, biases)),
        _ => None,
    };
    let (dense, packing) = match packed {
        None => (weight, None),
        Some((scales, biases)) => {
            let packing = Packing {
                group_size: latent.rank / scales.dim(-1),
                bits: weight.dim(-1) * 32 / latent.rank,
                mode: "affine",
            };
            let dense = ffi::dequantize(&weight, &scales, Some(&biases), packing);
            (dense.map_err(MlxError::from)?, Some(packing))
        }
    };
    let expected = [
        latent.heads * (latent.plain_dim + latent.value_dim),
        latent.rank,
    ];
    if dense.shape() != expected {
        return Err(LoadError::Shape {
            name,
            expected: expected.to_vec(),
            found: dense.shape().to_vec(),
        });
    }
    let (keys, values) = by_head(&dense, latent)?;
    insert(checkpoint, &format!("{path}.embed_q"), keys, packing)?;
    insert(checkpoint, &format!("{path}.unembed_out"), values, packing)
}

/// The matrices of each head: for keys `[heads, rank, plain_dim]`, for values `[heads, value_dim, rank]`.
fn by_head(dense: &Array, latent: &Latent) -> Result<(Array, Array), MlxError> {
    let heads = dense.reshape(&[latent.heads, -1, latent.rank])?;
    let parts: [Array; 2] = heads
        .split_at_indices(&[latent.plain_dim], 1)?
        .try_into()
        .map_err(|_| MlxError::new("a split at one place has two parts"))?;
    let [keys, values] = parts;
    Ok((keys.swap_axes(-1, -2)?.contiguous()?, values.contiguous()?))
}

fn insert(
    checkpoint: &Checkpoint<'_>,
    path: &str,
    dense: Array,
    packing: Option<Packing<'_>>,
) -> Result<(), LoadError> {
    let Some(packing) = packing else {
        checkpoint.insert(format!("{path}.weight"), dense);
        return Ok(());
    };
    let (weight, scales, biases) = ffi::quantize(&dense, packing).map_err(MlxError::from)?;
    checkpoint.insert(format!("{path}.weight"), weight);
    checkpoint.insert(format!("{path}.scales"), scales);
    if let Some(biases) = biases {
        checkpoint.insert(format!("{path}.biases"), biases);
    }
    Ok(())
}
