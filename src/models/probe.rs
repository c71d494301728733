//! What a model leaves in its cache, asked without computing anything.

use mlx_rs::Array;
use thiserror::Error;

use super::{Cache, Model};
use crate::nn::{MlxError, RowPacking};

/// Why the keys and values of a model cannot be packed.
#[derive(Debug, Error)]
pub enum Unpackable {
    /// They turn in a ring.
    #[error(
        "layers that see a window of {0} tokens keep keys and values in a ring, which is not packed"
    )]
    Ring(i32),
    /// Its attention is not the plain one.
    #[error("attention that is capped or has sinks cannot read packed keys and values")]
    Attention,
    /// They are grown from short vectors.
    #[error(
        "latent attention keeps short vectors in place of keys and values, which are not packed"
    )]
    Latent,
    /// No layer keeps any that are packed.
    #[error("no layer keeps keys and values that can be packed")]
    Nothing,
    /// MLX refused, most likely rows that are no multiple of the group.
    #[error("keys and values cannot be packed")]
    Mlx(#[from] MlxError),
}

impl Unpackable {
    /// What can be done about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Ring(_) | Self::Attention | Self::Latent | Self::Nothing => {
                "run this model without `kv_bits`"
            }
            Self::Mlx(_) => "take another `kv_group_size`: 32, 64 or 128",
        }
    }
}

/// The cache after one token, and where `packing` is asked for, after it was packed and a second token was read.
///
/// Nothing is evaluated: of its arrays only shapes and types are known.
///
/// # Errors
///
/// When the keys and values of the model cannot be packed, or there are none that could.
pub fn first_steps(model: &dyn Model, packing: Option<RowPacking>) -> Result<Cache, Unpackable> {
    let mut cache = model.new_cache();
    let token = Array::from_slice(&[0u32], &[1, 1]);
    model.forward(&token, &mut cache)?;
    let Some(packing) = packing else { return Ok(cache) };
    if let Some(obstacle) = cache.obstacle() {
        return Err(obstacle);
    }
    if cache.pack(packing, 0)? == 0 {
        return Err(Unpackable::Nothing);
    }
    model.forward(&token, &mut cache)?;
    Ok(cache)
}
