//! Products: of matrices with a vector, as decoding has them, and of large matrices with each other.

use std::time::{Duration, Instant};

use mlx_rs::{Array, Dtype, transforms::eval};

use super::{
    Shape,
    bench::{Bench, Traffic},
    matrix::{Matrix, numbers},
};
use crate::{
    measure::roofline::{Bandwidth, Compute, Kernel},
    nn::{Format, Result},
};

/// Bytes that fit into the caches of every machine.
const SMALL: u64 = 1 << 20;

/// Bytes that one large matrix has at the least, however slow arithmetic is: a cache would serve fewer.
const LARGE: u64 = 64 << 20;

/// The part of all bytes that one matrix may be, so that several are gone through.
const PIECES: u64 = 4;

/// Rows that a large matrix multiplies where it is packed: as many as a prompt has.
const PROMPT_ROWS: i32 = 512;

/// The largest matrix that is tried.
const LARGEST_SIDE: i32 = 4096;

impl Bench {
    /// One matrix that is as large as `set`.
    pub(super) fn one_large(
        &self,
        format: Format,
        activation: Dtype,
        set: u64,
    ) -> Result<Bandwidth> {
        let columns = if set >= 4 << 20 { 2048 } else { 512 };
        let x = vector(columns, activation)?;
        let of_bytes = |bytes: u64| {
            let row = Matrix::new(format, activation, [1, columns])?.bytes();
            evaluated(Matrix::new(format, activation, [fitting(bytes, row), columns])?)
        };
        let bytes = self.in_time(&of_bytes(set.min(SMALL))?, &x)?;
        let matrix = of_bytes(bytes.clamp(LARGE.min(set), set))?;
        self.through(&[matrix], &x, (format, None))
    }

    /// As many matrices of `shape` as `set` needs, one after the other, as a token meets them; none where that takes too
    /// long to be a ceiling, or the machine is too busy: fewer would be served by a cache.
    pub(super) fn shaped(
        &self,
        shape: Shape,
        activation: Dtype,
        set: u64,
    ) -> Result<Option<Bandwidth>> {
        let Shape { format, rows, columns } = shape;
        let x = vector(columns, activation)?;
        let row = Matrix::new(format, activation, [1, columns])?.bytes();
        let of_bytes = |bytes: u64| {
            let rows = rows.min(fitting(bytes, row));
            evaluated(Matrix::new(format, activation, [rows, columns])?)
        };
        if self.in_time(&of_bytes(set.min(SMALL))?, &x)? < set {
            return Ok(None);
        }
        let mut matrices = vec![of_bytes(set / PIECES)?];
        let each = matrices.iter().map(Matrix::bytes).sum::<u64>().max(1);
        for _ in 1..set.div_ceil(each) {
            matrices.push(of_bytes(set / PIECES)?);
        }
        self.through(&matrices, &x, (format, Some([shape.rows, columns]))).map(Some)
    }

    /// How fast `matrices` are gone through.
    fn through(
        &self,
        matrices: &[Matrix],
        x: &Array,
        (format, shape): (Format, Option<[i32; 2]>),
    ) -> Result<Bandwidth> {
        let bytes = matrices.iter().map(Matrix::bytes).sum();
        let (kernel, format) = (Kernel::MatrixVector, format.name());
        self.bandwidth(Traffic { kernel, format, shape, set: bytes, bytes }, || {
            matrices.iter().map(|matrix| matrix.times(x)).collect()
        })
    }

    /// Bytes that are gone through in eight times the budget, at the speed of `small`.
    fn in_time(&self, small: &Matrix, x: &Array) -> Result<u64> {
        // Several times, or a busy machine would be taken for slow arithmetic.
        let seconds = self.shortest(self.budget / 8, || Ok(vec![small.times(x)?]))?;
        let nanoseconds = Duration::from_secs_f64(seconds).as_nanos().max(1);
        let bytes = u128::from(small.bytes()) * 8 * self.budget.as_nanos() / nanoseconds;
        Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    /// Square matrices of twice the side each time, as long as the next is likely to end in time.
    pub(super) fn matrix_matrix(&self, format: Format, activation: Dtype) -> Result<Compute> {
        let began = Instant::now();
        let mut compute = Compute { format: format.name(), size: 0, flops_per_s: 0.0 };
        let mut side = 256;
        loop {
            let matrix = evaluated(Matrix::new(format, activation, [side, side])?)?;
            let rows = match format {
                Format::Dense(_) => side,
                Format::Packed(..) => PROMPT_ROWS.min(side),
            };
            let x = numbers(rows, side, activation)?;
            eval([&x])?;
            let seconds = self.shortest(self.budget / 8, || Ok(vec![matrix.times(&x)?]))?;
            let flops = 2.0 * f64::from(rows) * f64::from(side) * f64::from(side);
            compute.flops_per_s = compute.flops_per_s.max(flops / seconds);
            compute.size = side.unsigned_abs();
            let next = Duration::from_secs_f64(seconds * 16.0);
            let left = self.budget.saturating_mul(2).saturating_sub(began.elapsed());
            if side >= LARGEST_SIDE || next > left {
                return Ok(compute);
            }
            side *= 2;
        }
    }
}

fn vector(columns: i32, dtype: Dtype) -> Result<Array> {
    let x = numbers(1, columns, dtype)?;
    eval([&x])?;
    Ok(x)
}

fn evaluated(matrix: Matrix) -> Result<Matrix> {
    eval(matrix.arrays())?;
    Ok(matrix)
}

/// Rows of so many bytes each that `bytes` have room for, and one at the least.
fn fitting(bytes: u64, row: u64) -> i32 {
    i32::try_from(bytes / row.max(1)).unwrap_or(i32::MAX).max(1)
}
