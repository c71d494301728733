//! One block of Gemma 4.

use mlx_rs::Array;

use super::{config::Config, mixture::Mixture};
use crate::{
    checkpoint::{LoadError, Scope},
    models::{
        cache::KeysValues,
        feed_forward::FeedForward,
        lending::{Kind, LendingAttention},
        per_layer::PerLayerGate,
        recipe,
    },
    nn::{self, Activation, Mask, Norm, NormKind},
};

pub(super) struct Block {
    attention: LendingAttention,
    feed_forward: FeedForward,
    mixture: Option<Mixture>,
    before_attention: Norm,
    after_attention: Norm,
    before_feed_forward: Norm,
    after_feed_forward: Norm,
    gate: Option<PerLayerGate>,
    /// What its output is multiplied by. Shape `[1]`.
    scalar: Array,
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
        let attention = config.attention(index, kind)?;
        let feed_forward = recipe::FeedForward::gated(Activation::GegluTanh, config.inner(index));
        let scalar = scope.take_shaped("layer_scalar", &[1])?;
        scope.record(&scalar, 1);
        Ok(Self {
            attention: LendingAttention::load(&scope.at("self_attn"), &attention)?,
            feed_forward: FeedForward::load(&scope.at("mlp"), width, &feed_forward)?,
            mixture: match config.experts()? {
                None => None,
                Some(sizes) => Some(Mixture::load(scope, config, sizes)?),
            },
            before_attention: norm("input_layernorm")?,
            after_attention: norm("post_attention_layernorm")?,
            before_feed_forward: norm("pre_feedforward_layernorm")?,
            after_feed_forward: norm("post_feedforward_layernorm")?,
            gate: match config.per_layer() {
                None => None,
                Some(recipe) => Some(PerLayerGate::load(scope, &recipe)?),
            },
            scalar,
        })
    }

    /// Transforms `x` (`[batch, n, width]`), with this layer's own `vectors` where the model has such.
    pub(super) fn forward(
        &self,
        x: &Array,
        vectors: Option<&Array>,
        mask: &Mask,
        offset: i32,
        cache: &mut KeysValues,
    ) -> nn::Result<Array> {
        let normed = self.before_attention.forward(x)?;
        let attended = self.attention.forward(&normed, mask, offset, cache)?;
        let x = x.add(self.after_attention.forward(&attended)?)?;
        let normed = self.before_feed_forward.forward(&x)?;
        let mut fed = self.feed_forward.forward(&normed)?;
        if let Some(mixture) = &self.mixture {
            fed = mixture.forward(&x, &fed)?;
        }
        let mut x = x.add(self.after_feed_forward.forward(&fed)?)?;
        if let (Some(gate), Some(vectors)) = (&self.gate, vectors) {
            x = x.add(gate.forward(&x, vectors)?)?;
        }
        Ok(x.multiply(&self.scalar)?)
    }
}
