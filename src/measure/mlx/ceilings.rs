//! What the machine can give, measured through MLX's own operations: each is evaluated every time it is timed.

use std::time::{Duration, Instant};

use half::{bf16, f16};
use mlx_rs::{
    Array, Dtype,
    memory::clear_cache,
    ops::{concatenate, tile},
    transforms::eval,
};

use crate::{
    checkpoint::{Mode, Quantization},
    ffi::{self, Product},
    measure::roofline::{Bandwidth, Ceilings, Compute, Kernel},
    nn::{Format, Result},
};

/// Bytes that are larger than the caches of any machine that MLX runs on.
pub const BEYOND_CACHES: u64 = 256 << 20;

/// Bytes below which an operation is no longer about memory.
const SMALLEST: u64 = 64 << 10;

/// Bytes that fit into the caches of every machine.
const SMALL: u64 = 1 << 20;

/// Bytes that one evaluation goes through at the least, so that starting it costs little beside.
const EACH_TIME: u64 = 64 << 20;

/// Rows that a large matrix multiplies where it is packed: as many as a prompt has.
const PROMPT_ROWS: i32 = 512;

/// The largest matrix that is tried.
const LARGEST_SIDE: i32 = 4096;

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Formats of matrices that are multiplied with vectors.
    pub formats: Vec<Format>,
    /// The type of what is multiplied with packed matrices.
    pub activation: Dtype,
    /// Bytes that an operation goes through before it meets one again.
    pub working_set: u64,
    /// Time for each operation; a slow one may take four times as long.
    pub budget: Duration,
}

impl Plan {
    /// All that a machine is asked for when no model is named.
    pub fn of_machine() -> Self {
        let packed = |bits| Quantization { group_size: 64, bits, mode: Mode::Affine };
        Self {
            formats: vec![
                Format::Dense(Dtype::Float32),
                Format::Dense(Dtype::Float16),
                Format::Dense(Dtype::Bfloat16),
                Format::Packed(packed(4), Dtype::Bfloat16),
                Format::Packed(packed(8), Dtype::Bfloat16),
            ],
            activation: Dtype::Bfloat16,
            working_set: BEYOND_CACHES,
            budget: Duration::from_millis(150),
        }
    }
}

/// Measures copies, sums, and products in every format of `plan`; takes a budget or two for each.
///
/// # Errors
///
/// When MLX refuses an operation, most likely for want of memory.
pub fn ceilings(plan: &Plan) -> Result<Ceilings> {
    let set = plan.working_set.clamp(SMALLEST, BEYOND_CACHES);
    let bench = Bench { budget: plan.budget };
    let bandwidths = vec![bench.copy(set)?, bench.add(set)?];
    let mut ceilings = Ceilings { bandwidths, ..Ceilings::default() };
    for format in &plan.formats {
        let activation = format.activation(plan.activation);
        ceilings.bandwidths.push(bench.matrix_vector(*format, activation, set)?);
        for format in with_dense(*format, activation) {
            // Where a packed model unpacks its weights for a long prompt, the dense product is the ceiling.
            if !ceilings.compute.iter().any(|one| one.format == format.name()) {
                ceilings.compute.push(bench.matrix_matrix(format, activation)?);
            }
        }
        clear_cache()?;
    }
    Ok(ceilings)
}

impl Format {
    /// Its name, as reports have it.
    pub fn name(self) -> String {
        match self {
            Self::Dense(dtype) => format!("{dtype:?}").to_lowercase(),
            Self::Packed(Quantization { group_size, bits, mode: Mode::Affine }, _) => {
                format!("{bits}-bit affine, group {group_size}")
            }
            Self::Packed(how, _) => format!("{}, group {}", how.mode.name(), how.group_size),
        }
    }

    /// The type of what meets it where a model's stream is `usual`.
    fn activation(self, usual: Dtype) -> Dtype {
        match self {
            Self::Dense(dtype) => dtype,
            Self::Packed(Quantization { mode: Mode::Affine, .. }, scales) => scales,
            Self::Packed(..) => usual,
        }
    }
}

/// `format`, and where it is packed, the dense one of what meets it.
fn with_dense(format: Format, activation: Dtype) -> Vec<Format> {
    match format {
        Format::Dense(_) => vec![format],
        Format::Packed(..) => vec![format, Format::Dense(activation)],
    }
}

/// A matrix `[rows, columns]`.
enum Matrix {
    Dense(Array),
    Packed { how: Quantization, weight: Array, scales: Array, biases: Option<Array> },
}

impl Matrix {
    /// Of rows that differ from each other in a pattern.
    fn new(format: Format, activation: Dtype, rows: i32, columns: i32) -> Result<Self> {
        let matrix = match format {
            Format::Dense(dtype) => Self::Dense(numbers(rows, columns, dtype)?),
            Format::Packed(how, _) => {
                let groups = columns / how.group_size;
                Self::Packed {
                    how,
                    weight: words(rows, columns * how.bits / 32)?,
                    scales: match how.mode {
                        Mode::Affine => numbers(rows, groups, activation)?,
                        // The byte for about one.
                        Mode::Mxfp4 | Mode::Mxfp8 => bytes(127, rows, groups)?,
                        Mode::Nvfp4 => bytes(56, rows, groups)?,
                    },
                    biases: how
                        .mode
                        .has_biases()
                        .then(|| numbers(rows, groups, activation))
                        .transpose()?,
                }
            }
        };
        eval(matrix.arrays())?;
        Ok(matrix)
    }

    fn arrays(&self) -> Vec<&Array> {
        match self {
            Self::Dense(matrix) => vec![matrix],
            Self::Packed { weight, scales, biases, .. } => {
                [Some(weight), Some(scales), biases.as_ref()].into_iter().flatten().collect()
            }
        }
    }

    fn bytes(&self) -> u64 {
        self.arrays().iter().map(|array| array.nbytes() as u64).sum()
    }

    /// `x Wᵀ`.
    fn times(&self, x: &Array) -> Result<Array> {
        Ok(match self {
            Self::Dense(matrix) => x.matmul(matrix.swap_axes(-1, -2)?)?,
            Self::Packed { how, weight, scales, biases } => {
                let parts = (weight, scales, biases.as_ref());
                ffi::quantized_matmul(x, parts, Product::Transposed, how.packing())?
            }
        })
    }
}

/// Numbers around one.
fn numbers(rows: i32, columns: i32, dtype: Dtype) -> Result<Array> {
    let pattern: Vec<f32> = (0..997u16).map(|i| f32::from(i * 61 % 997) / 997.0 + 0.5).collect();
    let row = repeated(&pattern, columns);
    let shape = [1, columns];
    let row = if dtype == Dtype::Bfloat16 {
        Array::from_slice(&row.into_iter().map(bf16::from_f32).collect::<Vec<_>>(), &shape)
    } else if dtype == Dtype::Float16 {
        Array::from_slice(&row.into_iter().map(f16::from_f32).collect::<Vec<_>>(), &shape)
    } else {
        Array::from_slice(&row, &shape)
    };
    filled(&row, rows, 1)
}

fn words(rows: i32, columns: i32) -> Result<Array> {
    let pattern: Vec<u32> = (1..998u32).map(|i| i.wrapping_mul(0x9e37_79b9)).collect();
    filled(&Array::from_slice(&repeated(&pattern, columns), &[1, columns]), rows, 1)
}

fn bytes(value: u8, rows: i32, columns: i32) -> Result<Array> {
    filled(&Array::from_slice(&[value], &[1, 1]), rows, columns)
}

/// `part` so many times below and beside itself, laid out as weights of a file are: what `tile` gives is not, and a product
/// would copy it first.
fn filled(part: &Array, rows: i32, columns: i32) -> Result<Array> {
    Ok(tile(part, &[rows, columns])?.contiguous()?)
}

fn repeated<T: Copy>(pattern: &[T], length: i32) -> Vec<T> {
    pattern.iter().copied().cycle().take(length.unsigned_abs() as usize).collect()
}

/// Times operations, each for about as long.
struct Bench {
    budget: Duration,
}

impl Bench {
    /// The shortest of as many evaluations of what `work` makes as `time` allows, in seconds: two at the least, of which
    /// the first finds memory, unless one takes longer than the budget.
    fn shortest(&self, time: Duration, work: impl Fn() -> Result<Vec<Array>>) -> Result<f64> {
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

    /// How fast `once` moves `traffic` bytes, done often enough to be worth an evaluation.
    fn bandwidth(
        &self,
        (kernel, format): (Kernel, String),
        (set, traffic): (u64, u64),
        once: impl Fn() -> Result<Array>,
    ) -> Result<Bandwidth> {
        let times = |passes: u64| (0..passes).map(|_| once()).collect::<Result<Vec<_>>>();
        let alone = self.shortest(Duration::ZERO, || times(1))?;
        let (mut passes, mut seconds) = (1, alone);
        while passes * traffic < EACH_TIME && seconds < self.budget.as_secs_f64() / 4.0 {
            passes *= 2;
            seconds = self.shortest(Duration::ZERO, || times(passes))?;
        }
        let again = self.shortest(self.budget, || times(passes))?;
        clear_cache()?;
        let each = alone.min(again.min(seconds) / passes as f64);
        let bytes_per_s = traffic as f64 / each;
        Ok(Bandwidth { kernel, format, working_set_bytes: set, bytes_per_s })
    }

    /// MLX has no plain copy that it would not leave out; joining two halves is one.
    fn copy(&self, set: u64) -> Result<Bandwidth> {
        let halves = [singles(set / 4)?, singles(set / 4)?];
        let traffic = halves.iter().map(|half| 2 * half.nbytes() as u64).sum();
        self.bandwidth((Kernel::Copy, "float32".to_owned()), (set, traffic), || {
            Ok(concatenate(&[&halves[0], &halves[1]], 0)?)
        })
    }

    fn add(&self, set: u64) -> Result<Bandwidth> {
        let (a, b) = (singles(set / 3)?, singles(set / 3)?);
        let traffic = 3 * a.nbytes() as u64;
        self.bandwidth((Kernel::Add, "float32".to_owned()), (set, traffic), || Ok(a.add(&b)?))
    }

    fn matrix_vector(&self, format: Format, activation: Dtype, set: u64) -> Result<Bandwidth> {
        let columns = if set >= 4 << 20 { 2048 } else { 512 };
        let x = numbers(1, columns, activation)?;
        eval([&x])?;
        let of_bytes = |bytes: u64| {
            let row = Matrix::new(format, activation, 1, columns)?.bytes().max(1);
            let rows = i32::try_from(bytes / row).unwrap_or(i32::MAX).max(1);
            Matrix::new(format, activation, rows, columns)
        };
        // Where arithmetic is so slow that memory does not matter, neither does it matter how much is gone through.
        let small = of_bytes(set.min(SMALL))?;
        let seconds = self.shortest(Duration::ZERO, || Ok(vec![small.times(&x)?]))?;
        let nanoseconds = Duration::from_secs_f64(seconds).as_nanos().max(1);
        let in_time = u128::from(small.bytes()) * self.budget.as_nanos() / nanoseconds;
        let in_time = u64::try_from(in_time).unwrap_or(u64::MAX).clamp(SMALL.min(set), set);
        drop(small);
        let matrix = of_bytes(in_time)?;
        let bytes = matrix.bytes();
        let kernel = (Kernel::MatrixVector, format.name());
        self.bandwidth(kernel, (bytes, bytes), || matrix.times(&x))
    }

    /// Square matrices of twice the side each time, as long as the next is likely to end in time.
    fn matrix_matrix(&self, format: Format, activation: Dtype) -> Result<Compute> {
        let began = Instant::now();
        let mut compute = Compute { format: format.name(), size: 0, flops_per_s: 0.0 };
        let mut side = 256;
        loop {
            let matrix = Matrix::new(format, activation, side, side)?;
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

/// Rows of 1024 numbers that take `bytes` in single precision.
fn singles(bytes: u64) -> Result<Array> {
    let rows = i32::try_from(bytes / 4096).unwrap_or(i32::MAX).max(1);
    let array = numbers(rows, 1024, Dtype::Float32)?;
    eval([&array])?;
    Ok(array)
}

#[cfg(test)]
mod tests {
    use mlx_rs::memory::reset_peak_memory;

    use super::*;
    use crate::measure::mlx::opened::memory;

    const FOUR: Quantization = Quantization { group_size: 64, bits: 4, mode: Mode::Affine };

    #[test]
    fn a_product_does_not_copy_its_matrix() {
        let x = numbers(1, 512, Dtype::Float32).unwrap();
        for format in [Format::Dense(Dtype::Float32), Format::Packed(FOUR, Dtype::Float32)] {
            let matrix = Matrix::new(format, Dtype::Float32, 4096, 512).unwrap();
            eval([&x]).unwrap();
            reset_peak_memory().unwrap();
            let held = memory().active_bytes.unwrap();
            eval([&matrix.times(&x).unwrap()]).unwrap();
            let more = memory().peak_bytes.unwrap().saturating_sub(held);
            assert!(more < matrix.bytes(), "{more} of {}", matrix.bytes());
        }
    }

    #[test]
    fn every_kernel_gives_a_ceiling_in_every_format() {
        let formats = vec![
            Format::Dense(Dtype::Float32),
            Format::Packed(FOUR, Dtype::Float32),
            Format::Packed(
                Quantization { group_size: 32, bits: 4, mode: Mode::Mxfp4 },
                Dtype::Uint8,
            ),
        ];
        let plan = Plan {
            formats,
            activation: Dtype::Float32,
            working_set: SMALLEST,
            budget: Duration::from_millis(5),
        };
        let ceilings = ceilings(&plan).unwrap();
        let named: Vec<_> = ceilings
            .bandwidths
            .iter()
            .map(|one| (one.kernel, one.format.as_str(), one.bytes_per_s > 0.0))
            .collect();
        assert_eq!(
            named,
            [
                (Kernel::Copy, "float32", true),
                (Kernel::Add, "float32", true),
                (Kernel::MatrixVector, "float32", true),
                (Kernel::MatrixVector, "4-bit affine, group 64", true),
                (Kernel::MatrixVector, "mxfp4, group 32", true),
            ]
        );
        assert!(ceilings.compute.iter().all(|one| one.flops_per_s > 0.0 && one.size >= 256));
    }

    #[test]
    fn a_packed_matrix_has_the_bytes_that_a_checkpoint_has() {
        let matrix =
            Matrix::new(Format::Packed(FOUR, Dtype::Float16), Dtype::Float16, 8, 512).unwrap();
        // Half a byte a number, and two times two bytes for 64 of them.
        assert_eq!(matrix.bytes(), 8 * 512 / 2 + 8 * 8 * 4);
        let x = numbers(1, 512, Dtype::Float16).unwrap();
        assert_eq!(matrix.times(&x).unwrap().shape(), [1, 8]);
    }
}
