//! The mixer of gated delta networks: a convolution, the gated delta rule and a gate.

use mlx_rs::{
    Array,
    ops::{concatenate, unflatten},
};

use super::{cache::State, keys::unsupported};
use crate::{
    checkpoint::{LoadError, Scope},
    nn::{
        self, Activation, CausalConvolution, GatedDelta, Linear, Norm, NormKind, Reading, Tail,
        gate_in_float32, parts,
    },
};

/// All that tells one such mixer from another.
#[derive(Clone, Debug)]
pub(super) struct Shape {
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
    /// Takes every tensor below `scope` that `shape` asks for; the residual stream is `width` wide.
    pub(super) fn load(scope: &Scope<'_>, width: i32, shape: &Shape) -> Result<Self, LoadError> {
        let (keys, values) = (shape.keys(), shape.values());
        if shape.key_heads <= 0 || shape.heads % shape.key_heads != 0 {
            return Err(unsupported(format!(
                "`linear_num_value_heads` {} with `linear_num_key_heads` {}",
                shape.heads, shape.key_heads
            )));
        }
        let linear = |name, outputs| Linear::load(&scope.at(name), outputs, width);
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
            output: Linear::load(&scope.at("out_proj"), width, values)?,
        })
    }

    /// Mixes `x` (`[batch, n, width]`) with what `state` holds and leaves the new state there.
    pub(super) fn forward(&self, x: &Array, state: &mut State) -> nn::Result<Array> {
        let Shape { key_heads, heads, .. } = self.shape;
        let Projected { qkv, z, b, a } = self.project(x)?;
        let mixed =
            Activation::Silu.forward(&self.convolution.forward(&qkv, &mut state.window)?)?;
        let keys = self.shape.keys();
        let [q, k, v] = parts(&mixed, &[keys, 2 * keys], -1)?;
        let reading = Reading {
            q: &unflatten(q, -1, &[key_heads, -1])?,
            k: &unflatten(k, -1, &[key_heads, -1])?,
            v: &unflatten(v, -1, &[heads, -1])?,
            a: &a,
            b: &b,
        };
        let y = self.recurrence.forward(&reading, &mut state.memory)?;
        let y = gate_in_float32(&z, &self.norm.forward(&y)?)?.as_dtype(y.dtype())?;
        self.output.forward(&y.flatten(-2, -1)?)
    }

    fn project(&self, x: &Array) -> nn::Result<Projected> {
        let Shape { key_heads, heads, key_dim, value_dim, .. } = self.shape;
        let gate = [x.dim(0), x.dim(1), heads, value_dim];
        match &self.input {
            Projections::Separate { qkv, z, b, a } => Ok(Projected {
                qkv: qkv.forward(x)?,
                z: z.forward(x)?.reshape(&gate)?,
                b: b.forward(x)?,
                a: a.forward(x)?,
            }),
            Projections::ByHead { qkvz, ba } => {
                let each = heads / key_heads;
                let ends = [key_dim, 2 * key_dim, 2 * key_dim + each * value_dim];
                let qkvz = unflatten(qkvz.forward(x)?, -1, &[key_heads, -1])?;
                let [q, k, v, z] = parts(&qkvz, &ends, -1)?;
                let ba = unflatten(ba.forward(x)?, -1, &[key_heads, -1])?;
                let [b, a] = parts(&ba, &[each], -1)?;
                let flat = |x: Array| x.flatten(-2, -1);
                Ok(Projected {
                    qkv: concatenate(&[flat(q)?, flat(k)?, flat(v)?], -1)?,
                    z: z.reshape(&gate)?,
                    b: flat(b)?,
                    a: flat(a)?,
                })
            }
        }
    }
}
