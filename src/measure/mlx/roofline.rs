//! What is measured of model and machine before the first repetition.

use std::time::{Duration, Instant};

use mlx_rs::{
    Array, Dtype,
    memory::clear_cache,
    ops::indexing::{TryIndexOp, argmax_axis},
    transforms::eval,
};

use super::{
    ceilings::{self, Plan, Shape},
    demand::Asked,
    opened::Opened,
};
use crate::{
    measure::roofline::Roofline,
    models::Model,
    nn::{Format, Matrices, Result},
};

/// Time for each operation of the ceilings.
const BUDGET: Duration = Duration::from_millis(50);

/// Time for steps; at least two are tried.
const STEPS: Duration = Duration::from_millis(200);

/// Shapes of matrices that are tried, of those that a token meets: by then little is left of its bytes.
const SHAPES: usize = 6;

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
    let plan = plan(asked, activation(&opened.loaded.model.dtype));
    let before = ceilings::ceilings(&plan)?;
    let step_us = shortest_step(opened.model.as_ref())? * 1e6;
    let ceilings = before.or_better(ceilings::ceilings(&plan)?);
    clear_cache()?;
    Ok(Some(Roofline { demand: asked.demand.clone(), ceilings, step_us: Some(step_us) }))
}

/// What is measured for a model whose stream is of type `activation`: what it does, without the model.
fn plan(asked: &Asked, activation: Dtype) -> Plan {
    let shape = |alike: &Matrices| {
        let Matrices { format, rows, columns, .. } = *alike;
        Shape { format, rows, columns }
    };
    Plan {
        formats: main_format(&asked.matrices).into_iter().collect(),
        shapes: asked.matrices.iter().take(SHAPES).map(shape).collect(),
        activation,
        // What fits into a cache is faster, for the model as for the machine.
        working_set: asked.demand.step_bytes(1),
        budget: BUDGET,
    }
}

/// The format of most bytes; none of a model without matrices.
fn main_format(matrices: &[Matrices]) -> Option<Format> {
    let bytes = |format: Format| -> u64 {
        matrices.iter().filter(|alike| alike.format == format).map(|alike| alike.bytes).sum()
    };
    matrices.iter().map(|alike| alike.format).max_by_key(|format| bytes(*format))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        checkpoint::{Mode, Quantization},
        measure::roofline::Demand,
    };

    #[test]
    fn a_model_is_tried_by_the_shapes_that_it_reads_most_of_in_each_of_its_formats() {
        let four = Quantization { group_size: 32, bits: 4, mode: Mode::Affine };
        let (packed, dense) = (Format::Packed(four, Dtype::Float16), Format::Dense(Dtype::Float16));
        let alike = |format, rows, bytes| Matrices { format, rows, columns: 64, bytes };
        let matrices = vec![
            alike(dense, 1, 90),
            alike(packed, 2, 80),
            alike(packed, 3, 70),
            alike(packed, 4, 4),
            alike(packed, 5, 3),
            alike(dense, 6, 2),
            alike(packed, 7, 1),
        ];
        let demand = Demand { weight_bytes: 250, ..Demand::default() };
        let plan = plan(&Asked { demand, matrices }, Dtype::Float16);
        assert_eq!((plan.formats, plan.working_set), (vec![packed], 250));
        let shapes: Vec<_> = plan.shapes.iter().map(|shape| (shape.format, shape.rows)).collect();
        let expected = [(dense, 1), (packed, 2), (packed, 3), (packed, 4), (packed, 5), (dense, 6)];
        assert_eq!(shapes, expected);
    }
}
