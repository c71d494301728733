//! Self-attention of a decoder, built to a recipe.

use mlx_rs::{Array, Dtype, ops::sigmoid};

use super::{
    cache::KeysValues,
    recipe::{Attention, Kernel, Projections, QkNorm, Recipe},
};
use crate::{
    checkpoint::{LoadError, Scope},
    nn::{
        self, Linear, Mask, MlxError, Norm, NormKind, RotaryEmbedding, attention,
        attention_with_sinks, capped_attention, parts, unweighted_norm,
    },
};

pub(super) struct SelfAttention {
    projections: Projected,
    o: Linear,
    queries: Side,
    keys: Side,
    /// What is added to the mean square of values, where they are normalized.
    value_eps: Option<f32>,
    rope: Option<RotaryEmbedding>,
    /// See [`Kernel::FusedWithSinks`], `[heads]`.
    sinks: Option<Array>,
    pub(super) recipe: Attention,
}

/// See [`Projections`].
enum Projected {
    Separate { q: Linear, k: Linear, v: Linear },
    Gated { q: Linear, k: Linear, v: Linear },
    KeysAsValues { q: Linear, k: Linear },
    Borrowed(Linear),
    Fused(Linear),
    FusedByGroup(Linear),
}

/// What the layers of one forward pass are given.
pub(super) struct Pass {
    /// Which keys a query may see.
    pub(super) mask: Mask,
    /// What queries are multiplied by, where they are: `[n, 1]`.
    pub(super) growth: Option<Array>,
}

/// What is projected from a position.
struct Inputs {
    q: Array,
    /// Keys and values; none where they are borrowed.
    rows: Option<(Array, Array)>,
    /// What the mixed values are multiplied by, before the sigmoid.
    gate: Option<Array>,
}

/// Queries or keys: how many heads they have, and how they are normalized.
struct Side {
    heads: i32,
    norm: Option<(Place, QkWeight)>,
}

/// Where queries and keys are normalized.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// `[batch, n, heads · head_dim]`.
    Whole,
    /// `[batch, n, heads, head_dim]`.
    ByHead,
    /// `[batch, heads, n, head_dim]`, after positions were encoded.
    Rotated,
}

enum QkWeight {
    Shared(Norm),
    /// A norm that learns nothing, and a weight for it: `[heads, head_dim]`.
    EachHead(Norm, Array),
}

impl SelfAttention {
    /// Takes every tensor below `scope` that `attention` asks for.
    pub(super) fn load<L>(
        scope: &Scope<'_>,
        recipe: &Recipe<L>,
        attention: &Attention,
    ) -> Result<Self, LoadError> {
        let Attention { heads, kv_heads, head_dim, .. } = *attention;
        let linear = |name, outputs| Linear::load(&scope.at(name), outputs, recipe.width);
        let q = |parts| linear("q_proj", parts * heads * head_dim);
        let k = || linear("k_proj", kv_heads * head_dim);
        let v = || linear("v_proj", kv_heads * head_dim);
        let qkv = || linear("qkv_proj", (heads + 2 * kv_heads) * head_dim);
        let has_sinks = attention.kernel == Kernel::FusedWithSinks;
        let side = |name, heads| Side::load(&scope.at(name), recipe, attention, heads);
        Ok(Self {
            projections: match attention.projections {
                Projections::Separate => Projected::Separate { q: q(1)?, k: k()?, v: v()? },
                Projections::Gated => Projected::Gated { q: q(2)?, k: k()?, v: v()? },
                Projections::KeysAsValues => Projected::KeysAsValues { q: q(1)?, k: k()? },
                Projections::Borrowed => Projected::Borrowed(q(1)?),
                Projections::Fused => Projected::Fused(qkv()?),
                Projections::FusedByGroup => Projected::FusedByGroup(qkv()?),
            },
            o: Linear::load(&scope.at("o_proj"), recipe.width, heads * head_dim)?,
            queries: side("q_norm", heads)?,
            keys: if attention.borrows() {
                Side { heads: kv_heads, norm: None }
            } else {
                side("k_norm", kv_heads)?
            },
            value_eps: (attention.qk_norm == QkNorm::PerHeadAndValues).then_some(recipe.eps),
            rope: attention.rope.as_ref().map(RotaryEmbedding::new).transpose()?,
            sinks: has_sinks.then(|| scope.take_recorded("sinks", &[heads])).transpose()?,
            recipe: attention.clone(),
        })
    }

    /// Mixes `x` (`[batch, n, width]`) with what `cache` holds and leaves the new keys and values there; one that
    /// borrows is given what its lender has left.
    pub(super) fn forward(
        &self,
        x: &Array,
        pass: &Pass,
        cache: &mut KeysValues,
    ) -> nn::Result<Array> {
        let &[batch, length, _] = x.shape() else {
            return Err(MlxError::new("hidden states take three axes"));
        };
        let Inputs { q, rows, gate } = self.project(x)?;
        // The layer that lends has read these tokens already.
        let offset = cache.offset() - if rows.is_none() { length } else { 0 };
        let q = self.placed(q, &self.queries, offset)?;
        let q = match &pass.growth {
            Some(growth) => q.multiply(growth)?.as_dtype(q.dtype())?,
            None => q,
        };
        let mixed = match rows {
            None => {
                let (k, v) = cache.visible()?;
                attention(&q, &k, &v, self.recipe.scale, &pass.mask)?
            }
            Some((k, v)) => {
                let k = self.placed(k, &self.keys, offset)?;
                let v = v.reshape(&[batch, length, self.keys.heads, -1])?;
                let v = match self.value_eps {
                    Some(eps) => unweighted_norm(&v, eps)?,
                    None => v,
                };
                let v = v.transpose_axes(&[0, 2, 1, 3])?;
                self.mix(&q, (&k, &v), &pass.mask, cache)?
            }
        };
        let mixed = mixed.transpose_axes(&[0, 2, 1, 3])?.reshape(&[batch, length, -1])?;
        match gate {
            None => self.o.forward(&mixed),
            Some(gate) => self.o.forward(&mixed.multiply(sigmoid(gate)?)?),
        }
    }

    /// Queries, keys, values and gates, each `[batch, n, heads · head_dim]`, or by head already.
    fn project(&self, x: &Array) -> nn::Result<Inputs> {
        let Attention { heads, kv_heads, head_dim, .. } = self.recipe;
        let inputs = |q, k, v| Inputs { q, rows: Some((k, v)), gate: None };
        match &self.projections {
            Projected::Separate { q, k, v } => {
                Ok(inputs(q.forward(x)?, k.forward(x)?, v.forward(x)?))
            }
            Projected::Gated { q, k, v } => {
                let by_head = [x.dim(0), x.dim(1), heads, -1];
                let q = q.forward(x)?.reshape(&by_head)?;
                let [q, gate] = parts(&q, &[head_dim], -1)?;
                let gate = Some(gate.flatten(-2, -1)?);
                let inputs = inputs(q.flatten(-2, -1)?, k.forward(x)?, v.forward(x)?);
                Ok(Inputs { gate, ..inputs })
            }
            Projected::KeysAsValues { q, k } => {
                let k = k.forward(x)?;
                Ok(inputs(q.forward(x)?, k.clone(), k))
            }
            Projected::Borrowed(q) => Ok(Inputs { q: q.forward(x)?, rows: None, gate: None }),
            Projected::Fused(qkv) => {
                let ends = [heads * head_dim, (heads + kv_heads) * head_dim];
                let [q, k, v] = parts(&qkv.forward(x)?, &ends, -1)?;
                Ok(inputs(q, k, v))
            }
            Projected::FusedByGroup(qkv) => {
                let shared = heads / kv_heads;
                let groups = [x.dim(0), x.dim(1), kv_heads, shared + 2, head_dim];
                let qkv = qkv.forward(x)?.reshape(&groups)?;
                let [q, k, v] = parts(&qkv, &[shared, shared + 1], -2)?;
                Ok(inputs(q, k, v))
            }
        }
    }

    /// Queries or keys of positions from `offset` on, normalized and rotated: `[batch, heads, n, head_dim]`.
    fn placed(&self, x: Array, side: &Side, offset: i32) -> nn::Result<Array> {
        let by_head = [x.dim(0), x.dim(1), side.heads, -1];
        let x = side.normalized(Place::Whole, x)?.reshape(&by_head)?;
        let x = side.normalized(Place::ByHead, x)?.transpose_axes(&[0, 2, 1, 3])?;
        let x = match &self.rope {
            Some(rope) => rope.forward(&x, offset)?,
            None => x,
        };
        side.normalized(Place::Rotated, x)
    }

    /// Leaves the new keys and values in `cache` and attends to all it holds.
    fn mix(
        &self,
        q: &Array,
        (k, v): (&Array, &Array),
        mask: &Mask,
        cache: &mut KeysValues,
    ) -> nn::Result<Array> {
        let scale = self.recipe.scale;
        match self.recipe.kernel {
            Kernel::Lending | Kernel::FusedWithSinks => {
                let (k, v) = cache.update(k, v)?;
                match &self.sinks {
                    None => attention(q, &k, &v, scale, mask),
                    Some(sinks) => attention_with_sinks(q, &k, &v, scale, sinks, mask),
                }
            }
            Kernel::Capped(cap) => {
                let (k, v) = cache.update(k, v)?;
                capped_attention(q, &k, &v, scale, cap, mask)
            }
            Kernel::Fused => cache.attend(q, (k, v), scale, mask),
            Kernel::WideForFloat16 if q.dtype() != Dtype::Float16 => {
                cache.attend(q, (k, v), scale, mask)
            }
            Kernel::Wide | Kernel::WideForFloat16 => {
                let wide = q.as_dtype(Dtype::Float32)?;
                let mixed = cache.attend(&wide, (k, v), scale, mask)?;
                Ok(mixed.as_dtype(v.dtype())?)
            }
        }
    }
}

impl Side {
    /// Takes the norm at `scope` that `attention` asks for.
    fn load<L>(
        scope: &Scope<'_>,
        recipe: &Recipe<L>,
        attention: &Attention,
        heads: i32,
    ) -> Result<Self, LoadError> {
        let head_dim = attention.head_dim;
        let norm = |kind, width, eps| Norm::load(scope, kind, width, eps);
        let shared = |width| norm(recipe.norm, width, recipe.eps).map(QkWeight::Shared);
        let plain = |eps| norm(NormKind::RmsPlain, head_dim, eps).map(QkWeight::Shared);
        let norm = match attention.qk_norm {
            QkNorm::None => None,
            QkNorm::Whole => Some((Place::Whole, shared(heads * head_dim)?)),
            QkNorm::PerHead | QkNorm::PerHeadAndValues => Some((Place::ByHead, shared(head_dim)?)),
            QkNorm::PerHeadAfterRope => Some((Place::Rotated, shared(head_dim)?)),
            QkNorm::PerHeadPlain => Some((Place::ByHead, plain(recipe.eps)?)),
            QkNorm::PerHeadPlainAfterRope(eps) => Some((Place::Rotated, plain(eps)?)),
            QkNorm::EachHead => {
                let weight = scope.take_recorded("weight", &[heads, head_dim])?;
                let norm = norm(NormKind::LayerPlain, head_dim, recipe.eps)?;
                Some((Place::ByHead, QkWeight::EachHead(norm, weight)))
            }
        };
        Ok(Self { heads, norm })
    }

    fn normalized(&self, here: Place, x: Array) -> nn::Result<Array> {
        match &self.norm {
            Some((place, QkWeight::Shared(norm))) if *place == here => norm.forward(&x),
            Some((place, QkWeight::EachHead(norm, weight))) if *place == here => {
                Ok(weight.multiply(norm.forward(&x)?)?)
            }
            _ => Ok(x),
        }
    }
}
