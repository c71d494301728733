//! One block of Gemma 3n.

use mlx_rs::{
    Array,
    ops::{concatenate, indexing::TryIndexOp},
};

use super::{config::Config, streams::AlternatingUpdates};
use crate::{
    checkpoint::{LoadError, Scope},
    models::{
        cache::KeysValues,
        lending::{Kind, LendingAttention},
        per_layer::PerLayerGate,
    },
    nn::{self, Activation, Linear, Mask, Norm, NormKind, SparseGelu},
};

pub(super) struct Block {
    updates: AlternatingUpdates,
    attention: LendingAttention,
    shortcut: Shortcut,
    feed_forward: FeedForward,
    before_attention: Norm,
    after_attention: Norm,
    before_feed_forward: Norm,
    after_feed_forward: Norm,
    gate: PerLayerGate,
    /// What the active stream is multiplied by before it meets the gate: `[width]`.
    output_scale: Option<Array>,
}

impl Block {
    /// Takes the tensors of layer `index`, which is below `scope`.
    pub(super) fn load(
        scope: &Scope<'_>,
        config: &Config,
        index: usize,
        kind: Kind,
    ) -> Result<Self, LoadError> {
        let (width, eps) = (config.hidden_size, config.rms_norm_eps);
        let norm = |name| Norm::load(&scope.at(name), NormKind::Rms, width, eps);
        let updates = scope.at("altup");
        let scale = updates.take_shaped("correct_output_scale", &[width])?;
        updates.record(&scale, scale.size());
        let attention = config.attention(index, kind);
        Ok(Self {
            updates: AlternatingUpdates::load(&updates, config)?,
            attention: LendingAttention::load(&scope.at("self_attn"), &attention)?,
            shortcut: Shortcut::load(&scope.at("laurel"), config)?,
            feed_forward: FeedForward::load(&scope.at("mlp"), config, index)?,
            before_attention: norm("input_layernorm")?,
            after_attention: norm("post_attention_layernorm")?,
            before_feed_forward: norm("pre_feedforward_layernorm")?,
            after_feed_forward: norm("post_feedforward_layernorm")?,
            gate: PerLayerGate::load(scope, &config.per_layer())?,
            output_scale: Some(scale).filter(|_| config.altup_correct_scale),
        })
    }

    /// Transforms the streams `x` (`[streams, batch, n, width]`), with this layer's own `vectors`.
    pub(super) fn forward(
        &self,
        x: &Array,
        vectors: &Array,
        mask: &Mask,
        offset: i32,
        cache: &mut KeysValues,
    ) -> nn::Result<Array> {
        let predictions = self.updates.predict(x)?;
        let computed = self.compute(&self.updates.active(&predictions)?, mask, offset, cache)?;
        let corrected = self.updates.correct(&predictions, &computed)?;
        let mut active = self.updates.active(&corrected)?;
        if let Some(scale) = &self.output_scale {
            active = active.multiply(scale)?;
        }
        let added = self.gate.forward(&active, vectors)?;
        let others = corrected.try_index(1..)?.add(added)?;
        Ok(concatenate(&[&corrected.try_index(..1)?, &others], 0)?)
    }

    /// What a block usually is, of one stream `x` (`[batch, n, width]`).
    fn compute(
        &self,
        x: &Array,
        mask: &Mask,
        offset: i32,
        cache: &mut KeysValues,
    ) -> nn::Result<Array> {
        let normed = self.before_attention.forward(x)?;
        let shortcut = self.shortcut.forward(&normed)?;
        let attended = self.attention.forward(&normed, mask, offset, cache)?;
        let x = x.add(self.after_attention.forward(&attended)?)?;
        let x = x.add(shortcut)?;
        let x = x.multiply(nn::scalar(std::f32::consts::FRAC_1_SQRT_2, &x))?;
        let fed = self.feed_forward.forward(&self.before_feed_forward.forward(&x)?)?;
        Ok(x.add(self.after_feed_forward.forward(&fed)?)?)
    }
}

/// A low-rank way around attention (`LAuReL`).
struct Shortcut {
    left: Linear,
    right: Linear,
    norm: Norm,
}

impl Shortcut {
    fn load(scope: &Scope<'_>, config: &Config) -> Result<Self, LoadError> {
        let (width, rank) = (config.hidden_size, config.laurel_rank);
        let norm = scope.at("post_laurel_norm");
        Ok(Self {
            left: Linear::load(&scope.at("linear_left"), rank, width)?,
            right: Linear::load(&scope.at("linear_right"), width, rank)?,
            norm: Norm::load(&norm, NormKind::Rms, width, config.rms_norm_eps)?,
        })
    }

    fn forward(&self, x: &Array) -> nn::Result<Array> {
        let through = self.right.forward(&self.left.forward(x)?)?;
        Ok(x.add(self.norm.forward(&through)?)?)
    }
}

/// The feed-forward half, of which some layers keep few units.
struct FeedForward {
    gate: Linear,
    up: Linear,
    down: Linear,
    sparse: Option<SparseGelu>,
}

impl FeedForward {
    fn load(scope: &Scope<'_>, config: &Config, index: usize) -> Result<Self, LoadError> {
        let (width, inner) = (config.hidden_size, config.inner(index)?);
        Ok(Self {
            gate: Linear::load(&scope.at("gate_proj"), inner, width)?,
            up: Linear::load(&scope.at("up_proj"), inner, width)?,
            down: Linear::load(&scope.at("down_proj"), width, inner)?,
            sparse: match config.sparsity(index)? {
                Some(dropped) => Some(SparseGelu::new(dropped)?),
                None => None,
            },
        })
    }

    fn forward(&self, x: &Array) -> nn::Result<Array> {
        let (gate, up) = (self.gate.forward(x)?, self.up.forward(x)?);
        let gated = match &self.sparse {
            Some(sparse) => sparse.gate(&gate, &up)?,
            None => Activation::GeluTanh.gate(&gate, &up)?,
        };
        self.down.forward(&gated)
    }
}
