//! The mixer of Mamba 2: a convolution, a state-space recurrence and a gate.

use mlx_rs::{Array, ops::unflatten};
use serde::Deserialize;

use super::{cache::State, keys::unsupported};
use crate::{
    checkpoint::{LoadError, Scope},
    nn::{
        self, Activation, CausalConvolution, Linear, Norm, NormKind, Precision, StateSpace, Step,
        Tail, parts, unweighted_norm,
    },
};

/// All that tells one such mixer from another.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) heads: i32,
    pub(super) head_dim: i32,
    /// Groups of heads that read and write alike.
    pub(super) groups: i32,
    /// Size of a head's memory for each of its dimensions.
    pub(super) memory: i32,
    /// Positions that the convolution sees.
    pub(super) kernel: i32,
    /// Limits of a time step.
    pub(super) limits: (f32, f32),
    /// In which element type the way around the recurrence is weighed.
    pub(super) through: Precision,
    /// How the output is gated.
    pub(super) gating: Gating,
}

/// `time_step_limit` of a configuration; what has no number, such as infinity, is absent.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct TimeStepLimit(Option<f32>, Option<f32>);

impl From<TimeStepLimit> for (f32, f32) {
    fn from(TimeStepLimit(least, most): TimeStepLimit) -> Self {
        (least.unwrap_or(0.0), most.unwrap_or(f32::INFINITY))
    }
}

/// How the output of the recurrence is gated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Gating {
    /// Without a norm.
    Plain,
    /// Before a norm with this epsilon.
    BeforeNorm(f32),
    /// After a norm with this epsilon.
    AfterNorm(f32),
    /// Before a norm with this epsilon of every group by itself.
    BeforeNormOfGroups(f32),
}

pub(super) struct StateSpaceMixer {
    shape: Shape,
    input: Linear,
    convolution: CausalConvolution,
    recurrence: StateSpace,
    gate: Gate,
    output: Linear,
}

enum Gate {
    Plain,
    BeforeNorm(Norm),
    AfterNorm(Norm),
    BeforeNormOfGroups { weight: Array, eps: f32 },
}

impl Shape {
    /// Width inside the mixer.
    fn inner(&self) -> i32 {
        self.heads * self.head_dim
    }

    /// Channels that are convolved.
    fn channels(&self) -> i32 {
        self.inner() + 2 * self.groups * self.memory
    }
}

impl StateSpaceMixer {
    /// Takes every tensor below `scope` that `shape` asks for; the residual stream is `width` wide.
    pub(super) fn load(scope: &Scope<'_>, width: i32, shape: &Shape) -> Result<Self, LoadError> {
        if shape.groups <= 0 || shape.heads % shape.groups != 0 {
            return Err(unsupported(format!(
                "a recurrence of {} heads in {} groups",
                shape.heads, shape.groups
            )));
        }
        let (inner, channels) = (shape.inner(), shape.channels());
        let norm = |eps| Norm::load(&scope.at("norm"), NormKind::Rms, inner, eps);
        let convolution = &scope.at("conv1d");
        Ok(Self {
            shape: shape.clone(),
            input: Linear::load(&scope.at("in_proj"), inner + channels + shape.heads, width)?,
            convolution: CausalConvolution::load(convolution, channels, shape.kernel, Tail::View)?,
            recurrence: StateSpace::load(scope, shape.heads, shape.limits)?,
            gate: match shape.gating {
                Gating::Plain => Gate::Plain,
                Gating::BeforeNorm(eps) => Gate::BeforeNorm(norm(eps)?),
                Gating::AfterNorm(eps) => Gate::AfterNorm(norm(eps)?),
                Gating::BeforeNormOfGroups(eps) => {
                    let weight = scope.at("norm").take_shaped("weight", &[inner])?;
                    scope.record(&weight, weight.size());
                    Gate::BeforeNormOfGroups { weight, eps }
                }
            },
            output: Linear::load(&scope.at("out_proj"), width, inner)?,
        })
    }

    /// Mixes `x` (`[batch, n, width]`) with what `state` holds and leaves the new state there.
    pub(super) fn forward(&self, x: &Array, state: &mut State) -> nn::Result<Array> {
        let Shape { heads, groups, memory, .. } = self.shape;
        let (inner, channels) = (self.shape.inner(), self.shape.channels());
        let projected = self.input.forward(x)?;
        let [gate, mixed, time] = parts(&projected, &[inner, inner + channels], -1)?;
        let convolved =
            Activation::Silu.forward(&self.convolution.forward(&mixed, &mut state.window)?)?;
        let [x, write, read] = parts(&convolved, &[inner, inner + groups * memory], -1)?;
        let step = Step {
            x: &unflatten(x, -1, &[heads, -1])?,
            write: &unflatten(write, -1, &[groups, memory])?,
            read: &unflatten(read, -1, &[groups, memory])?,
            time: &time,
        };
        let y = self.recurrence.forward(&step, &mut state.memory, self.shape.through)?;
        self.output.forward(&self.gated(&y.flatten(-2, -1)?, &gate)?)
    }

    fn gated(&self, y: &Array, gate: &Array) -> nn::Result<Array> {
        match &self.gate {
            Gate::Plain => Activation::Silu.gate(gate, y),
            Gate::BeforeNorm(norm) => norm.forward(&Activation::Silu.gate(gate, y)?),
            Gate::AfterNorm(norm) => Activation::Silu.gate(gate, &norm.forward(y)?),
            Gate::BeforeNormOfGroups { weight, eps } => {
                let gated = Activation::Silu.gate(gate, y)?;
                let groups = unflatten(gated, -1, &[self.shape.groups, -1])?;
                Ok(weight.multiply(unweighted_norm(&groups, *eps)?.flatten(-2, -1)?)?)
            }
        }
    }
}
