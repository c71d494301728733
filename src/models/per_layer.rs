//! Token vectors of every layer's own, beside the residual stream (Gemma 3n and 4).

use mlx_rs::{
    Array,
    ops::{indexing::TryIndexOp, select, zeros_like},
};

use crate::{
    checkpoint::{LoadError, Scope},
    nn::{self, Activation, Embedding, Linear, MlxError, Norm, NormKind, single},
};

/// The shape of per-layer vectors.
pub(super) struct PerLayer {
    pub(super) vocabulary: i32,
    /// Tokens that have vectors of their own here; any other takes those of token 0.
    pub(super) known: i32,
    pub(super) layers: i32,
    /// Width of a layer's vector.
    pub(super) inner: i32,
    pub(super) width: i32,
    pub(super) eps: f32,
}

/// Makes the vectors of all layers from token ids and their embeddings.
pub(super) struct PerLayerVectors {
    table: Embedding,
    projection: Linear,
    norm: Norm,
    recipe: PerLayer,
}

impl PerLayerVectors {
    /// Takes the tensors below `scope`.
    pub(super) fn load(scope: &Scope<'_>, recipe: PerLayer) -> Result<Self, LoadError> {
        let PerLayer { inner, width, eps, .. } = recipe;
        let all = recipe.layers * inner;
        let norm = scope.at("per_layer_projection_norm");
        Ok(Self {
            table: Embedding::load(&scope.at("embed_tokens_per_layer"), recipe.known, all)?,
            projection: Linear::load(&scope.at("per_layer_model_projection"), all, width)?,
            norm: Norm::load(&norm, NormKind::Rms, inner, eps)?,
            recipe,
        })
    }

    /// The vectors of `tokens` (`[batch, n]`), embedded as `x` (`[batch, n, width]`): `[batch, n, inner]` a layer.
    pub(super) fn forward(&self, tokens: &Array, x: &Array) -> nn::Result<Vec<Array>> {
        let &[batch, length] = tokens.shape() else {
            return Err(MlxError::new("tokens take two axes"));
        };
        let PerLayer { layers, inner, width, .. } = self.recipe;
        let shape = [batch, length, layers, inner];
        let looked_up = self.table.forward(&self.known(tokens)?)?;
        let looked_up = times(&looked_up, f64::from(inner).sqrt())?.reshape(&shape)?;
        let projected = self.projection.forward(x)?;
        let projected = times(&projected, f64::from(width).powf(-0.5))?.reshape(&shape)?;
        let projected = self.norm.forward(&projected)?;
        let vectors = times(&projected.add(looked_up)?, 0.5f64.sqrt())?;
        (0..layers).map(|layer| Ok(vectors.try_index((.., .., layer, ..))?)).collect()
    }

    fn known(&self, tokens: &Array) -> nn::Result<Array> {
        if self.recipe.known >= self.recipe.vocabulary {
            return Ok(tokens.clone());
        }
        let is_known = tokens.lt(Array::from_int(self.recipe.known))?;
        Ok(select(is_known, tokens, zeros_like(tokens)?)?)
    }
}

/// Lets a layer's vector into its residual stream.
pub(super) struct PerLayerGate {
    gate: Linear,
    projection: Linear,
    norm: Norm,
}

impl PerLayerGate {
    /// Takes the tensors below `scope`, the place of the layer.
    pub(super) fn load(scope: &Scope<'_>, recipe: &PerLayer) -> Result<Self, LoadError> {
        let PerLayer { inner, width, eps, .. } = *recipe;
        let norm = scope.at("post_per_layer_input_norm");
        Ok(Self {
            gate: Linear::load(&scope.at("per_layer_input_gate"), inner, width)?,
            projection: Linear::load(&scope.at("per_layer_projection"), width, inner)?,
            norm: Norm::load(&norm, NormKind::Rms, width, eps)?,
        })
    }

    /// What to add to the residual stream, of `x` (`[batch, n, width]`) and the layer's `vectors`.
    pub(super) fn forward(&self, x: &Array, vectors: &Array) -> nn::Result<Array> {
        let gated = Activation::GeluTanh.gate(&self.gate.forward(x)?, vectors)?;
        self.norm.forward(&self.projection.forward(&gated)?)
    }
}

fn times(x: &Array, factor: f64) -> nn::Result<Array> {
    Ok(x.multiply(nn::scalar(single(factor), x))?)
}
