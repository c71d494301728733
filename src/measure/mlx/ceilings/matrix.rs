//! Matrices that are like weights of a file, made of patterns.

use half::{bf16, f16};
use mlx_rs::{Array, Dtype, ops::tile};

use crate::{
    checkpoint::{Mode, Quantization},
    ffi::{self, Product},
    nn::{Format, Result},
};

/// A matrix `[rows, columns]`.
pub(super) enum Matrix {
    Dense(Array),
    Packed { how: Quantization, weight: Array, scales: Array, biases: Option<Array> },
}

impl Matrix {
    /// Of rows that are alike, not evaluated yet; `activation` is the type of what it is multiplied with.
    pub(super) fn new(
        format: Format,
        activation: Dtype,
        [rows, columns]: [i32; 2],
    ) -> Result<Self> {
        Ok(match format {
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
        })
    }

    pub(super) fn arrays(&self) -> Vec<&Array> {
        match self {
            Self::Dense(matrix) => vec![matrix],
            Self::Packed { weight, scales, biases, .. } => {
                [Some(weight), Some(scales), biases.as_ref()].into_iter().flatten().collect()
            }
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.arrays().iter().map(|array| array.nbytes() as u64).sum()
    }

    /// `x Wᵀ`.
    pub(super) fn times(&self, x: &Array) -> Result<Array> {
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
pub(super) fn numbers(rows: i32, columns: i32, dtype: Dtype) -> Result<Array> {
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

#[cfg(test)]
mod tests {
    use mlx_rs::{memory::reset_peak_memory, transforms::eval};

    use super::*;
    use crate::measure::mlx::opened::memory;

    const FOUR: Quantization = Quantization { group_size: 64, bits: 4, mode: Mode::Affine };

    #[test]
    fn a_product_does_not_copy_its_matrix() {
        let x = numbers(1, 512, Dtype::Float32).unwrap();
        for format in [Format::Dense(Dtype::Float32), Format::Packed(FOUR, Dtype::Float32)] {
            let matrix = Matrix::new(format, Dtype::Float32, [4096, 512]).unwrap();
            eval(matrix.arrays()).unwrap();
            eval([&x]).unwrap();
            reset_peak_memory().unwrap();
            let held = memory().active_bytes.unwrap();
            eval([&matrix.times(&x).unwrap()]).unwrap();
            let more = memory().peak_bytes.unwrap().saturating_sub(held);
            assert!(more < matrix.bytes(), "{more} of {}", matrix.bytes());
        }
    }

    #[test]
    fn a_packed_matrix_has_the_bytes_that_a_checkpoint_has() {
        let matrix =
            Matrix::new(Format::Packed(FOUR, Dtype::Float16), Dtype::Float16, [8, 512]).unwrap();
        // Half a byte a number, and two times two bytes for 64 of them.
        assert_eq!(matrix.bytes(), 8 * 512 / 2 + 8 * 8 * 4);
        let x = numbers(1, 512, Dtype::Float16).unwrap();
        assert_eq!(matrix.times(&x).unwrap().shape(), [1, 8]);
    }
}
