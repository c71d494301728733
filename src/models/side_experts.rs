//! Experts beside the feed-forward half of every block (the larger Gemma 4).

use mlx_rs::{
    Array, fast,
    ops::{argpartition_axis, indexing::TryIndexOp, softmax_axis},
};

use super::recipe::{self, Recipe};
use crate::{
    checkpoint::{LoadError, Scope},
    nn::{self, Activation, Experts, Linear, MlxError, Norm, NormKind, scalar, single},
};

/// Experts beside a feed-forward half, with their weights.
pub(super) struct SideExperts {
    after_dense: Norm,
    router: Router,
    before_experts: Norm,
    experts: Experts,
    after_experts: Norm,
}

impl SideExperts {
    /// Takes the tensors of the block at `scope` that belong to its experts, where `recipe` asks for such.
    pub(super) fn load(scope: &Scope<'_>, recipe: &Recipe) -> Result<Option<Self>, LoadError> {
        let Some(asked) = recipe.extras.experts else {
            return Ok(None);
        };
        let (width, eps) = (recipe.width, recipe.eps);
        let norm = |name| Norm::load(&scope.at(name), NormKind::Rms, width, eps);
        let experts = scope.at("experts.switch_glu");
        let shape = (asked.count, asked.inner);
        Ok(Some(Self {
            after_dense: norm("post_feedforward_layernorm_1")?,
            router: Router::load(&scope.at("router"), (width, eps), asked)?,
            before_experts: norm("pre_feedforward_layernorm_2")?,
            experts: Experts::load(&experts, shape, width, Activation::GegluTanh)?,
            after_experts: norm("post_feedforward_layernorm_2")?,
        }))
    }

    /// What experts and the feed-forward half say together of `x` (`[batch, n, width]`), the latter having said
    /// `dense`.
    pub(super) fn forward(&self, x: &Array, dense: &Array) -> nn::Result<Array> {
        let dense = self.after_dense.forward(dense)?;
        let (chosen, weights) = self.router.forward(x)?;
        let y = self.experts.forward(&self.before_experts.forward(x)?, &chosen)?;
        let y = weights.expand_dims(-1)?.multiply(y)?.sum_axis(-2, false)?;
        Ok(dense.add(self.after_experts.forward(&y)?)?)
    }
}

/// Chooses experts by the logits of what it normalizes itself, and weighs each by a number of its own.
struct Router {
    /// `[width]`.
    norm: Array,
    eps: f32,
    projection: Linear,
    /// `[experts]`.
    scales: Array,
    chosen: i32,
}

impl Router {
    fn load(
        scope: &Scope<'_>,
        (width, eps): (i32, f32),
        asked: recipe::SideExperts,
    ) -> Result<Self, LoadError> {
        let norm = scope.take_shaped("scale", &[width])?;
        let root = scalar(single(f64::from(width).powf(-0.5)), &norm);
        let norm = norm.multiply(root).map_err(MlxError::from)?;
        scope.record(&norm, norm.size());
        Ok(Self {
            norm,
            eps,
            projection: Linear::load(&scope.at("proj"), asked.count, width)?,
            scales: scope.take_recorded("per_expert_scale", &[asked.count])?,
            chosen: asked.chosen,
        })
    }

    /// The experts of each token of `x` (`[batch, n, width]`) and their weights, both `[batch, n, chosen]`.
    fn forward(&self, x: &Array) -> nn::Result<(Array, Array)> {
        let normed = fast::rms_norm(x, Some(&self.norm), self.eps)?;
        let logits = self.projection.forward(&normed)?;
        let k = self.chosen;
        let chosen = argpartition_axis(&logits, -k, -1)?.try_index((.., .., -k..))?;
        let weights = softmax_axis(logits.take_along_axis(&chosen, -1)?, -1, false)?;
        let weights = weights.multiply(self.scales.take_axis(&chosen, 0)?)?;
        Ok((chosen, weights))
    }
}
