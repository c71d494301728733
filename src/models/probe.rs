//! What a model leaves in its cache, asked without computing anything.

use mlx_rs::Array;
use thiserror::Error;

use super::{Cache, Model};
use crate::{
    nn::{self, Ledger, MlxError, RowPacking, recorded},
    plan::Keeps,
};

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

/// What single passes of a model ask of the machine.
#[derive(Clone, Debug)]
pub struct Passes {
    /// A pass of one token, after another.
    pub token: Ledger,
    /// The same with packed keys and values, where they are to be packed.
    pub packed: Option<Ledger>,
    /// A pass of [`PROMPT`] tokens after none.
    pub prompt: Ledger,
    /// Bytes of states that every token reads.
    pub state_bytes: u64,
}

/// Tokens of the prompt that [`passes`] reads.
pub const PROMPT: u32 = 2;

/// What passes of `model` ask of the machine, with keys and values in `packing` and without; nothing is evaluated.
///
/// # Errors
///
/// When its keys and values cannot be packed, or MLX refuses an operation.
pub fn passes(model: &dyn Model, packing: Option<RowPacking>) -> Result<Passes, Unpackable> {
    let token = Array::from_slice(&[0u32], &[1, 1]);
    let mut cache = first_steps(model, None)?;
    let ledger = recorded_pass(model, &token, &mut cache)?;
    let states = cache.kept().into_iter().filter(|kept| kept.keeps == Keeps::State);
    let state_bytes = states.map(|kept| kept.constant_bytes).sum();
    let packed = match packing {
        None => None,
        Some(packing) => {
            let mut cache = first_steps(model, Some(packing))?;
            Some(recorded_pass(model, &token, &mut cache)?)
        }
    };
    let prompt = Array::from_slice(&[0u32; PROMPT as usize], &[1, PROMPT.cast_signed()]);
    let prompt = recorded_pass(model, &prompt, &mut model.new_cache())?;
    Ok(Passes { token: ledger, packed, prompt, state_bytes })
}

fn recorded_pass(model: &dyn Model, tokens: &Array, cache: &mut Cache) -> nn::Result<Ledger> {
    let (scores, ledger) = recorded(|| model.forward(tokens, cache));
    scores.map(|_| ledger)
}
