//! The state-space recurrence of Mamba 2, in its chunked matrix form.
//!
//! Paper: Dao and Gu, "Transformers are SSMs" (2024). Reference: `mlx_lm.models.ssm`, which takes this form wherever
//! it has no kernel of its own; it has one on Metal, for single tokens, which this is not.

use std::cell::RefCell;

use mlx_rs::{
    Array, Dtype,
    error::Exception,
    ops::{clip, concatenate, indexing::TryIndexOp, logaddexp, tril},
    transforms::compile::compile,
};

use super::{MlxError, Result, scalar};
use crate::checkpoint::{LoadError, Scope};

/// Tokens that are read as one matrix product.
const CHUNK: i32 = 256;

type Binary =
    Box<dyn for<'a> FnMut((&'a Array, &'a Array)) -> std::result::Result<Array, Exception>>;

thread_local! {
    /// Compiled once a thread and limits, which are constants of the compiled code.
    static TIME_STEPS: RefCell<Vec<((f32, f32), Binary)>> = const { RefCell::new(Vec::new()) };
}

/// The recurrence of all heads of a layer, with its weights, each `[heads]`.
pub struct StateSpace {
    decay_log: Array,
    step_bias: Array,
    through: Array,
    limits: (f32, f32),
}

/// In which element type a weight takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// In that of the checkpoint, which may widen what it meets.
    Stored,
    /// In that of the input.
    Input,
}

/// What the recurrence reads at each position.
pub struct Step<'a> {
    /// What goes in: `[batch, n, heads, dim]`.
    pub x: &'a Array,
    /// How it is written to the memory: `[batch, n, groups, size]`.
    pub write: &'a Array,
    /// How the memory is read: `[batch, n, groups, size]`.
    pub read: &'a Array,
    /// How much time passes, before bias and limits: `[batch, n, heads]`.
    pub time: &'a Array,
}

impl StateSpace {
    /// Loads `A_log`, `dt_bias` and `D`; time steps are clipped to `limits`.
    ///
    /// # Errors
    ///
    /// When one is missing or of another shape.
    pub fn load(
        scope: &Scope<'_>,
        heads: i32,
        limits: (f32, f32),
    ) -> std::result::Result<Self, LoadError> {
        let take = |name| {
            let weight = scope.take_shaped(name, &[heads])?;
            scope.record(&weight, weight.size());
            Ok::<_, LoadError>(weight)
        };
        Ok(Self {
            decay_log: take("A_log")?,
            step_bias: take("dt_bias")?,
            through: take("D")?,
            limits,
        })
    }

    /// Reads `step` after what `memory` (`[batch, heads, dim, size]`) holds and leaves the new memory there:
    /// `[batch, n, heads, dim]`.
    ///
    /// # Errors
    ///
    /// When the shapes do not agree.
    pub fn forward(
        &self,
        step: &Step<'_>,
        memory: &mut Option<Array>,
        through: Precision,
    ) -> Result<Array> {
        let &[batch, length, heads, _] = step.x.shape() else {
            return Err(MlxError::new("inputs of a recurrence take four axes"));
        };
        let time = time_steps(step.time, &self.step_bias, self.limits)?;
        let rate =
            self.decay_log.exp()?.as_dtype(time.dtype())?.negative()?.reshape(&[1, 1, -1])?;
        let decay = time.multiply(rate)?;
        let x = time.reshape(&[batch, length, heads, 1])?.multiply(step.x)?;
        let mut outputs = Vec::new();
        let mut start = 0;
        while start < length {
            let end = length.min(start + CHUNK);
            let part = |all: &Array| all.try_index((.., start..end));
            let chunk = Chunk {
                x: part(&x)?,
                decay: part(&decay)?,
                write: part(step.write)?,
                read: part(step.read)?,
            };
            let (y, new) = chunk.forward(memory.take())?;
            outputs.push(y.as_dtype(step.x.dtype())?);
            *memory = Some(new);
            start = end;
        }
        let through = match through {
            Precision::Stored => self.through.clone(),
            Precision::Input => self.through.as_dtype(step.x.dtype())?,
        };
        let through = step.x.multiply(through.reshape(&[1, 1, heads, 1])?)?;
        Ok(concatenate(&outputs, 1)?.add(through)?)
    }
}

/// A chunk of the sequence, `s` tokens long.
struct Chunk {
    /// `[batch, s, heads, dim]`, times the time step.
    x: Array,
    /// Logarithm of what is left of the memory after each step: `[batch, s, heads]`.
    decay: Array,
    write: Array,
    read: Array,
}

impl Chunk {
    /// The output, `[batch, s, heads, dim]`, and the memory after it.
    fn forward(&self, memory: Option<Array>) -> Result<(Array, Array)> {
        let &[_, _, heads, _] = self.x.shape() else {
            return Err(MlxError::new("inputs of a recurrence take four axes"));
        };
        let repeats = heads / self.write.dim(2);
        let write = self.write.transpose_axes(&[0, 2, 3, 1])?;
        let likeness = repeated(self.read.swap_axes(1, 2)?.matmul(&write)?, repeats)?;
        let left = sums_of_segments(&self.decay.swap_axes(1, 2)?)?.exp()?;
        let weights = tril(likeness.multiply(&left)?, 0)?;
        let y = weights.matmul(self.x.swap_axes(1, 2)?)?.swap_axes(1, 2)?;
        let until_end = left.try_index((.., .., -1.., ..))?;
        let until_end = until_end.transpose_axes(&[0, 3, 1, 2])?;
        let write = repeated(write, repeats)?.swap_axes(2, 3)?;
        let x = self.x.multiply(until_end)?;
        let new = x.swap_axes(1, 2)?.swap_axes(2, 3)?.matmul(write)?;
        match memory {
            None => Ok((y, new)),
            Some(memory) => self.after(&memory, &y, &new),
        }
    }

    /// Adds to the output and the memory what came before the chunk.
    fn after(&self, memory: &Array, y: &Array, new: &Array) -> Result<(Array, Array)> {
        let (&[batch, heads, dim, size], &[_, length, groups, _]) =
            (memory.shape(), self.read.shape())
        else {
            return Err(MlxError::new("a memory takes four axes"));
        };
        let left = self.decay.cumsum(-2, None, None)?.exp()?;
        let at_end = left.try_index((.., -1, ..))?.expand_dims_axes(&[2, 3])?;
        let new = new.add(at_end.multiply(memory)?)?;
        let read = self.read.reshape(&[batch, length, groups, 1, size, 1])?;
        let earlier = memory
            .reshape(&[batch, 1, groups, heads / groups, dim, size])?
            .matmul(read)?
            .squeeze_axes(&[-1])?
            .flatten(2, 3)?;
        let y = y.add(left.expand_dims(-1)?.multiply(earlier)?)?;
        Ok((y, new))
    }
}

/// Every group of axis 1 once for each of its heads.
fn repeated(groups: Array, repeats: i32) -> Result<Array> {
    Ok(Array::repeat_axis::<f32>(groups, repeats, 1)?)
}

/// Sums of all segments of the last axis, `[…, n]` to `[…, to, from]`: 0 where `to` is not after `from`.
fn sums_of_segments(x: &Array) -> Result<Array> {
    let length = x.dim(-1);
    let columns = Array::repeat_axis::<f32>(x.expand_dims(-1)?, length, -1)?;
    Ok(tril(columns, -1)?.cumsum(-2, None, None)?)
}

/// `clip(softplus(time + bias))` in float32.
fn time_steps(time: &Array, bias: &Array, limits: (f32, f32)) -> Result<Array> {
    TIME_STEPS.with_borrow_mut(|compiled| {
        let known = compiled.iter().position(|(of, _)| *of == limits);
        let index = known.unwrap_or_else(|| {
            let function = move |(time, bias): (&Array, &Array)| {
                let x = time.as_dtype(Dtype::Float32)?.add(bias)?;
                clip(logaddexp(&x, scalar(0.0, &x))?, limits)
            };
            compiled.push((limits, Box::new(compile(function, false))));
            compiled.len() - 1
        });
        match compiled.get_mut(index) {
            Some((_, function)) => Ok(function((time, bias))?),
            None => Err(MlxError::new("no time steps")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A recurrence that keeps half of its memory at each step of ln 2, and adds ten times its input.
    fn outputs(limits: (f32, f32), lengths: &[i32]) -> Vec<f32> {
        let weight = |value: f32| Array::from_slice(&[value], &[1]);
        let recurrence = StateSpace {
            decay_log: weight(0.0),
            step_bias: weight(0.0),
            through: weight(10.0),
            limits,
        };
        let mut memory = None;
        let mut outputs = Vec::new();
        for &n in lengths {
            let ones = Array::ones::<f32>(&[1, n, 1, 1]).unwrap();
            let step = Step {
                x: &ones,
                write: &ones,
                read: &ones,
                time: &Array::zeros::<f32>(&[1, n, 1]).unwrap(),
            };
            let y = recurrence.forward(&step, &mut memory, Precision::Input);
            let y = y.unwrap().contiguous().unwrap();
            outputs.extend_from_slice(y.try_as_slice::<f32>().unwrap());
        }
        outputs
    }

    #[test]
    fn a_memory_is_carried_over_steps_and_chunks() {
        let two = std::f32::consts::LN_2;
        let y = outputs((0.0, f32::INFINITY), &[2, 1, 300]);
        for (at, expected) in [
            (0, 10.0 + two),
            (1, 10.0 + 1.5 * two),
            (2, 10.0 + 1.75 * two),
            // In the second chunk of the last step.
            (3 + 256, 10.0 + 2.0 * two),
            (302, 10.0 + 2.0 * two),
        ] {
            assert!((y[at] - expected).abs() < 1e-5, "{at}: {}", y[at]);
        }
    }

    #[test]
    fn time_steps_are_clipped() {
        // ln 2 lies above the limit.
        assert!((outputs((0.1, 0.5), &[1])[0] - 10.5).abs() < 1e-6);
        assert!((outputs((0.75, 2.0), &[1])[0] - 10.75).abs() < 1e-6);
    }
}
