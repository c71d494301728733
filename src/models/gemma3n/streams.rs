//! Where the residual streams begin and end, and what a block does to those that it does not compute.

use mlx_rs::{
    Array, Dtype,
    ops::{clip, concatenate, indexing::TryIndexOp, mean_axis, stack, tanh},
};

use super::config::Config;
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
    /// Takes the projections of all `streams` but the first, each `width` wide.
    pub(super) fn load(scope: &Scope<'_>, streams: i32, width: i32) -> Result<Self, LoadError> {
        let projections = |name| {
            let scope = scope.at(name);
            (1..streams)
                .zip(0..)
                .map(|(_, index): (i32, i32)| Linear::load(&scope.at(index), width, width))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            open: projections("altup_projections")?,
            close: projections("altup_unembed_projections")?,
        })
    }

    /// `x` (`[batch, n, width]`) and its projections, as long as it: `[streams, batch, n, width]`.
    pub(super) fn open(&self, x: &Array) -> nn::Result<Array> {
        let others: Vec<Array> =
            self.open.iter().map(|projection| projection.forward(x)).collect::<Result<_, _>>()?;
        joined(x, &others)
    }

    /// The mean of all streams, each projected and made as long as the first: `[batch, n, width]`.
    pub(super) fn close(&self, streams: &Array) -> nn::Result<Array> {
        let first = streams.try_index(0)?;
        let others: Vec<Array> = self
            .close
            .iter()
            .zip(1..)
            .map(|(projection, at)| projection.forward(&streams.try_index(at)?))
            .collect::<Result<_, _>>()?;
        Ok(mean_axis(joined(&first, &others)?, 0, None)?)
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
    streams: i32,
    active: i32,
}

impl AlternatingUpdates {
    /// Takes the tensors below `scope`.
    pub(super) fn load(scope: &Scope<'_>, config: &Config) -> Result<Self, LoadError> {
        let (width, streams) = (config.hidden_size, config.altup_num_inputs);
        let coefficients = |name, outputs| -> Result<Array, LoadError> {
            let weight = scope.at(name).take_shaped("weight", &[outputs, streams])?;
            let weight = prepared(&weight, config.altup_coef_clip)?;
            scope.record(&weight, weight.size());
            Ok(weight)
        };
        let norm = scope.at("router_norm");
        Ok(Self {
            norm: Norm::load(&norm, NormKind::Rms, width, config.rms_norm_eps)?,
            router: Linear::load(&scope.at("modality_router"), streams, width)?,
            router_scale: 1.0 / width as f32,
            prediction: coefficients("prediction_coefs", streams * streams)?,
            correction: coefficients("correction_coefs", streams)?,
            streams,
            active: config.altup_active_idx,
        })
    }

    /// Each of `x` (`[streams, batch, n, width]`) as a mixture of all of them.
    pub(super) fn predict(&self, x: &Array) -> nn::Result<Array> {
        let &[_, batch, length, _] = x.shape() else {
            return Err(MlxError::new("streams take four axes"));
        };
        let coefficients = self
            .route(&self.active(x)?)?
            .matmul(&self.prediction)?
            .reshape(&[batch, length, self.streams, self.streams])?
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
        Ok(streams.try_index(self.active)?)
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
