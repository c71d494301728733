//! Times operations, each for about as long and evaluated every time.

use std::time::{Duration, Instant};

use mlx_rs::{Array, Dtype, memory::clear_cache, ops::concatenate, transforms::eval};

use super::matrix::numbers;
use crate::{
    ffi,
    measure::roofline::{Bandwidth, Kernel},
    nn::Result,
};

/// Bytes that one evaluation goes through at the least, so that starting it costs little beside.
const EACH_TIME: u64 = 64 << 20;

/// Times operations, each for about as long.
#[derive(Clone, Copy)]
pub(super) struct Bench {
    pub(super) budget: Duration,
}

/// What an operation is about: in a bandwidth, all but the speed.
pub(super) struct Traffic {
    pub(super) kernel: Kernel,
    pub(super) format: String,
    /// Rows and columns of each matrix, where they are those of a model.
    pub(super) shape: Option<[i32; 2]>,
    /// Bytes that it goes through before it meets one again.
    pub(super) set: u64,
    /// Bytes that it moves.
    pub(super) bytes: u64,
}

impl Bench {
    /// The shortest of as many evaluations of what `work` makes as `time` allows, in seconds: two at the least, of which
    /// the first finds memory, unless one takes longer than the budget.
    pub(super) fn shortest(
        &self,
        time: Duration,
        work: impl Fn() -> Result<Vec<Array>>,
    ) -> Result<f64> {
        let (began, mut best, mut times) = (Instant::now(), f64::INFINITY, 0);
        let limit = self.budget.as_secs_f64();
        while times == 0 || (times == 1 && best < limit) || began.elapsed() < time {
            let results = work()?;
            ffi::synchronize()?;
            let started = Instant::now();
            eval(results.iter())?;
            ffi::synchronize()?;
            best = best.min(started.elapsed().as_secs_f64());
            times += 1;
        }
        Ok(best)
    }

    /// How fast `once` causes `traffic`, done often enough to be worth an evaluation.
    pub(super) fn bandwidth(
        &self,
        traffic: Traffic,
        once: impl Fn() -> Result<Vec<Array>>,
    ) -> Result<Bandwidth> {
        let times = |passes: u64| {
            let results = (0..passes).map(|_| once()).collect::<Result<Vec<_>>>();
            results.map(|results| results.into_iter().flatten().collect())
        };
        let Traffic { kernel, format, shape, set, bytes } = traffic;
        let alone = self.shortest(Duration::ZERO, || times(1))?;
        let (mut passes, mut seconds) = (1, alone);
        while passes * bytes < EACH_TIME && seconds < self.budget.as_secs_f64() / 4.0 {
            passes *= 2;
            seconds = self.shortest(Duration::ZERO, || times(passes))?;
        }
        let again = self.shortest(self.budget, || times(passes))?;
        clear_cache()?;
        let each = alone.min(again.min(seconds) / passes as f64);
        let shape = shape.map(|sides| sides.map(i32::unsigned_abs));
        let bytes_per_s = bytes as f64 / each;
        Ok(Bandwidth { kernel, format, shape, working_set_bytes: set, bytes_per_s })
    }

    /// MLX has no plain copy that it would not leave out; joining two halves is one.
    pub(super) fn copy(&self, set: u64) -> Result<Bandwidth> {
        let halves = [singles(set / 4)?, singles(set / 4)?];
        let bytes = halves.iter().map(|half| 2 * half.nbytes() as u64).sum();
        self.bandwidth(plain(Kernel::Copy, set, bytes), || {
            Ok(vec![concatenate(&[&halves[0], &halves[1]], 0)?])
        })
    }

    pub(super) fn add(&self, set: u64) -> Result<Bandwidth> {
        let (a, b) = (singles(set / 3)?, singles(set / 3)?);
        let bytes = 3 * a.nbytes() as u64;
        self.bandwidth(plain(Kernel::Add, set, bytes), || Ok(vec![a.add(&b)?]))
    }
}

fn plain(kernel: Kernel, set: u64, bytes: u64) -> Traffic {
    Traffic { kernel, format: "float32".to_owned(), shape: None, set, bytes }
}

/// Rows of 1024 numbers that take `bytes` in single precision.
fn singles(bytes: u64) -> Result<Array> {
    let rows = i32::try_from(bytes / 4096).unwrap_or(i32::MAX).max(1);
    let array = numbers(rows, 1024, Dtype::Float32)?;
    eval([&array])?;
    Ok(array)
}
