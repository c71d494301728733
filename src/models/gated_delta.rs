//! The mixer of gated delta networks: a convolution, the gated delta rule and a gate.

use mlx_rs::{Array, ops::concatenate};

use super::{cache::State, keys::unsupported};
use crate::{
    checkpoint::{LoadError, Scope},
    nn::{
        self, Activation, CausalConvolution, GatedDelta, Linear, MlxError, Norm, NormKind, Reading,
        Tail, gate_in_float32,
    },
};

/// All that tells one such mixer from another.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) width: i32,
    /// Heads of queries and keys.
    pub(super) key_heads: i32,
    pub(super) heads: i32,
    pub(super) key_dim: i32,
    pub(super) value_dim: i32,
    /// Positions that the convolution sees.
    pub(super) kernel: i32,
    pub(super) eps: f32,
    /// How the inputs are projected.
    pub(super) inputs: Inputs,
}

/// How the inputs are projected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inputs {
    /// By two matrices, whose rows are ordered by key head.
    ByHead,
    /// By a matrix for each.
    Separate,
}

pub(super) struct GatedDeltaMixer {
    shape: Shape,
    input: Projections,
    convolution: CausalConvolution,
    recurrence: GatedDelta,
    norm: Norm,
    output: Linear,
}

enum Projections {
    ByHead { qkvz: Linear, ba: Linear },
    Separate { qkv: Linear, z: Linear, b: Linear, a: Linear },
}

struct Projected {
    /// Queries, keys and values behind each other: `[batch, n, channels]`.
    qkv: Array,
    /// The gate of the output: `[batch, n, heads, value_dim]`.
    z: Array,
    /// `[batch, n, heads]`.
    b: Array,
    /// `[batch, n, heads]`.
    a: Array,
}

impl Shape {
    fn keys(&self) -> i32 {
        self.key_heads * self.key_dim
    }

    fn values(&self) -> i32 {
        self.heads * self.value_dim
    }
}

impl GatedDeltaMixer {
    /// Takes every tensor below `scope` that `shape` asks for.
    pub(super) fn load(scope: &Scope<'_>, shape: &Shape) -> Result<Self, LoadError> {
        let (keys, values) = (shape.keys(), shape.values());
        if shape.key_heads <= 0 || shape.heads % shape.key_heads != 0 {
            return Err(unsupported(format!(
                "`linear_num_value_heads` {} with `linear_num_key_heads` {}",
                shape.heads, shape.key_heads
            )));
        }
        let linear = |name, outputs| Linear::load(&scope.at(name), outputs, shape.width);
        let channels = 2 * keys + values;
        Ok(Self {
            shape: shape.clone(),
            input: match shape.inputs {
                Inputs::ByHead => Projections::ByHead {
                    qkvz: linear("in_proj_qkvz", channels + values)?,
                    ba: linear("in_proj_ba", 2 * shape.heads)?,
                },
                Inputs::Separate => Projections::Separate {
                    qkv: linear("in_proj_qkv", channels)?,
                    z: linear("in_proj_z", values)?,
                    b: linear("in_proj_b", shape.heads)?,
                    a: linear("in_proj_a", shape.heads)?,
                },
            },
            convolution: CausalConvolution::load(
                &scope.at("conv1d"),
                channels,
                shape.kernel,
                Tail::Copy,
            )?,
            recurrence: GatedDelta::load(scope, shape.heads)?,
            norm: Norm::load(&scope.at("norm"), NormKind::Rms, shape.value_dim, shape.eps)?,
            output: Linear::load(&scope.at("out_proj"), shape.width, values)?,
        })
    }

    /// Mixes `x` (`[batch, n, width]`) with what `state` holds and leaves the new state there.
    pub(super) fn forward(&self, x: &Array, state: &mut State) -> nn::Result<Array> {
        let &[batch, length, _] = x.shape() else {
            return Err(MlxError::new("hidden states take three axes"));
        };
        let Shape { key_heads, heads, .. } = self.shape;
        let Projected { qkv, z, b, a } = self.project(x, batch, length)?;
        let mixed =
            Activation::Silu.forward(&self.convolution.forward(&qkv, &mut state.window)?)?;
        let keys = self.shape.keys();
        let [q, k, v] = parts(&mixed, &[keys, 2 * keys])?;
        let by_head = |x: &Array, heads| x.reshape(&[batch, length, heads, -1]);
        let reading = Reading {
            q: &by_head(&q, key_heads)?,
            k: &by_head(&k, key_heads)?,
            v: &by_head(&v, heads)?,
            a: &a,
            b: &b,
        };
        let y = self.recurrence.forward(&reading, &mut state.memory)?;
        let y = gate_in_float32(&z, &self.norm.forward(&y)?)?.as_dtype(y.dtype())?;
        self.output.forward(&y.reshape(&[batch, length, -1])?)
    }

    fn project(&self, x: &Array, batch: i32, length: i32) -> nn::Result<Projected> {
        let Shape { key_heads, heads, key_dim, value_dim, .. } = self.shape;
        match &self.input {
            Projections::Separate { qkv, z, b, a } => Ok(Projected {
                qkv: qkv.forward(x)?,
                z: z.forward(x)?.reshape(&[batch, length, heads, value_dim])?,
                b: b.forward(x)?,
                a: a.forward(x)?,
            }),
            Projections::ByHead { qkvz, ba } => {
                let by_head = |x: Array| x.reshape(&[batch, length, key_heads, -1]);
                let (qkvz, ba) = (by_head(qkvz.forward(x)?)?, by_head(ba.forward(x)?)?);
                let values = heads / key_heads * value_dim;
                let [q, k, v, z] = parts(&qkvz, &[key_dim, 2 * key_dim, 2 * key_dim + values])?;
                let [b, a] = parts(&ba, &[heads / key_heads])?;
                let flat = |x: &Array| x.reshape(&[batch, length, -1]);
                Ok(Projected {
                    qkv: concatenate(&[flat(&q)?, flat(&k)?, flat(&v)?], -1)?,
                    z: z.reshape(&[batch, length, heads, value_dim])?,
                    b: flat(&b)?,
                    a: flat(&a)?,
                })
            }
        }
    }
}

/// The parts of the last axis of `x` that end at `ends` and at its end.
fn parts<const N: usize>(x: &Array, ends: &[i32]) -> nn::Result<[Array; N]> {
    let parts = x.split_at_indices(ends, -1)?;
    <[Array; N]>::try_from(parts).map_err(|_| MlxError::new("a split has another number of parts"))
}
