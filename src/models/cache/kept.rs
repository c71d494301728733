//! What the layers of a cache keep, told from the shapes of one that has read a token.

use mlx_rs::Array;

use super::{Cache, KeysValues, LayerCache, State};
use crate::{
    models::{Unpackable, recipe::Reach},
    plan::Keeps,
};

/// What of it was ever handed out, to be attended to elsewhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lent {
    Nothing,
    Rows,
    Latent,
}

/// What one part of one layer keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// How.
    pub keeps: Keeps,
    /// Bytes that a token adds; of a state none.
    pub bytes_per_token: u64,
    /// Bytes it takes whatever it has read; only of a state.
    pub constant_bytes: u64,
}

impl Cache {
    /// What each layer keeps, where it has read a token, evaluated or not; a layer may keep several things, or nothing.
    pub fn kept(&self) -> Vec<Kept> {
        self.layers.iter().flat_map(LayerCache::kept).collect()
    }
}

impl LayerCache {
    fn kept(&self) -> Vec<Kept> {
        match self {
            Self::Nothing => Vec::new(),
            Self::KeysValues(rows) => vec![rows.kept()],
            Self::State(state) => vec![state.kept()],
            Self::List(parts) => parts.iter().flat_map(Self::kept).collect(),
        }
    }
}

impl KeysValues {
    /// Why it cannot be packed, as far as what was done with it tells.
    pub(super) fn obstacle(&self) -> Option<Unpackable> {
        match self.reach() {
            Reach::Window(window) => Some(Unpackable::Ring(window)),
            Reach::Full | Reach::Masked(_) => match self.lent() {
                Lent::Nothing => None,
                Lent::Rows => Some(Unpackable::Attention),
                Lent::Latent => Some(Unpackable::Latent),
            },
            Reach::Chunk(_) => None,
        }
    }

    fn kept(&self) -> Kept {
        let tokens = |count: i32| u64::from(count.unsigned_abs());
        let row = |array: &Array| bytes(array) / tokens(array.dim(2)).max(1);
        Kept {
            keeps: match self.reach() {
                Reach::Full | Reach::Masked(_) if self.lent() == Lent::Latent => Keeps::Latent,
                Reach::Full | Reach::Masked(_) => Keeps::All,
                Reach::Window(window) => Keeps::Window(tokens(window)),
                Reach::Chunk(chunk) => Keeps::Chunk(tokens(chunk)),
            },
            bytes_per_token: self.arrays().map(row).sum(),
            constant_bytes: 0,
        }
    }
}

impl State {
    fn kept(&self) -> Kept {
        let constant_bytes = self.arrays().map(bytes).sum();
        Kept { keeps: Keeps::State, bytes_per_token: 0, constant_bytes }
    }
}

fn bytes(array: &Array) -> u64 {
    array.nbytes() as u64
}
