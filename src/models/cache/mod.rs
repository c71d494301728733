//! What a sequence leaves behind, a part for each layer.

mod kept;
mod keys_values;
mod packed;
mod state;

pub use kept::Kept;
pub(super) use keys_values::KeysValues;
pub(super) use state::State;

use mlx_rs::Array;

use super::{Unpackable, recipe::Reach};
use crate::nn::{self, MlxError, RowPacking};

/// The state of one sequence, a part for each layer.
pub struct Cache {
    layers: Vec<LayerCache>,
}

impl Cache {
    /// An empty cache for layers of self-attention that reach this far back.
    pub fn new(layers: impl IntoIterator<Item = Reach>) -> Self {
        Self::of(layers.into_iter().map(LayerCache::attention))
    }

    /// A cache of these parts.
    pub(super) fn of(layers: impl IntoIterator<Item = LayerCache>) -> Self {
        Self { layers: layers.into_iter().collect() }
    }

    /// Every array that it holds, for evaluation.
    pub fn arrays(&self) -> impl Iterator<Item = &Array> {
        self.layers.iter().flat_map(LayerCache::arrays)
    }

    /// Packs the keys and values of every layer that has read `start` tokens, those that it holds and those that will
    /// come, and tells how many layers are packed now. As in the reference, recurrences and chunks stay as they are,
    /// and so do layers that have a recurrence beside their keys.
    ///
    /// # Errors
    ///
    /// When a layer keeps its keys and values in a ring, or their rows are no multiple of the group.
    pub fn pack(&mut self, packing: RowPacking, start: i32) -> nn::Result<usize> {
        let mut packed = 0;
        for layer in &mut self.layers {
            if let LayerCache::KeysValues(rows) = layer {
                packed += usize::from(rows.pack(packing, start)?);
            }
        }
        Ok(packed)
    }

    /// Keeps of what was read the first `length` tokens; whether that was possible. Where it was not, the cache is of no
    /// more use: rings, chunks and recurrences do not have what they had.
    pub fn cut(&mut self, length: i32) -> bool {
        self.layers.iter_mut().all(|layer| layer.cut(length))
    }

    /// Why a layer, once it has read a token, cannot be packed, where one cannot and would not be passed over.
    pub(super) fn obstacle(&self) -> Option<Unpackable> {
        self.layers.iter().find_map(|layer| match layer {
            LayerCache::KeysValues(rows) => rows.obstacle(),
            LayerCache::Nothing | LayerCache::State(_) | LayerCache::List(_) => None,
        })
    }

    /// The part of each layer, in order.
    pub(super) fn layers_mut(&mut self) -> &mut [LayerCache] {
        &mut self.layers
    }
}

/// What one layer keeps of a sequence.
pub(super) enum LayerCache {
    /// Nothing: it looks at one position only.
    Nothing,
    /// Keys and values of its self-attention.
    KeysValues(KeysValues),
    /// The state of its recurrence.
    State(State),
    /// A part for each of several that the layer has side by side.
    List(Vec<Self>),
}

impl LayerCache {
    /// An empty part for self-attention that reaches this far back.
    pub(super) fn attention(reach: Reach) -> Self {
        Self::KeysValues(KeysValues::new(reach))
    }

    /// The keys and values of a layer that keeps them.
    pub(super) fn keys_values(&mut self) -> nn::Result<&mut KeysValues> {
        match self {
            Self::KeysValues(rows) => Ok(rows),
            Self::Nothing | Self::State(_) | Self::List(_) => {
                Err(MlxError::new("the layer keeps no keys and values"))
            }
        }
    }

    /// The state of a layer that keeps one.
    pub(super) fn recurrence(&mut self) -> nn::Result<&mut State> {
        match self {
            Self::State(state) => Ok(state),
            Self::Nothing | Self::KeysValues(_) | Self::List(_) => {
                Err(MlxError::new("the layer keeps no state"))
            }
        }
    }

    /// One part of a layer that keeps several; of another, all it keeps is the first.
    pub(super) fn part(&mut self, index: usize) -> nn::Result<&mut Self> {
        let part = match self {
            Self::List(parts) => parts.get_mut(index),
            whole @ (Self::Nothing | Self::KeysValues(_) | Self::State(_)) => {
                (index == 0).then_some(whole)
            }
        };
        part.ok_or_else(|| MlxError::new("the layer keeps fewer parts"))
    }

    fn cut(&mut self, length: i32) -> bool {
        match self {
            Self::Nothing => true,
            Self::KeysValues(rows) => rows.cut(length),
            Self::State(_) => false,
            Self::List(parts) => parts.iter_mut().all(|part| part.cut(length)),
        }
    }

    fn arrays(&self) -> Vec<&Array> {
        match self {
            Self::Nothing => Vec::new(),
            Self::KeysValues(rows) => rows.arrays().collect(),
            Self::State(state) => state.arrays().collect(),
            Self::List(parts) => parts.iter().flat_map(Self::arrays).collect(),
        }
    }
}
