//! Weights packed in ways that MLX has no kernel for, brought to ways that it has.
//!
//! Reference: `sanitize` of `mlx_lm.models.deepseek_v3`.

use mlx_rs::{
    Array, Dtype,
    ops::{indexing::TryIndexOp, pad},
};

use super::{Checkpoint, LoadError};
use crate::ffi::MlxError;

/// Rows and columns of the blocks that share a scale.
const BLOCK: i32 = 128;

impl Checkpoint<'_> {
    /// Makes 8-bit floats with one scale for every 128 × 128 of them, `weight_scale_inv`, bfloat16.
    ///
    /// # Errors
    ///
    /// When scales come without a weight, or do not cover it.
    pub fn unpack_blocks(&self) -> Result<(), LoadError> {
        for scales in self.names() {
            let Some(weight) = scales.strip_suffix("_scale_inv") else {
                continue;
            };
            let scale = self.take(&scales);
            let packed = self.take(weight);
            let (Some(scale), Some(packed)) = (scale, packed) else {
                return Err(LoadError::Missing {
                    name: weight.to_owned(),
                });
            };
            self.insert(weight, unpacked(&packed, &scale)?);
        }
        Ok(())
    }

    /// Renames 4-bit integers around 8, `weight_packed` with `weight_scale`, to what they are: MLX's own packing with a
    /// bias of `-8 · scale`.
    ///
    /// # Errors
    ///
    /// When a part is missing.
    pub fn adopt_packed_integers(&self) -> Result<(), LoadError> {
        for shape in self.names() {
            let Some(path) = shape.strip_suffix(".weight_shape") else {
                continue;
            };
            self.take(&shape);
            let part = |part: &str| {
                let name = format!("{path}.{part}");
                self.take(&name).ok_or(LoadError::Missing { name })
            };
            let (packed, scales) = (part("weight_packed")?, part("weight_scale")?);
            let words = packed.view_dtype(Dtype::Uint32).map_err(MlxError::from)?;
            let biases = biases(&scales)?;
            self.insert(format!("{path}.weight"), words);
            self.insert(format!("{path}.scales"), scales);
            self.insert(format!("{path}.biases"), biases);
        }
        Ok(())
    }
}

/// `-8 · scales`, in their element type.
fn biases(scales: &Array) -> Result<Array, MlxError> {
    let eight = Array::from_int(-8).as_dtype(scales.dtype())?;
    Ok(eight.multiply(scales)?)
}

/// `packed` (`[rows, columns]`) times the scale of each block, as bfloat16.
fn unpacked(packed: &Array, scales: &Array) -> Result<Array, MlxError> {
    let &[rows, columns] = packed.shape() else {
        return Err(MlxError::new("a matrix takes two axes"));
    };
    let (below, beside) = ((-rows).rem_euclid(BLOCK), (-columns).rem_euclid(BLOCK));
    let (down, across) = ((rows + below) / BLOCK, (columns + beside) / BLOCK);
    let weight = packed.from_fp8(Dtype::Bfloat16)?;
    let weight = pad(&weight, &[(0, below), (0, beside)][..], None, None)?;
    let product = weight
        .reshape(&[down, BLOCK, across, BLOCK])?
        .multiply(scales.expand_dims_axes(&[1, 3])?)?
        .reshape(&[rows + below, columns + beside])?;
    let weight = product.try_index((..rows, ..columns))?;
    Ok(weight.as_dtype(Dtype::Bfloat16)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_block_has_its_own_scale() {
        // 0x38 is 1 and 0x40 is 2 in 8-bit floats of four exponent bits.
        let values: Vec<u8> = (0..130)
            .map(|i| if i < 129 { 0x38 } else { 0x40 })
            .collect();
        let packed = Array::from_slice(&values, &[1, 130]);
        let scales = Array::from_slice(&[0.5f32, 3.0], &[1, 2]);
        let dense = unpacked(&packed, &scales).unwrap();
        assert_eq!(
            (dense.shape(), dense.dtype()),
            (&[1, 130][..], Dtype::Bfloat16)
        );
        let dense = dense.as_dtype(Dtype::Float32).unwrap();
        let dense = dense.try_as_slice::<f32>().unwrap();
        assert_eq!(
            (dense[0], dense[127], dense[128], dense[129]),
            (0.5, 0.5, 3.0, 6.0)
        );
    }
}
