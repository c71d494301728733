//! What it takes to describe a step to MLX, which computes nothing until it is asked.

use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use mlx_rs::Array;

use super::{Context, GenerateError, Loop, MlxError, Phase, Request, check};
use crate::models::Model;

/// Reads a prompt and describes `steps` steps after it, one upon the other, as [`generate`](super::generate) does before
/// it hands each over; how long each took. None is computed.
///
/// # Errors
///
/// As [`generate`](super::generate).
pub fn describe(
    model: &dyn Model,
    request: &Request<'_>,
    steps: u32,
) -> Result<Vec<Duration>, GenerateError> {
    check(model, request.prompt)?;
    let mut context = Context::default();
    let mut all = || -> Result<Vec<Duration>, MlxError> {
        let mut run = Loop::new(&mut context, model, request)?;
        let last = run.prefill(&mut |_| ControlFlow::Continue(()))?;
        let mut token = last.unwrap_or_else(|| Array::from_slice(&[0u32], &[1]));
        let mut took = Vec::with_capacity(steps as usize);
        for _ in 0..steps {
            let began = Instant::now();
            let (pending, _) = run.describe(&token)?;
            took.push(began.elapsed());
            token = pending.id;
        }
        Ok(took)
    };
    all().map_err(|source| GenerateError::Mlx { phase: Phase::Decode, source })
}
