//! Token vectors of every layer's own, beside the residual stream (Gemma 3n and 4).

use mlx_rs::{
    Array,
    ops::{indexing::TryIndexOp, select, zeros_like},
};

use super::recipe::{PerLayer, Recipe};
use crate::{
    checkpoint::{LoadError, Scope},
    nn::{self, Activation, Embedding, Linear, MlxError, Norm, NormKind, single},
};

/// Makes the vectors of all layers from token ids and their embeddings.
pub(super) struct PerLayerVectors {
    table: Embedding,
    projection: Linear,
    norm: Norm,
    /// Tokens that the table knows, where there are others.
    known: Option<i32>,
    layers: i32,
    inner: i32,
    width: i32,
}

impl PerLayerVectors {
    /// Takes the tensors below `scope`, where `recipe` asks for such vectors.
    pub(super) fn load(scope: &Scope<'_>, recipe: &Recipe) -> Result<Option<Self>, LoadError> {
        let Some(PerLayer { known, inner }) = recipe.extras.per_layer else {
            return Ok(None);
        };
        let layers = i32::try_from(recipe.layers.len()).unwrap_or(0);
        let (all, width) = (layers * inner, recipe.width);
        let norm = scope.at("per_layer_projection_norm");
        Ok(Some(Self {
            table: Embedding::load(&scope.at("embed_tokens_per_layer"), known, all)?,
            projection: Linear::load(&scope.at("per_layer_model_projection"), all, width)?,
            norm: Norm::load(&norm, NormKind::Rms, inner, recipe.eps)?,
            known: Some(known).filter(|known| *known < recipe.vocabulary),
            layers,
            inner,
            width,
        }))
    }

    /// The vectors of `tokens` (`[batch, n]`), embedded as `x` (`[batch, n, width]`): `[batch, n, inner]` a layer.
    pub(super) fn forward(&self, tokens: &Array, x: &Array) -> nn::Result<Vec<Array>> {
        let &[batch, length] = tokens.shape() else {
            return Err(MlxError::new("tokens take two axes"));
        };
        let shape = [batch, length, self.layers, self.inner];
        let looked_up = self.table.forward(&self.known(tokens)?)?;
        let looked_up = times(&looked_up, f64::from(self.inner).sqrt())?.reshape(&shape)?;
        let projected = self.projection.forward(x)?;
        let projected = times(&projected, f64::from(self.width).powf(-0.5))?.reshape(&shape)?;
        let projected = self.norm.forward(&projected)?;
        let vectors = times(&projected.add(looked_up)?, 0.5f64.sqrt())?;
        (0..self.layers).map(|layer| Ok(vectors.try_index((.., .., layer, ..))?)).collect()
    }

    fn known(&self, tokens: &Array) -> nn::Result<Array> {
        let Some(known) = self.known else {
            return Ok(tokens.clone());
        };
        let is_known = tokens.lt(Array::from_int(known))?;
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
    /// Takes the tensors below `scope`, the place of the layer, where `recipe` asks for such vectors.
    pub(super) fn load(scope: &Scope<'_>, recipe: &Recipe) -> Result<Option<Self>, LoadError> {
        let Some(PerLayer { inner, .. }) = recipe.extras.per_layer else {
            return Ok(None);
        };
        let width = recipe.width;
        let norm = scope.at("post_per_layer_input_norm");
        Ok(Some(Self {
            gate: Linear::load(&scope.at("per_layer_input_gate"), inner, width)?,
            projection: Linear::load(&scope.at("per_layer_projection"), width, inner)?,
            norm: Norm::load(&norm, NormKind::Rms, width, recipe.eps)?,
        }))
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
