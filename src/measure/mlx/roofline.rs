//! What is measured of model and machine before the first repetition.

use std::time::{Duration, Instant};

use mlx_rs::{
    Array, Dtype,
    memory::clear_cache,
    ops::indexing::{TryIndexOp, argmax_axis},
    transforms::eval,
};

use super::{
    ceilings::{self, Plan},
    opened::Opened,
};
use crate::{measure::roofline::Roofline, models::Model, nn::Result};

/// Time for each operation of the ceilings.
const BUDGET: Duration = Duration::from_millis(50);

/// Time for steps; at least two are tried.
const STEPS: Duration = Duration::from_millis(200);

/// Steps that are enough.
const ENOUGH: usize = 32;

/// What `opened` asks of the machine, what that can give in its format and with as much memory gone through as a step
/// of it does, looked at twice, and how long a step takes; none where it is not known what it asks.
///
/// # Errors
///
/// When MLX refuses an operation.
pub fn roofline(opened: &Opened) -> Result<Option<Roofline>> {
    let Some(asked) = &opened.asked else {
        return Ok(None);
    };
    let plan = Plan {
        formats: asked.format.into_iter().collect(),
        activation: activation(&opened.loaded.model.dtype),
        // What fits into a cache is faster, for the model as for the machine.
        working_set: asked.demand.step_bytes(1),
        budget: BUDGET,
    };
    let before = ceilings::ceilings(&plan)?;
    let step_us = shortest_step(opened.model.as_ref())? * 1e6;
    let ceilings = before.or_better(ceilings::ceilings(&plan)?);
    clear_cache()?;
    Ok(Some(Roofline { demand: asked.demand.clone(), ceilings, step_us: Some(step_us) }))
}

/// The element type of what flows through a model.
fn activation(name: &str) -> Dtype {
    match name {
        "bfloat16" => Dtype::Bfloat16,
        "float16" => Dtype::Float16,
        _ => Dtype::Float32,
    }
}

/// Seconds of the shortest of some steps of `model`, each waited for; the first makes kernels and is not counted.
fn shortest_step(model: &dyn Model) -> Result<f64> {
    let mut cache = model.new_cache();
    let mut token = Array::from_slice(&[0u32], &[1, 1]);
    let (mut times, mut best, began) = (0, f64::INFINITY, Instant::now());
    while times < 3 || (times < ENOUGH && began.elapsed() < STEPS) {
        let started = Instant::now();
        let scores = model.forward(&token, &mut cache)?;
        token = argmax_axis(scores.try_index((.., -1, ..))?, -1, true)?;
        eval([&token])?;
        if times > 0 {
            best = best.min(started.elapsed().as_secs_f64());
        }
        times += 1;
    }
    Ok(best)
}
