//! What the machine can give, measured through MLX's own operations: each is evaluated every time it is timed.

mod bench;
mod matrix;
mod products;

use std::time::Duration;

use mlx_rs::{Dtype, memory::clear_cache};

use self::bench::Bench;
use crate::{
    checkpoint::{Mode, Quantization},
    measure::roofline::Ceilings,
    nn::{Format, Result},
};

/// Bytes that are larger than the caches of any machine that MLX runs on.
pub const BEYOND_CACHES: u64 = 256 << 20;

/// Bytes below which an operation is no longer about memory.
const SMALLEST: u64 = 64 << 10;

/// Rows and columns that linear layers have: small ones, and those of models with 1, 3 and 8 billion parameters.
const USUAL: [[i32; 2]; 5] =
    [[1536, 576], [2048, 2048], [8192, 2048], [3072, 8192], [14_336, 4096]];

/// Matrices as a model has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How they are stored.
    pub format: Format,
    /// Rows of each.
    pub rows: i32,
    /// Numbers of a row.
    pub columns: i32,
}

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Formats of large matrices that are multiplied with vectors and with each other.
    pub formats: Vec<Format>,
    /// Smaller matrices that are multiplied with vectors, many of each: how fast a product is depends on its sizes.
    pub shapes: Vec<Shape>,
    /// The type of what is multiplied with packed matrices.
    pub activation: Dtype,
    /// Bytes that an operation goes through before it meets one again.
    pub working_set: u64,
    /// Time for each operation, half of it for each of the shapes; a slow one may take sixteen times as long.
    pub budget: Duration,
}

impl Plan {
    /// All that a machine is asked for when no model is named.
    pub fn of_machine() -> Self {
        let packed = |bits| Quantization { group_size: 64, bits, mode: Mode::Affine };
        let formats = vec![
            Format::Dense(Dtype::Float32),
            Format::Dense(Dtype::Float16),
            Format::Dense(Dtype::Bfloat16),
            Format::Packed(packed(4), Dtype::Bfloat16),
            Format::Packed(packed(8), Dtype::Bfloat16),
        ];
        let shapes =
            |format: &Format| USUAL.map(|[rows, columns]| Shape { format: *format, rows, columns });
        Self {
            shapes: formats.iter().flat_map(shapes).collect(),
            formats,
            activation: Dtype::Bfloat16,
            working_set: BEYOND_CACHES,
            budget: Duration::from_millis(150),
        }
    }
}

/// Measures copies, sums, and products in every format and shape of `plan`; takes a budget or two for each.
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
        ceilings.bandwidths.push(bench.one_large(*format, activation, set)?);
        for format in with_dense(*format, activation) {
            // Where a packed model unpacks its weights for a long prompt, the dense product is the ceiling.
            if !ceilings.compute.iter().any(|one| one.format == format.name()) {
                ceilings.compute.push(bench.matrix_matrix(format, activation)?);
            }
        }
        clear_cache()?;
    }
    let bench = Bench { budget: plan.budget / 2 };
    for shape in &plan.shapes {
        let activation = shape.format.activation(plan.activation);
        ceilings.bandwidths.extend(bench.shaped(*shape, activation, set)?);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::roofline::Kernel;

    const FOUR: Quantization = Quantization { group_size: 64, bits: 4, mode: Mode::Affine };

    #[test]
    fn every_kernel_gives_a_ceiling_in_every_format_and_shape() {
        let packed = Format::Packed(FOUR, Dtype::Float32);
        let mxfp4 = Quantization { group_size: 32, bits: 4, mode: Mode::Mxfp4 };
        let plan = Plan {
            formats: vec![
                Format::Dense(Dtype::Float32),
                packed,
                Format::Packed(mxfp4, Dtype::Uint8),
            ],
            // The second has more rows than there are bytes for.
            shapes: vec![
                Shape { format: Format::Dense(Dtype::Float32), rows: 24, columns: 40 },
                Shape { format: packed, rows: 1 << 20, columns: 192 },
            ],
            activation: Dtype::Float32,
            working_set: SMALLEST,
            budget: Duration::from_millis(50),
        };
        let ceilings = ceilings(&plan).unwrap();
        assert!(ceilings.bandwidths.iter().all(|one| one.bytes_per_s > 0.0));
        let named: Vec<_> = ceilings
            .bandwidths
            .iter()
            .map(|one| (one.kernel, one.format.as_str(), one.shape))
            .collect();
        assert_eq!(
            named,
            [
                (Kernel::Copy, "float32", None),
                (Kernel::Add, "float32", None),
                (Kernel::MatrixVector, "float32", None),
                (Kernel::MatrixVector, "4-bit affine, group 64", None),
                (Kernel::MatrixVector, "mxfp4, group 32", None),
                (Kernel::MatrixVector, "float32", Some([24, 40])),
                (Kernel::MatrixVector, "4-bit affine, group 64", Some([1 << 20, 192])),
            ]
        );
        // Whole matrices until 64 KiB are reached: 18 of 3840 bytes; 5 of 136 rows of 120 bytes, a quarter each.
        let sets: Vec<_> =
            ceilings.bandwidths[5..].iter().map(|one| one.working_set_bytes).collect();
        assert_eq!(sets, [18 * 3840, 5 * 136 * 120]);
        assert!(ceilings.compute.iter().all(|one| one.flops_per_s > 0.0 && one.size >= 256));
    }
}
