//! Self-attention of a decoder, built to a recipe.

use mlx_rs::{Array, Dtype, fast, ops::sigmoid};

use super::{
    cache::KeysValues,
    recipe::{Attention, Kernel, Projections, QkNorm, Recipe},
};
use crate::{
    checkpoint::{LoadError, Scope},
    nn::{
        self, Linear, Mask, MlxError, Norm, RotaryEmbedding, attention, attention_with_sinks,
        capped_attention, parts,
    },
};

pub(super) struct SelfAttention {
    projections: Projected,
    o: Linear,
    qk_norms: Option<QkNorms>,
    rope: Option<RotaryEmbedding>,
    /// See [`Kernel::FusedWithSinks`], `[heads]`.
    sinks: Option<Array>,
    pub(super) recipe: Attention,
}

/// See [`Projections`].
enum Projected {
    Separate { q: Linear, k: Linear, v: Linear },
    Gated { q: Linear, k: Linear, v: Linear },
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
    k: Array,
    v: Array,
    /// What the mixed values are multiplied by, before the sigmoid.
    gate: Option<Array>,
}

/// The norms of queries and keys; see [`QkNorm`].
struct QkNorms {
    place: Place,
    q: QkWeight,
    k: QkWeight,
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
    /// By the root mean square alone.
    None {
        eps: f32,
    },
    Shared(Norm),
    /// `[heads, head_dim]`.
    EachHead {
        weight: Array,
        eps: f32,
    },
}

impl SelfAttention {
    /// Takes every tensor below `scope` that `attention` asks for.
    pub(super) fn load<L>(
        scope: &Scope<'_>,
        recipe: &Recipe<L>,
        attention: &Attention,
    ) -> Result<Self, LoadError> {
        let Attention { heads, kv_heads, head_dim, .. } = *attention;
        let project = |name, heads| Linear::load(&scope.at(name), heads * head_dim, recipe.width);
        let (k, v) = (|| project("k_proj", kv_heads), || project("v_proj", kv_heads));
        let fused = || project("qkv_proj", heads + 2 * kv_heads);
        Ok(Self {
            projections: match attention.projections {
                Projections::Separate => {
                    Projected::Separate { q: project("q_proj", heads)?, k: k()?, v: v()? }
                }
                Projections::Gated => {
                    Projected::Gated { q: project("q_proj", 2 * heads)?, k: k()?, v: v()? }
                }
                Projections::Fused => Projected::Fused(fused()?),
                Projections::FusedByGroup => Projected::FusedByGroup(fused()?),
            },
            o: Linear::load(&scope.at("o_proj"), recipe.width, heads * head_dim)?,
            qk_norms: QkNorms::load(scope, recipe, attention)?,
            rope: match &attention.rope {
                Some(rope) => Some(RotaryEmbedding::new(rope)?),
                None => None,
            },
            sinks: match attention.kernel {
                Kernel::FusedWithSinks => {
                    let sinks = scope.take_shaped("sinks", &[heads])?;
                    scope.record(&sinks, sinks.size());
                    Some(sinks)
                }
                Kernel::Fused | Kernel::Wide | Kernel::WideForFloat16 | Kernel::Capped(_) => None,
            },
            recipe: attention.clone(),
        })
    }

    /// Mixes `x` (`[batch, n, width]`) with what `cache` holds and leaves the new keys and values there.
    pub(super) fn forward(
        &self,
        x: &Array,
        pass: &Pass,
        cache: &mut KeysValues,
    ) -> nn::Result<Array> {
        let &[batch, length, _] = x.shape() else {
            return Err(MlxError::new("hidden states take three axes"));
        };
        let Attention { heads, kv_heads, .. } = self.recipe;
        let Inputs { q, k, v, gate } = self.project(x)?;
        let (q, k) = self.normalized(Place::Whole, q, k)?;
        let by_head = |x: Array, heads| x.reshape(&[batch, length, heads, -1]);
        let (q, k) = (by_head(q, heads)?, by_head(k, kv_heads)?);
        let (q, k) = self.normalized(Place::ByHead, q, k)?;
        let in_front = |x: Array| x.transpose_axes(&[0, 2, 1, 3]);
        let (q, k) = (in_front(q)?, in_front(k)?);
        let v = in_front(by_head(v, kv_heads)?)?;
        let (q, k) = match &self.rope {
            Some(rope) => (rope.forward(&q, cache.offset())?, rope.forward(&k, cache.offset())?),
            None => (q, k),
        };
        let (q, k) = self.normalized(Place::Rotated, q, k)?;
        let q = match &pass.growth {
            Some(growth) => q.multiply(growth)?.as_dtype(q.dtype())?,
            None => q,
        };
        let mixed = self
            .mix(&q, (&k, &v), &pass.mask, cache)?
            .transpose_axes(&[0, 2, 1, 3])?
            .reshape(&[batch, length, -1])?;
        match gate {
            None => self.o.forward(&mixed),
            Some(gate) => self.o.forward(&mixed.multiply(sigmoid(gate)?)?),
        }
    }

    /// Queries, keys, values and gates, each `[batch, n, heads · head_dim]`, or by head already.
    fn project(&self, x: &Array) -> nn::Result<Inputs> {
        let Attention { heads, kv_heads, head_dim, .. } = self.recipe;
        let inputs = |q, k, v, gate| Inputs { q, k, v, gate };
        match &self.projections {
            Projected::Separate { q, k, v } => {
                Ok(inputs(q.forward(x)?, k.forward(x)?, v.forward(x)?, None))
            }
            Projected::Gated { q, k, v } => {
                let flat = |part: Array| part.flatten(-2, -1);
                let by_head = [x.dim(0), x.dim(1), heads, -1];
                let q = q.forward(x)?.reshape(&by_head)?;
                let [q, gate] = parts(&q, &[head_dim], -1)?;
                let (k, v) = (k.forward(x)?, v.forward(x)?);
                Ok(inputs(flat(q)?, k, v, Some(flat(gate)?)))
            }
            Projected::Fused(qkv) => {
                let ends = [heads * head_dim, (heads + kv_heads) * head_dim];
                let [q, k, v] = parts(&qkv.forward(x)?, &ends, -1)?;
                Ok(inputs(q, k, v, None))
            }
            Projected::FusedByGroup(qkv) => {
                let shared = heads / kv_heads;
                let groups = [x.dim(0), x.dim(1), kv_heads, shared + 2, head_dim];
                let qkv = qkv.forward(x)?.reshape(&groups)?;
                let [q, k, v] = parts(&qkv, &[shared, shared + 1], -2)?;
                Ok(inputs(q, k, v, None))
            }
        }
    }

    fn normalized(&self, place: Place, q: Array, k: Array) -> nn::Result<(Array, Array)> {
        match &self.qk_norms {
            Some(norms) if norms.place == place => Ok((norms.q.forward(&q)?, norms.k.forward(&k)?)),
            _ => Ok((q, k)),
        }
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
            Kernel::FusedWithSinks => {
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

impl QkNorms {
    fn load<L>(
        scope: &Scope<'_>,
        recipe: &Recipe<L>,
        attention: &Attention,
    ) -> Result<Option<Self>, LoadError> {
        let head_dim = attention.head_dim;
        let place = match attention.qk_norm {
            QkNorm::None => return Ok(None),
            QkNorm::Whole => Place::Whole,
            QkNorm::PerHead | QkNorm::PerHeadPlain | QkNorm::EachHead => Place::ByHead,
            QkNorm::PerHeadAfterRope | QkNorm::PerHeadPlainAfterRope(_) => Place::Rotated,
        };
        let load = |name, heads| {
            let scope = scope.at(name);
            let shared = |width| Norm::load(&scope, recipe.norm, width, recipe.eps);
            Ok::<_, LoadError>(match attention.qk_norm {
                QkNorm::Whole => QkWeight::Shared(shared(heads * head_dim)?),
                QkNorm::EachHead => {
                    let weight = scope.take_shaped("weight", &[heads, head_dim])?;
                    scope.record(&weight, weight.size());
                    let eps = recipe.eps;
                    QkWeight::EachHead { weight, eps }
                }
                QkNorm::PerHeadPlain => QkWeight::None { eps: recipe.eps },
                QkNorm::PerHeadPlainAfterRope(eps) => QkWeight::None { eps },
                QkNorm::None | QkNorm::PerHead | QkNorm::PerHeadAfterRope => {
                    QkWeight::Shared(shared(head_dim)?)
                }
            })
        };
        Ok(Some(Self {
            place,
            q: load("q_norm", attention.heads)?,
            k: load("k_norm", attention.kv_heads)?,
        }))
    }
}

impl QkWeight {
    fn forward(&self, x: &Array) -> nn::Result<Array> {
        match self {
            Self::None { eps } => Ok(fast::rms_norm(x, None, *eps)?),
            Self::Shared(norm) => norm.forward(x),
            Self::EachHead { weight, eps } => {
                Ok(weight.multiply(fast::layer_norm(x, None, None, *eps)?)?)
            }
        }
    }
}
