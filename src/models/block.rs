//! One block of a decoder: self-attention and a feed-forward half, wired to a recipe.

use mlx_rs::{Array, Dtype, ops::clip};

use super::{
    attention::{Pass, SelfAttention},
    cache::KeysValues,
    feed_forward::FeedForward,
    per_layer::PerLayerGate,
    recipe::{Layer, Recipe, Residual, Wiring},
    shortcut::Shortcut,
    side_experts::SideExperts,
    streams::AlternatingUpdates,
};
use crate::{
    checkpoint::{LoadError, Scope},
    nn::{self, Norm},
};

/// The largest finite float16.
const LARGEST_FLOAT16: f32 = 65_504.0;

/// One block, with its weights.
pub(super) struct Block {
    pub(super) attention: SelfAttention,
    feed_forward: FeedForward,
    before_attention: Option<Norm>,
    after_attention: Option<Norm>,
    before_feed_forward: Option<Norm>,
    after_feed_forward: Option<Norm>,
    wiring: Wiring,
    residual: Residual,
    /// What the output is multiplied by, where it is. Shape `[1]`.
    scalar: Option<Array>,
    gate: Option<PerLayerGate>,
    experts: Option<SideExperts>,
    shortcut: Option<Shortcut>,
    updates: Option<AlternatingUpdates>,
}

impl Block {
    /// Takes every tensor below `scope` that `layer` asks for.
    pub(super) fn load(
        scope: &Scope<'_>,
        recipe: &Recipe,
        layer: &Layer,
    ) -> Result<Self, LoadError> {
        let norm = |name| Norm::load(&scope.at(name), recipe.norm, recipe.width, recipe.eps);
        let (first, second) = ("input_layernorm", "post_attention_layernorm");
        let (third, fourth) = ("pre_feedforward_layernorm", "post_feedforward_layernorm");
        // Before and after attention, before and after the feed-forward half.
        let names = match layer.wiring {
            Wiring::Pre | Wiring::ParallelTwoNorms => [Some(first), None, Some(second), None],
            Wiring::Post => [None, Some(second), None, Some(fourth)],
            Wiring::Sandwich | Wiring::SandwichScaled => {
                [Some(first), Some(second), Some(third), Some(fourth)]
            }
            Wiring::Parallel | Wiring::ParallelInTurn => [Some(first), None, None, None],
        };
        let [before_attention, after_attention, before_feed_forward, after_feed_forward] =
            names.map(|name| name.map(norm).transpose());
        Ok(Self {
            attention: SelfAttention::load(&scope.at("self_attn"), recipe, &layer.attention)?,
            feed_forward: FeedForward::load(&scope.at("mlp"), recipe.width, &layer.feed_forward)?,
            before_attention: before_attention?,
            after_attention: after_attention?,
            before_feed_forward: before_feed_forward?,
            after_feed_forward: after_feed_forward?,
            wiring: layer.wiring,
            residual: recipe.residual,
            scalar: if layer.wiring == Wiring::SandwichScaled {
                Some(scope.take_recorded("layer_scalar", &[1])?)
            } else {
                None
            },
            gate: PerLayerGate::load(scope, recipe)?,
            experts: SideExperts::load(scope, recipe)?,
            shortcut: Shortcut::load(&scope.at("laurel"), recipe)?,
            updates: AlternatingUpdates::load(&scope.at("altup"), recipe)?,
        })
    }

    /// Transforms the residual stream `x` (`[batch, n, width]`), or several (`[streams, batch, n, width]`), with the
    /// layer's own `vectors` where the model has such.
    pub(super) fn forward(
        &self,
        x: &Array,
        vectors: Option<&Array>,
        pass: &Pass,
        cache: &mut KeysValues,
    ) -> nn::Result<Array> {
        if let Some(updates) = &self.updates {
            let predictions = updates.predict(x)?;
            let computed = self.compute(&updates.active(&predictions)?, pass, cache)?;
            let corrected = updates.correct(&predictions, &computed)?;
            return match (&self.gate, vectors) {
                (Some(gate), Some(vectors)) => {
                    let added = gate.forward(&updates.output(&corrected)?, vectors)?;
                    AlternatingUpdates::add(&corrected, &added)
                }
                _ => Ok(corrected),
            };
        }
        let mut x = self.compute(x, pass, cache)?;
        if let (Some(gate), Some(vectors)) = (&self.gate, vectors) {
            x = x.add(gate.forward(&x, vectors)?)?;
        }
        match &self.scalar {
            None => Ok(x),
            Some(scalar) => Ok(x.multiply(scalar)?),
        }
    }

    /// What both halves make of one stream `x` (`[batch, n, width]`).
    fn compute(&self, x: &Array, pass: &Pass, cache: &mut KeysValues) -> nn::Result<Array> {
        let read = normalized(self.before_attention.as_ref(), x)?;
        let attended = self.attention.forward(&read, pass, cache)?;
        match self.wiring {
            Wiring::Pre | Wiring::Post | Wiring::Sandwich | Wiring::SandwichScaled => {
                let attended = normalized(self.after_attention.as_ref(), &attended)?;
                let x = self.residual.add(x, &attended)?;
                let x = match &self.shortcut {
                    None => x,
                    Some(shortcut) => shortcut.add(&x, &read)?,
                };
                self.residual.add(&x, &self.fed(&x)?)
            }
            Wiring::Parallel => {
                let fed = self.feed_forward.forward(&read)?;
                self.residual.add(x, &attended.add(fed)?)
            }
            Wiring::ParallelTwoNorms => self.residual.add(x, &attended.add(self.fed(x)?)?),
            Wiring::ParallelInTurn => {
                let fed = self.feed_forward.forward(&read)?;
                self.residual.add(&self.residual.add(x, &attended)?, &fed)
            }
        }
    }

    /// What the second half makes of `x`, between its norms.
    fn fed(&self, x: &Array) -> nn::Result<Array> {
        let read = normalized(self.before_feed_forward.as_ref(), x)?;
        let mut fed = self.feed_forward.forward(&read)?;
        if let Some(experts) = &self.experts {
            fed = experts.forward(x, &fed)?;
        }
        normalized(self.after_feed_forward.as_ref(), &fed)
    }
}

impl Residual {
    /// The stream `x` with what `half` of a block made of it.
    pub(super) fn add(self, x: &Array, half: &Array) -> nn::Result<Array> {
        match self {
            Self::AddTimes(factor) => Ok(x.add(half.multiply(nn::scalar(factor, half))?)?),
            Self::AddClipped if x.dtype() == Dtype::Float16 => {
                let wide = |x: &Array| x.as_dtype(Dtype::Float32);
                let sum = wide(x)?.add(wide(half)?)?;
                let bounds = (-LARGEST_FLOAT16, LARGEST_FLOAT16);
                Ok(clip(sum, bounds)?.as_dtype(Dtype::Float16)?)
            }
            Self::Add | Self::AddClipped => Ok(x.add(half)?),
        }
    }
}

/// `x`, normalized where there is a norm.
fn normalized(norm: Option<&Norm>, x: &Array) -> nn::Result<Array> {
    match norm {
        None => Ok(x.clone()),
        Some(norm) => norm.forward(x),
    }
}
