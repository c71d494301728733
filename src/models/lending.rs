//! Attention whose keys and values later layers may borrow (Gemma 3n and 4).
//!
//! Queries, keys and values of every head are normalized, values without a weight, and scores are not scaled. A layer
//! that borrows has no keys and values of its own: it looks at those that an earlier layer has just left in its cache,
//! from the position where that layer stood before.

use mlx_rs::Array;
use serde::Deserialize;

use super::{
    cache::{KeysValues, LayerCache},
    keys::unsupported,
    recipe::Reach,
};
use crate::{
    checkpoint::{LoadError, Scope},
    nn::{
        self, Linear, Mask, MlxError, Norm, NormKind, Rope, RotaryEmbedding, attention,
        unweighted_norm,
    },
};

/// Attention that lends or borrows, as data.
pub(super) struct Lending {
    pub(super) width: i32,
    pub(super) heads: i32,
    pub(super) kv_heads: i32,
    pub(super) head_dim: i32,
    /// Where keys and values come from.
    pub(super) source: Source,
    /// How positions are encoded.
    pub(super) rope: Rope,
    pub(super) eps: f32,
}

/// Where keys and values come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A projection each.
    Projections,
    /// One projection: values are its output as keys are, but not rotated.
    OneProjection,
    /// An earlier layer.
    Borrowed,
}

pub(super) struct LendingAttention {
    q: Linear,
    q_norm: Norm,
    own: Option<Own>,
    o: Linear,
    rope: RotaryEmbedding,
    heads: i32,
    eps: f32,
}

/// What a layer has that does not borrow.
struct Own {
    k: Linear,
    v: Option<Linear>,
    k_norm: Norm,
    kv_heads: i32,
}

impl LendingAttention {
    /// Takes every tensor below `scope` that `recipe` asks for.
    pub(super) fn load(scope: &Scope<'_>, recipe: &Lending) -> Result<Self, LoadError> {
        let (width, heads, head_dim) = (recipe.width, recipe.heads, recipe.head_dim);
        let linear = |name, outputs, inputs| Linear::load(&scope.at(name), outputs, inputs);
        let norm = |name| Norm::load(&scope.at(name), NormKind::Rms, head_dim, recipe.eps);
        let shared = recipe.kv_heads * head_dim;
        let own = |v| -> Result<Own, LoadError> {
            Ok(Own {
                k: linear("k_proj", shared, width)?,
                v,
                k_norm: norm("k_norm")?,
                kv_heads: recipe.kv_heads,
            })
        };
        Ok(Self {
            q: linear("q_proj", heads * head_dim, width)?,
            q_norm: norm("q_norm")?,
            own: match recipe.source {
                Source::Projections => Some(own(Some(linear("v_proj", shared, width)?))?),
                Source::OneProjection => Some(own(None)?),
                Source::Borrowed => None,
            },
            o: linear("o_proj", width, heads * head_dim)?,
            rope: RotaryEmbedding::new(&recipe.rope)?,
            heads,
            eps: recipe.eps,
        })
    }

    /// Mixes `x` (`[batch, n, width]`), whose first position is `offset`, with what `cache` holds: its own, where
    /// the new keys and values are left, or that of the layer it borrows from.
    pub(super) fn forward(
        &self,
        x: &Array,
        mask: &Mask,
        offset: i32,
        cache: &mut KeysValues,
    ) -> nn::Result<Array> {
        let &[batch, length, _] = x.shape() else {
            return Err(MlxError::new("hidden states take three axes"));
        };
        let split = |x: Array, heads| x.reshape(&[batch, length, heads, -1]);
        let by_head = |x: Array| x.transpose_axes(&[0, 2, 1, 3]);
        let q = by_head(self.q_norm.forward(&split(self.q.forward(x)?, self.heads)?)?)?;
        let q = self.rope.forward(&q, offset)?;
        let (k, v) = match &self.own {
            None => cache.visible()?,
            Some(own) => {
                let k = split(own.k.forward(x)?, own.kv_heads)?;
                let v = match &own.v {
                    Some(v) => split(v.forward(x)?, own.kv_heads)?,
                    None => k.clone(),
                };
                let k = self.rope.forward(&by_head(own.k_norm.forward(&k)?)?, offset)?;
                let v = by_head(unweighted_norm(&v, self.eps)?)?;
                cache.update(&k, &v)?
            }
        };
        let mixed = by_head(attention(&q, &k, &v, 1.0, mask)?)?;
        self.o.forward(&mixed.reshape(&[batch, length, -1])?)
    }
}

/// What a layer sees.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// A window.
    SlidingAttention,
    /// All that was read.
    FullAttention,
}

impl Kind {
    /// Its name in a configuration.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SlidingAttention => "sliding_attention",
            Self::FullAttention => "full_attention",
        }
    }

    /// How far back it sees.
    pub(super) fn reach(self, window: i32) -> Reach {
        match self {
            Self::SlidingAttention => Reach::Window(window),
            Self::FullAttention => Reach::Full,
        }
    }
}

/// How many of `layers`, from the first, have keys and values of their own where `shared` borrow them.
pub(super) fn concrete(layers: usize, shared: usize) -> Result<usize, LoadError> {
    layers
        .checked_sub(shared)
        .filter(|concrete| *concrete > 0)
        .ok_or_else(|| unsupported(format!("`num_kv_shared_layers` {shared} of {layers}")))
}

/// Of each layer, which one's cache it looks into: its own for the first `concrete`, then the last concrete one of the
/// same kind.
///
/// # Errors
///
/// When no concrete layer is of a borrower's kind.
pub(super) fn owners<K: PartialEq>(kinds: &[K], concrete: usize) -> Result<Vec<usize>, LoadError> {
    let (lenders, borrowers) = kinds.split_at(concrete.min(kinds.len()));
    let borrowed = borrowers.iter().map(|kind| {
        lenders.iter().rposition(|lender| lender == kind).ok_or_else(|| {
            unsupported("shared keys and values in `layer_types` that no layer makes")
        })
    });
    (0..lenders.len()).map(Ok).chain(borrowed).collect()
}

/// The keys and values of layer `owner`.
pub(super) fn lender(caches: &mut [LayerCache], owner: usize) -> nn::Result<&mut KeysValues> {
    let cache = caches.get_mut(owner);
    cache.ok_or_else(|| MlxError::new("the cache is of another model"))?.keys_values()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borrowers_look_at_the_last_of_their_kind() {
        assert_eq!(owners(&['s', 'f', 's', 'f', 's'], 3).unwrap(), [0, 1, 2, 1, 2]);
        assert!(owners(&['s', 's', 'f'], 2).is_err());
    }
}
