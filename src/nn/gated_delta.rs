//! The gated delta rule: a memory that forgets, and of what it is told writes only what it did not know.
//!
//! Paper: Yang et al., "Gated delta networks" (2024). Reference: `mlx_lm.models.gated_delta`, the form that it takes
//! wherever it has no kernel of its own; it has them on Metal, which this is not.

use std::cell::RefCell;

use mlx_rs::{
    Array, Dtype,
    error::Exception,
    fast,
    ops::{indexing::TryIndexOp, logaddexp, sigmoid, stack, zeros_dtype},
    transforms::compile::compile,
};

use super::{MlxError, Result, scalar, single};
use crate::checkpoint::{LoadError, Scope};

/// Added to the sum of squares before its root is taken.
const EPS: f64 = 1e-6;

type Answer<T> = std::result::Result<T, Exception>;
type Ternary = Box<dyn for<'a> FnMut((&'a Array, &'a Array, &'a Array)) -> Answer<Array>>;
type Many = Box<dyn for<'a> FnMut(&'a [Array]) -> Answer<Vec<Array>>>;

thread_local! {
    static FORGETTING: RefCell<Ternary> = RefCell::new(Box::new(compile(forgetting, true)));
    static STEP: RefCell<Many> = RefCell::new(Box::new(compile(step, false)));
}

/// The recurrence of all heads of a layer, with its weights, each `[heads]`.
pub struct GatedDelta {
    decay_log: Array,
    step_bias: Array,
}

/// What the recurrence reads at each position; of keys and queries there may be fewer heads.
pub struct Reading<'a> {
    /// `[batch, n, key_heads, key_dim]`.
    pub q: &'a Array,
    /// `[batch, n, key_heads, key_dim]`.
    pub k: &'a Array,
    /// `[batch, n, heads, value_dim]`.
    pub v: &'a Array,
    /// How much is forgotten, before bias: `[batch, n, heads]`.
    pub a: &'a Array,
    /// How much is written, before the sigmoid: `[batch, n, heads]`.
    pub b: &'a Array,
}

impl GatedDelta {
    /// Loads `A_log` and `dt_bias`.
    ///
    /// # Errors
    ///
    /// When one is missing or of another shape.
    pub fn load(scope: &Scope<'_>, heads: i32) -> std::result::Result<Self, LoadError> {
        let take = |name| {
            let weight = scope.take_shaped(name, &[heads])?;
            scope.record(&weight, weight.size());
            Ok::<_, LoadError>(weight)
        };
        Ok(Self { decay_log: take("A_log")?, step_bias: take("dt_bias")? })
    }

    /// Reads `reading` after what `memory` (`[batch, heads, value_dim, key_dim]`, float32) holds and leaves the new
    /// memory there: `[batch, n, heads, value_dim]`.
    ///
    /// # Errors
    ///
    /// When the shapes do not agree.
    pub fn forward(&self, reading: &Reading<'_>, memory: &mut Option<Array>) -> Result<Array> {
        let (&[batch, length, key_heads, key_dim], &[_, _, heads, value_dim]) =
            (reading.k.shape(), reading.v.shape())
        else {
            return Err(MlxError::new("keys and values take four axes"));
        };
        let (q, k) = normalized(reading.q, reading.k, key_dim)?;
        let beta = sigmoid(reading.b)?;
        let gate = FORGETTING
            .with_borrow_mut(|gate| gate((&self.decay_log, reading.a, &self.step_bias)))?;
        let mut held = match memory.take() {
            Some(held) => held,
            None => zeros_dtype(&[batch, heads, value_dim, key_dim], Dtype::Float32)?,
        };
        let (q, k) = match heads / key_heads {
            ..=1 => (q, k),
            repeats => (
                Array::repeat_axis::<f32>(q, repeats, -2)?,
                Array::repeat_axis::<f32>(k, repeats, -2)?,
            ),
        };
        let mut outputs = Vec::new();
        for position in 0..length {
            let at = |all: &Array| all.try_index((.., position));
            let inputs = [at(&q)?, at(&k)?, at(reading.v)?, at(&gate)?, at(&beta)?, held];
            let both = STEP.with_borrow_mut(|step| step(&inputs))?;
            let Ok([y, new]) = <[Array; 2]>::try_from(both) else {
                return Err(MlxError::new("a step has two results"));
            };
            outputs.push(y);
            held = new;
        }
        *memory = Some(held);
        Ok(stack(&outputs, 1)?)
    }
}

/// Queries and keys of unit length, the queries also divided by the root of `dim`.
fn normalized(q: &Array, k: &Array, dim: i32) -> Result<(Array, Array)> {
    let scale = f64::from(dim).powf(-0.5);
    let (square, eps) = (single(scale.powi(2)), single(EPS * scale.powi(2)));
    let q = fast::rms_norm(q, None, eps)?;
    let k = fast::rms_norm(k, None, eps)?;
    Ok((scalar(square, &q).multiply(q)?, scalar(single(scale), &k).multiply(k)?))
}

/// `exp(-exp(log) · softplus(a + bias))`, what is left of the memory after a step.
fn forgetting((log, a, bias): (&Array, &Array, &Array)) -> Answer<Array> {
    let x = a.add(bias)?;
    let softplus = logaddexp(&x, scalar(0.0, &x))?;
    log.as_dtype(Dtype::Float32)?.exp()?.negative()?.multiply(softplus)?.exp()
}

/// One position: the output `[batch, heads, value_dim]` and the new memory.
fn step(inputs: &[Array]) -> Answer<Vec<Array>> {
    let [q, k, v, gate, beta, memory] = inputs else {
        return Err(Exception::custom("a step has six inputs"));
    };
    let (q_row, k_row) = (q.expand_dims(-2)?, k.expand_dims(-2)?);
    let memory = memory.multiply(gate.expand_dims_axes(&[-2, -1])?)?;
    let known = memory.multiply(&k_row)?.sum_axis(-1, None)?;
    let news = v.subtract(known)?.multiply(beta.expand_dims(-1)?)?;
    let memory = memory.add(k_row.multiply(news.expand_dims(-1)?)?)?;
    let y = memory.multiply(q_row)?.sum_axis(-1, None)?;
    Ok(vec![y.as_dtype(q.dtype())?, memory])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_writes_only_what_it_does_not_know() {
        let zero = Array::from_slice(&[0f32], &[1]);
        let rule = GatedDelta { decay_log: zero.clone(), step_bias: zero };
        let row = |value: f32, shape: &[i32]| Array::from_slice(&[value, value], shape);
        let (four, three) = ([1, 2, 1, 1], [1, 2, 1]);
        let mut memory = None;
        let reading = Reading {
            q: &row(3.0, &four),
            k: &row(5.0, &four),
            v: &row(2.0, &four),
            a: &row(0.0, &three),
            b: &row(0.0, &three),
        };
        let y = rule.forward(&reading, &mut memory).unwrap();
        let y = y.contiguous().unwrap();
        let y = y.try_as_slice::<f32>().unwrap();
        // Keys and queries become 1; exp(-ln 2) = ½ is kept and σ(0) = ½ of what is new is written: first
        // ½ · 2 = 1, then ½ + ½ · (2 - ½) = 1.25.
        assert!((y[0] - 1.0).abs() < 1e-5, "{y:?}");
        assert!((y[1] - 1.25).abs() < 1e-5, "{y:?}");
        let memory = memory.unwrap();
        assert_eq!(memory.shape(), [1, 1, 1, 1]);
        assert_eq!(memory.dtype(), Dtype::Float32);
    }
}
