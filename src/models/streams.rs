//! Where the residual streams begin and end, and what a block does to those that it does not compute.

use mlx_rs::{
    Array, Dtype,
    ops::{clip, concatenate, indexing::TryIndexOp, mean_axis, stack, tanh},
};

use super::recipe::{self, Recipe};
use crate::{
    checkpoint::{LoadError, Scope},
    nn::{self, Linear, MlxError, Norm, NormKind},
};

/// Makes streams of token vectors, and one vector of each token's streams.
pub(super) struct Streams {
    open: Vec<Linear>,
    close: Vec<Linear>,
}

impl Streams {
    /// Takes the projections of all streams but the first, where `recipe` asks for several.
    pub(super) fn load(scope: &Scope<'_>, recipe: &Recipe) -> Result<Option<Self>, LoadError> {
        let Some(streams) = recipe.extras.streams else {
            return Ok(None);
        };
        let projections = |name| {
            let scope = scope.at(name);
            let project = |index| Linear::load(&scope.at(index), recipe.width, recipe.width);
            (0..streams.count - 1).map(project).collect::<Result<Vec<_>, _>>()
        };
        Ok(Some(Self {
            open: projections("altup_projections")?,
            close: projections("altup_unembed_projections")?,
        }))
    }

    /// `x` (`[batch, n, width]`) and its projections, as long as it: `[streams, batch, n, width]`.
    pub(super) fn open(&self, x: &Array) -> nn::Result<Array> {
        let others = self.open.iter().map(|projection| projection.forward(x));
        joined(x, &others.collect::<Result<Vec<_>, _>>()?)
    }

    /// The mean of all streams, each projected and made as long as the first: `[batch, n, width]`.
    pub(super) fn close(&self, streams: &Array) -> nn::Result<Array> {
        let others = self.close.iter().zip(1..);
        let others = others.map(|(projection, at)| projection.forward(&streams.try_index(at)?));
        let others = others.collect::<Result<Vec<_>, _>>()?;
        Ok(mean_axis(joined(&streams.try_index(0)?, &others)?, 0, None)?)
    }
}

/// `first` and `others`, these made as long as it.
fn joined(first: &Array, others: &[Array]) -> nn::Result<Array> {
    let target = magnitude(first)?;
    let others = stack(others, 0)?;
    let others = others.multiply(target.divide(magnitude(&others)?)?)?;
    Ok(concatenate(&[&first.expand_dims(0)?, &others], 0)?)
}

/// The root mean square of the last axis, which stays.
fn magnitude(x: &Array) -> nn::Result<Array> {
    let squared = x.power(nn::scalar(2.0, x))?;
    Ok(squared.mean_axis(-1, true)?.power(nn::scalar(0.5, x))?)
}

/// Predicts all streams before a block computes one of them, and corrects them after.
pub(super) struct AlternatingUpdates {
    norm: Norm,
    router: Linear,
    router_scale: f32,
    /// `[streams, streams²]`, float32.
    prediction: Array,
    /// `[streams, streams]`, float32.
    correction: Array,
    /// What the active stream is multiplied by before it meets the layer's own vectors: `[width]`.
    output_scale: Array,
    streams: recipe::Streams,
}

impl AlternatingUpdates {
    /// Takes the tensors below `scope`, where `recipe` asks for several streams.
    pub(super) fn load(scope: &Scope<'_>, recipe: &Recipe) -> Result<Option<Self>, LoadError> {
        let Some(streams) = recipe.extras.streams else {
            return Ok(None);
        };
        let (width, count) = (recipe.width, streams.count);
        let coefficients = |name, outputs| -> Result<Array, LoadError> {
            let weight = scope.at(name).take_shaped("weight", &[outputs, count])?;
            let weight = prepared(&weight, streams.clip)?;
            scope.record(&weight, weight.size());
            Ok(weight)
        };
        let norm = scope.at("router_norm");
        Ok(Some(Self {
            norm: Norm::load(&norm, NormKind::Rms, width, recipe.eps)?,
            router: Linear::load(&scope.at("modality_router"), count, width)?,
            router_scale: 1.0 / width as f32,
            prediction: coefficients("prediction_coefs", count * count)?,
            correction: coefficients("correction_coefs", count)?,
            output_scale: scope.take_recorded("correct_output_scale", &[width])?,
            streams,
        }))
    }

    /// Each of `x` (`[streams, batch, n, width]`) as a mixture of all of them.
    pub(super) fn predict(&self, x: &Array) -> nn::Result<Array> {
        let &[_, batch, length, _] = x.shape() else {
            return Err(MlxError::new("streams take four axes"));
        };
        let coefficients = self
            .route(&self.active(x)?)?
            .matmul(&self.prediction)?
            .reshape(&[batch, length, self.streams.count, self.streams.count])?
            .transpose_axes(&[0, 1, 3, 2])?;
        let wide = x.as_dtype(Dtype::Float32)?;
        let mixed = wide
            .transpose_axes(&[1, 2, 3, 0])?
            .matmul(coefficients)?
            .transpose_axes(&[3, 0, 1, 2])?;
        Ok(mixed.add(wide)?.as_dtype(x.dtype())?)
    }

    /// `predictions`, moved by how far the active one is from what was `computed` (`[batch, n, width]`).
    pub(super) fn correct(&self, predictions: &Array, computed: &Array) -> nn::Result<Array> {
        let coefficients = self.route(computed)?.matmul(&self.correction)?;
        let coefficients = coefficients.add(nn::scalar(1.0, &coefficients))?;
        let innovation = computed.subtract(self.active(predictions)?)?.expand_dims(0)?;
        let coefficients = coefficients.move_axis(2, 0)?.expand_dims(-1)?;
        let corrected = innovation.multiply(coefficients)?.add(predictions)?;
        Ok(corrected.as_dtype(computed.dtype())?)
    }

    /// The stream that blocks compute.
    pub(super) fn active(&self, streams: &Array) -> nn::Result<Array> {
        Ok(streams.try_index(self.streams.active)?)
    }

    /// What of the `corrected` streams meets the layer's own vectors: `[batch, n, width]`.
    pub(super) fn output(&self, corrected: &Array) -> nn::Result<Array> {
        let active = self.active(corrected)?;
        if self.streams.is_scaled { Ok(active.multiply(&self.output_scale)?) } else { Ok(active) }
    }

    /// The `corrected` streams, all but the first with `added` (`[batch, n, width]`).
    pub(super) fn add(corrected: &Array, added: &Array) -> nn::Result<Array> {
        let others = corrected.try_index(1..)?.add(added)?;
        Ok(concatenate(&[&corrected.try_index(..1)?, &others], 0)?)
    }

    /// `[batch, n, streams]`, float32, from -1 to 1.
    fn route(&self, x: &Array) -> nn::Result<Array> {
        let x = self.norm.forward(x)?;
        let x = x.multiply(nn::scalar(self.router_scale, &x))?;
        Ok(tanh(self.router.forward(&x)?.as_dtype(Dtype::Float32)?)?)
    }
}

/// Coefficients in single precision, clipped and transposed.
fn prepared(weight: &Array, bound: Option<f32>) -> Result<Array, MlxError> {
    let weight = weight.as_dtype(Dtype::Float32)?;
    let weight = match bound {
        None => weight,
        Some(bound) => clip(weight, (-bound, bound))?,
    };
    Ok(weight.transpose()?)
}
