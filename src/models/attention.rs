//! Self-attention of a decoder, built to a recipe.

use mlx_rs::{Array, Dtype, fast, ops::sigmoid};

use super::{
    cache::KeysValues,
    recipe::{Attention, Kernel, Projections, QkNorm, QueryGrowth, Reach, Recipe},
};
use crate::{
    checkpoint::{LoadError, Scope},
    nn::{
        self, Linear, Mask, MlxError, Norm, RotaryEmbedding, attention, attention_with_sinks,
        capped_attention,
    },
};

pub(super) struct SelfAttention {
    projections: Projected,
    o: Linear,
    qk_norms: Option<QkNorms>,
    rope: Option<RotaryEmbedding>,
    /// See [`Kernel::FusedWithSinks`], `[heads]`.
    sinks: Option<Array>,
    heads: i32,
    kv_heads: i32,
    head_dim: i32,
    scale: f32,
    pub(super) growth: QueryGrowth,
    pub(super) reach: Reach,
    pub(super) kernel: Kernel,
}

/// See [`Projections`].
enum Projected {
    Separate { q: Linear, k: Linear, v: Linear },
    Fused(Linear),
    ByGroup(Linear),
    Gated { q: Linear, k: Linear, v: Linear },
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
        let linear = |name, outputs, inputs| Linear::load(&scope.at(name), outputs, inputs);
        Ok(Self {
            projections: match attention.projections {
                Projections::Separate => Projected::Separate {
                    q: linear("q_proj", heads * head_dim, recipe.width)?,
                    k: linear("k_proj", kv_heads * head_dim, recipe.width)?,
                    v: linear("v_proj", kv_heads * head_dim, recipe.width)?,
                },
                Projections::Gated => Projected::Gated {
                    q: linear("q_proj", 2 * heads * head_dim, recipe.width)?,
                    k: linear("k_proj", kv_heads * head_dim, recipe.width)?,
                    v: linear("v_proj", kv_heads * head_dim, recipe.width)?,
                },
                Projections::Fused => {
                    let outputs = (heads + 2 * kv_heads) * head_dim;
                    Projected::Fused(linear("qkv_proj", outputs, recipe.width)?)
                }
                Projections::FusedByGroup => {
                    let outputs = (heads + 2 * kv_heads) * head_dim;
                    Projected::ByGroup(linear("qkv_proj", outputs, recipe.width)?)
                }
            },
            o: linear("o_proj", recipe.width, heads * head_dim)?,
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
            heads,
            kv_heads,
            head_dim,
            scale: attention.scale,
            growth: attention.growth,
            reach: attention.reach,
            kernel: attention.kernel,
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
        let Inputs { q, k, v, gate } = self.project(x)?;
        let (q, k) = self.normalized(Place::Whole, q, k)?;
        let by_head = |x: Array, heads| x.reshape(&[batch, length, heads, -1]);
        let (q, k) = (by_head(q, self.heads)?, by_head(k, self.kv_heads)?);
        let (q, k) = self.normalized(Place::ByHead, q, k)?;
        let in_front = |x: Array| x.transpose_axes(&[0, 2, 1, 3]);
        let (q, k) = (in_front(q)?, in_front(k)?);
        let v = in_front(by_head(v, self.kv_heads)?)?;
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
        let inputs = |q, k, v, gate| Inputs { q, k, v, gate };
        match &self.projections {
            Projected::Separate { q, k, v } => {
                Ok(inputs(q.forward(x)?, k.forward(x)?, v.forward(x)?, None))
            }
            Projected::Gated { q, k, v } => {
                let flat = |part: Array| part.flatten(-2, -1);
                let by_head = [x.dim(0), x.dim(1), self.heads, -1];
                let halves = q.forward(x)?.reshape(&by_head)?.split_equal(2, -1)?;
                let [q, gate] = <[Array; 2]>::try_from(halves)
                    .map_err(|_| MlxError::new("a projection did not split into two"))?;
                let (k, v) = (k.forward(x)?, v.forward(x)?);
                Ok(inputs(flat(q)?, k, v, Some(flat(gate)?)))
            }
            Projected::Fused(qkv) => {
                let ends =
                    [self.heads * self.head_dim, (self.heads + self.kv_heads) * self.head_dim];
                let (q, k, v) = in_three(&qkv.forward(x)?, ends, -1)?;
                Ok(inputs(q, k, v, None))
            }
            Projected::ByGroup(qkv) => {
                let shared = self.heads / self.kv_heads;
                let groups = [x.dim(0), x.dim(1), self.kv_heads, shared + 2, self.head_dim];
                let qkv = qkv.forward(x)?.reshape(&groups)?;
                let (q, k, v) = in_three(&qkv, [shared, shared + 1], -2)?;
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
        match self.kernel {
            Kernel::FusedWithSinks => {
                let (k, v) = cache.update(k, v)?;
                match &self.sinks {
                    None => attention(q, &k, &v, self.scale, mask),
                    Some(sinks) => attention_with_sinks(q, &k, &v, self.scale, sinks, mask),
                }
            }
            Kernel::Capped(cap) => {
                let (k, v) = cache.update(k, v)?;
                capped_attention(q, &k, &v, self.scale, cap, mask)
            }
            Kernel::Fused => cache.attend(q, (k, v), self.scale, mask),
            Kernel::WideForFloat16 if q.dtype() != Dtype::Float16 => {
                cache.attend(q, (k, v), self.scale, mask)
            }
            Kernel::Wide | Kernel::WideForFloat16 => {
                let wide = q.as_dtype(Dtype::Float32)?;
                let mixed = cache.attend(&wide, (k, v), self.scale, mask)?;
                Ok(mixed.as_dtype(v.dtype())?)
            }
        }
    }
}

/// `x` cut at two places along `axis`.
fn in_three(x: &Array, ends: [i32; 2], axis: i32) -> nn::Result<(Array, Array, Array)> {
    <[Array; 3]>::try_from(x.split_at_indices(&ends, axis)?)
        .map(|[q, k, v]| (q, k, v))
        .map_err(|_| MlxError::new("a projection did not split into three"))
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
