//! Self-attention of a decoder, built to a recipe.

use mlx_rs::Array;

use super::{
    cache::KeysValues,
    decoder::normalized,
    recipe::{Attention, QkNorm, Reach, Recipe},
};
use crate::{
    checkpoint::{LoadError, Scope},
    nn::{self, Linear, Mask, MlxError, Norm, RotaryEmbedding, attention},
};

/// Self-attention with its weights.
pub(super) struct SelfAttention {
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    qk_norms: Option<(Norm, Norm)>,
    rope: RotaryEmbedding,
    heads: i32,
    kv_heads: i32,
    scale: f32,
    pub(super) reach: Reach,
}

impl SelfAttention {
    /// Takes every tensor below `scope` that `attention` asks for.
    pub(super) fn load(
        scope: &Scope<'_>,
        recipe: &Recipe,
        attention: &Attention,
    ) -> Result<Self, LoadError> {
        let Attention {
            heads,
            kv_heads,
            head_dim,
            ..
        } = *attention;
        let linear = |name, outputs, inputs| Linear::load(&scope.at(name), outputs, inputs);
        let norm = |name| Norm::load(&scope.at(name), recipe.norm, head_dim, recipe.eps);
        Ok(Self {
            q: linear("q_proj", heads * head_dim, recipe.width)?,
            k: linear("k_proj", kv_heads * head_dim, recipe.width)?,
            v: linear("v_proj", kv_heads * head_dim, recipe.width)?,
            o: linear("o_proj", recipe.width, heads * head_dim)?,
            qk_norms: match attention.qk_norm {
                QkNorm::None => None,
                QkNorm::PerHead => Some((norm("q_norm")?, norm("k_norm")?)),
            },
            rope: RotaryEmbedding::new(&attention.rope)?,
            heads,
            kv_heads,
            scale: attention.scale,
            reach: attention.reach,
        })
    }

    /// Mixes `x` (`[batch, n, width]`) with what `cache` holds and leaves the new keys and values there.
    pub(super) fn forward(
        &self,
        x: &Array,
        mask: &Mask,
        cache: &mut KeysValues,
    ) -> nn::Result<Array> {
        let &[batch, length, _] = x.shape() else {
            return Err(MlxError::new("hidden states take three axes"));
        };
        let by_head = |x: Array, heads, norm: Option<&Norm>| {
            let x = normalized(norm, x.reshape(&[batch, length, heads, -1])?)?;
            x.transpose_axes(&[0, 2, 1, 3]).map_err(MlxError::from)
        };
        let (q_norm, k_norm) = match &self.qk_norms {
            Some((q, k)) => (Some(q), Some(k)),
            None => (None, None),
        };
        let q = by_head(self.q.forward(x)?, self.heads, q_norm)?;
        let k = by_head(self.k.forward(x)?, self.kv_heads, k_norm)?;
        let v = by_head(self.v.forward(x)?, self.kv_heads, None)?;
        let (q, k) = (
            self.rope.forward(&q, cache.offset())?,
            self.rope.forward(&k, cache.offset())?,
        );
        let (k, v) = cache.update(&k, &v)?;
        let mixed = attention(&q, &k, &v, self.scale, mask)?
            .transpose_axes(&[0, 2, 1, 3])?
            .reshape(&[batch, length, -1])?;
        self.o.forward(&mixed)
    }
}
