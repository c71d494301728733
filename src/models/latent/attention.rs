//! Latent attention in its two forms.
//!
//! Reference: `mlx_lm.models.deepseek_v2` (expanded) and `mlx_lm.models.deepseek_v3` (absorbed). The absorbed form
//! takes one token by another path than several, as there; the two differ in the last bits.

use mlx_rs::{
    Array,
    ops::{broadcast_to, concatenate, select, unflatten},
};

use super::{Form, Latent};
use crate::{
    checkpoint::{LoadError, Scope},
    models::{cache::KeysValues, growth::Growths},
    nn::{
        self, HeadwiseLinear, Linear, Mask, MlxError, Norm, NormKind, RotaryEmbedding, attention,
        attention_with, lowest, parts,
    },
};

pub(in crate::models) struct LatentAttention {
    queries: Queries,
    compress: Linear,
    norm: Norm,
    growth: Growth,
    o: Linear,
    rope: RotaryEmbedding,
    latent: Latent,
}

/// Where queries grow from.
enum Queries {
    Direct(Linear),
    Compressed { down: Linear, norm: Norm, up: Linear },
}

/// How keys and values grow from the short vectors.
enum Growth {
    /// All at once, before they are kept.
    Expanded(Linear),
    /// Keys by one matrix a head and values by another, whenever they are needed.
    Absorbed { keys: HeadwiseLinear, values: HeadwiseLinear },
}

/// What one forward pass makes of its tokens before it looks at others.
struct Projected {
    q_plain: Array,
    q_rotated: Array,
    latent: Array,
    k_rotated: Array,
}

impl LatentAttention {
    /// Takes every tensor below `scope` that `recipe` asks for; the residual stream is `width` wide.
    pub(in crate::models) fn load(
        scope: &Scope<'_>,
        width: i32,
        recipe: &Latent,
    ) -> Result<Self, LoadError> {
        let (heads, rank) = (recipe.heads, recipe.rank);
        let query_dim = recipe.plain_dim + recipe.rope.dims;
        let grown = recipe.plain_dim + recipe.value_dim;
        let linear = |name, outputs, inputs| Linear::load(&scope.at(name), outputs, inputs);
        let headwise =
            |name, outputs, inputs| HeadwiseLinear::load(&scope.at(name), heads, outputs, inputs);
        let norm = |name, width| Norm::load(&scope.at(name), NormKind::Rms, width, recipe.eps);
        Ok(Self {
            queries: match recipe.query_rank {
                None => Queries::Direct(linear("q_proj", heads * query_dim, width)?),
                Some(rank) => Queries::Compressed {
                    down: linear("q_a_proj", rank, width)?,
                    norm: norm("q_a_layernorm", rank)?,
                    up: linear("q_b_proj", heads * query_dim, rank)?,
                },
            },
            compress: linear("kv_a_proj_with_mqa", rank + recipe.rope.dims, width)?,
            norm: norm("kv_a_layernorm", rank)?,
            growth: match recipe.form {
                Form::Expanded => Growth::Expanded(linear("kv_b_proj", heads * grown, rank)?),
                Form::Absorbed | Form::Joined => Growth::Absorbed {
                    keys: headwise("embed_q", rank, recipe.plain_dim)?,
                    values: headwise("unembed_out", recipe.value_dim, rank)?,
                },
            },
            o: linear("o_proj", width, heads * recipe.value_dim)?,
            rope: RotaryEmbedding::new(&recipe.rope)?,
            latent: recipe.clone(),
        })
    }

    /// Whether it adds its mask itself: of most with short vectors the reference never leaves it to the kernel.
    pub(in crate::models) fn spells_masks_out(&self) -> bool {
        self.latent.form == Form::Absorbed
    }

    /// Mixes `x` (`[batch, n, width]`) with what `cache` holds and leaves the new tokens' part there.
    pub(in crate::models) fn forward(
        &self,
        x: &Array,
        mask: &Mask,
        growths: &mut Growths,
        cache: &mut KeysValues,
    ) -> nn::Result<Array> {
        let mut projected = self.project(x, cache.offset())?;
        let tokens = (cache.offset(), x.dim(1));
        if let Some(factors) = growths.of(self.latent.growth, tokens, x.dtype())? {
            projected.q_plain = projected.q_plain.multiply(&factors)?;
            projected.q_rotated = projected.q_rotated.multiply(&factors)?;
        }
        let mixed = match &self.growth {
            Growth::Expanded(grow) => self.expanded(grow, &projected, mask, cache)?,
            Growth::Absorbed { keys, values } => {
                self.absorbed((keys, values), &projected, mask, cache)?
            }
        };
        self.o.forward(&mixed.transpose_axes(&[0, 2, 1, 3])?.flatten(-2, -1)?)
    }

    fn project(&self, x: &Array, offset: i32) -> nn::Result<Projected> {
        let Latent { heads, rank, plain_dim, .. } = self.latent;
        let q = by_head(&self.queries.forward(x)?, heads)?;
        let [q_plain, q_rotated] = parts(&q, &[plain_dim], -1)?;
        let [latent, k_rotated] = parts(&self.compress.forward(x)?, &[rank], -1)?;
        let k_rotated = by_head(&k_rotated, 1)?;
        Ok(Projected {
            q_plain,
            q_rotated: self.rope.forward(&q_rotated, offset)?,
            latent: self.norm.forward(&latent)?,
            k_rotated: self.rope.forward(&k_rotated, offset)?,
        })
    }

    fn expanded(
        &self,
        grow: &Linear,
        projected: &Projected,
        mask: &Mask,
        cache: &mut KeysValues,
    ) -> nn::Result<Array> {
        let Latent { heads, plain_dim, .. } = self.latent;
        let grown = by_head(&grow.forward(&projected.latent)?, heads)?;
        let [k_plain, v] = parts(&grown, &[plain_dim], -1)?;
        let q = concatenate(&[&projected.q_plain, &projected.q_rotated], -1)?;
        let k = joined(&k_plain, &projected.k_rotated)?;
        cache.attend(&q, (&k, &v), self.latent.scale, mask)
    }

    fn absorbed(
        &self,
        (keys, values): (&HeadwiseLinear, &HeadwiseLinear),
        projected: &Projected,
        mask: &Mask,
        cache: &mut KeysValues,
    ) -> nn::Result<Array> {
        let latent = projected.latent.expand_dims(1)?;
        let (latent, k_rotated) = cache.update_latent(&latent, &projected.k_rotated)?;
        let q_rotated = &projected.q_rotated;
        if self.latent.form == Form::Joined && q_rotated.dim(2) > 1 {
            let q = concatenate(&[&projected.q_plain, q_rotated], -1)?;
            let k = joined(&keys.backward(&latent)?, &k_rotated)?;
            return attention(&q, &k, &values.forward(&latent)?, self.latent.scale, mask);
        }
        nn::note_attention(q_rotated.dim(1), q_rotated.dim(3));
        let scores = q_rotated
            .multiply(nn::scalar(self.latent.scale, q_rotated))?
            .matmul(k_rotated.swap_axes(-1, -2)?)?;
        let scores = match mask {
            Mask::Allowed(allowed) => select(allowed, &scores, lowest(&scores))?,
            Mask::All => scores,
            Mask::Causal => return Err(MlxError::new("latent attention adds its mask itself")),
        };
        if projected.q_plain.dim(2) == 1 {
            let q = keys.forward(&projected.q_plain)?;
            let mixed = attention_with(&q, &latent, &latent, self.latent.scale, &scores)?;
            values.forward(&mixed)
        } else {
            let (k, v) = (keys.backward(&latent)?, values.forward(&latent)?);
            attention_with(&projected.q_plain, &k, &v, self.latent.scale, &scores)
        }
    }
}

impl Queries {
    fn forward(&self, x: &Array) -> nn::Result<Array> {
        match self {
            Self::Direct(q) => q.forward(x),
            Self::Compressed { down, norm, up } => up.forward(&norm.forward(&down.forward(x)?)?),
        }
    }
}

/// Keys of every head, `[batch, heads, n, dim]`, and behind them the rotated part that all share, `[batch, 1, n, dims]`.
fn joined(plain: &Array, rotated: &Array) -> nn::Result<Array> {
    let shape = [plain.dim(0), plain.dim(1), plain.dim(2), rotated.dim(-1)];
    Ok(concatenate(&[plain, &broadcast_to(rotated, &shape)?], -1)?)
}

/// `[batch, n, heads · dim]` as `[batch, heads, n, dim]`.
fn by_head(x: &Array, heads: i32) -> nn::Result<Array> {
    Ok(unflatten(x, -1, &[heads, -1])?.transpose_axes(&[0, 2, 1, 3])?)
}
