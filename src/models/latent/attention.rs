//! Latent attention in its two forms.
//!
//! Reference: `mlx_lm.models.deepseek_v2` (expanded) and `mlx_lm.models.deepseek_v3` (absorbed). The absorbed form
//! takes one token by another path than several, as there; the two differ in the last bits.

use mlx_rs::{
    Array,
    ops::{broadcast_to, concatenate, select},
};

use super::{Form, Latent};
use crate::{
    checkpoint::{LoadError, Scope},
    models::{cache::KeysValues, growth::Growths, recipe::QueryGrowth},
    nn::{
        self, HeadwiseLinear, Linear, Mask, MlxError, Norm, NormKind, RotaryEmbedding, attention,
        attention_with, lowest,
    },
};

pub(in crate::models) struct LatentAttention {
    queries: Queries,
    compress: Linear,
    norm: Norm,
    growth: Growth,
    o: Linear,
    rope: RotaryEmbedding,
    heads: i32,
    rank: i32,
    plain_dim: i32,
    scale: f32,
    form: Form,
    query_growth: QueryGrowth,
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
        let linear = |name, outputs, inputs| Linear::load(&scope.at(name), outputs, inputs);
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
            growth: Growth::load(scope, recipe)?,
            o: linear("o_proj", width, heads * recipe.value_dim)?,
            rope: RotaryEmbedding::new(&recipe.rope)?,
            heads,
            rank,
            plain_dim: recipe.plain_dim,
            scale: recipe.scale,
            form: recipe.form,
            query_growth: recipe.growth,
        })
    }

    /// Whether it adds its mask itself: of most with short vectors the reference never leaves it to the kernel.
    pub(in crate::models) fn spells_masks_out(&self) -> bool {
        self.form == Form::Absorbed
    }

    /// Mixes `x` (`[batch, n, width]`) with what `cache` holds and leaves the new tokens' part there.
    pub(in crate::models) fn forward(
        &self,
        x: &Array,
        mask: &Mask,
        growths: &mut Growths,
        cache: &mut KeysValues,
    ) -> nn::Result<Array> {
        let &[batch, length, _] = x.shape() else {
            return Err(MlxError::new("hidden states take three axes"));
        };
        let mut projected = self.project(x, batch, length, cache.offset())?;
        let tokens = (cache.offset(), length);
        if let Some(factors) = growths.of(self.query_growth, tokens, x.dtype())? {
            projected.q_plain = projected.q_plain.multiply(&factors)?;
            projected.q_rotated = projected.q_rotated.multiply(&factors)?;
        }
        let mixed = match &self.growth {
            Growth::Expanded(grow) => self.expanded(grow, &projected, mask, cache)?,
            Growth::Absorbed { keys, values } => {
                self.absorbed((keys, values), &projected, mask, cache)?
            }
        };
        let mixed = mixed.transpose_axes(&[0, 2, 1, 3])?.reshape(&[batch, length, -1])?;
        self.o.forward(&mixed)
    }

    fn project(&self, x: &Array, batch: i32, length: i32, offset: i32) -> nn::Result<Projected> {
        let q = self.queries.forward(x)?;
        let q = by_head(&q, &[batch, length, self.heads, -1])?;
        let (q_plain, q_rotated) = halves(&q, self.plain_dim)?;
        let (latent, k_rotated) = halves(&self.compress.forward(x)?, self.rank)?;
        let k_rotated = by_head(&k_rotated, &[batch, length, 1, -1])?;
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
        let &[batch, heads, length, _] = projected.q_plain.shape() else {
            return Err(MlxError::new("queries take four axes"));
        };
        let grown = grow.forward(&projected.latent)?;
        let grown = by_head(&grown, &[batch, length, heads, -1])?;
        let (k_plain, v) = halves(&grown, self.plain_dim)?;
        let k = joined(&k_plain, &projected.k_rotated)?;
        let q = concatenate(&[&projected.q_plain, &projected.q_rotated], -1)?;
        cache.attend(&q, (&k, &v), self.scale, mask)
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
        if self.form == Form::Joined && q_rotated.dim(2) > 1 {
            let (k, v) = (keys.backward(&latent)?, values.forward(&latent)?);
            let q = concatenate(&[&projected.q_plain, q_rotated], -1)?;
            let k = joined(&k, &k_rotated)?;
            return attention(&q, &k, &v, self.scale, mask);
        }
        let scores = q_rotated
            .multiply(nn::scalar(self.scale, q_rotated))?
            .matmul(k_rotated.swap_axes(-1, -2)?)?;
        let scores = match mask {
            Mask::Allowed(allowed) => select(allowed, &scores, lowest(&scores))?,
            Mask::All => scores,
            Mask::Causal => return Err(MlxError::new("latent attention adds its mask itself")),
        };
        if projected.q_plain.dim(2) == 1 {
            let q = keys.forward(&projected.q_plain)?;
            let mixed = attention_with(&q, &latent, &latent, self.scale, &scores)?;
            values.forward(&mixed)
        } else {
            let (k, v) = (keys.backward(&latent)?, values.forward(&latent)?);
            attention_with(&projected.q_plain, &k, &v, self.scale, &scores)
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

impl Growth {
    fn load(scope: &Scope<'_>, recipe: &Latent) -> Result<Self, LoadError> {
        let (heads, rank) = (recipe.heads, recipe.rank);
        let (plain, value) = (recipe.plain_dim, recipe.value_dim);
        Ok(match recipe.form {
            Form::Expanded => {
                let scope = scope.at("kv_b_proj");
                Self::Expanded(Linear::load(&scope, heads * (plain + value), rank)?)
            }
            Form::Absorbed | Form::Joined => Self::Absorbed {
                keys: HeadwiseLinear::load(&scope.at("embed_q"), heads, rank, plain)?,
                values: HeadwiseLinear::load(&scope.at("unembed_out"), heads, value, rank)?,
            },
        })
    }
}

/// Keys of every head, `[batch, heads, n, dim]`, and behind them the rotated part that all share, `[batch, 1, n, dims]`.
fn joined(plain: &Array, rotated: &Array) -> nn::Result<Array> {
    let mut shape = plain.shape().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = rotated.dim(-1);
    }
    Ok(concatenate(&[plain, &broadcast_to(rotated, &shape)?], -1)?)
}

/// `[batch, n, …]`, reshaped to `[batch, n, heads, dim]`, as `[batch, heads, n, dim]`.
fn by_head(x: &Array, shape: &[i32]) -> nn::Result<Array> {
    Ok(x.reshape(shape)?.transpose_axes(&[0, 2, 1, 3])?)
}

/// The first `at` elements of the last axis, and the others.
fn halves(x: &Array, at: i32) -> nn::Result<(Array, Array)> {
    let parts: [Array; 2] = x
        .split_at_indices(&[at], -1)?
        .try_into()
        .map_err(|_| MlxError::new("a split at one place has two parts"))?;
    let [first, second] = parts;
    Ok((first, second))
}
