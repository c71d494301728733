//! Eight-bit floats with a scale for every square of 128, made dense in bfloat16.

use mlx_rs::{Array, Dtype, ops::pad};

use super::{LoadError, Tensors, unsupported};
use crate::ffi::MlxError;

/// Rows and columns of a square.
const BLOCK: i32 = 128;

/// Which scales a family reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Scales {
    /// One for every square.
    OfSquares,
    /// That, or one for a whole matrix or for each of stacked ones.
    Any,
}

/// Multiplies every weight that has a scale, `weight_scale_inv`, by it.
pub(super) fn dequantize(tensors: &mut Tensors, read: Scales) -> Result<(), LoadError> {
    let names: Vec<String> = tensors
        .keys()
        .filter_map(|name| name.strip_suffix("_scale_inv").map(str::to_owned))
        .collect();
    for name in names {
        let scale = format!("{name}_scale_inv");
        let (Some(weight), Some(scales)) = (tensors.remove(&name), tensors.remove(&scale)) else {
            return Err(LoadError::Missing { name });
        };
        if read == Scales::Any && is_spread(scales.shape(), weight.shape()) {
            let dense = weight
                .from_fp8(Dtype::Bfloat16)
                .and_then(|weight| weight.multiply(&scales)?.as_dtype(Dtype::Bfloat16));
            tensors.insert(name, dense.map_err(MlxError::from)?);
            continue;
        }
        if scales.ndim() < 2 {
            return Err(LoadError::TensorScale { name: scale });
        }
        if weight.ndim() != 2 || scales.ndim() != 2 {
            return Err(unsupported(format!("`fp8` without a scale for every square, `{name}`")));
        }
        let dense = dense(&weight, &scales)?;
        tensors.insert(name, dense);
    }
    Ok(())
}

/// Whether scales of this shape are each for whole rows, columns or matrices of a weight.
fn is_spread(scales: &[i32], weight: &[i32]) -> bool {
    let mut sides = scales.iter().rev().zip(weight.iter().rev());
    scales.len() <= weight.len() && sides.all(|(scale, side)| *scale == 1 || scale == side)
}

/// `weight` (`[rows, columns]`, bytes) times `scales`, one for each square, the last of a row or column cut.
fn dense(weight: &Array, scales: &Array) -> Result<Array, MlxError> {
    let (rows, columns) = (weight.dim(0), weight.dim(1));
    let missing = |side: i32| (BLOCK - side % BLOCK) % BLOCK;
    let (below, beside) = (missing(rows), missing(columns));
    let whole = weight.from_fp8(Dtype::Bfloat16)?;
    let whole = pad(&whole, &[(0, below), (0, beside)], None, None)?;
    let (rows_padded, columns_padded) = (rows + below, columns + beside);
    let squares = whole.reshape(&[rows_padded / BLOCK, BLOCK, columns_padded / BLOCK, BLOCK])?;
    let scales = scales.reshape(&[scales.dim(0), 1, scales.dim(1), 1])?;
    let product = squares.multiply(&scales)?.reshape(&[rows_padded, columns_padded])?;
    Ok(cut(&product, rows, columns)?.as_dtype(Dtype::Bfloat16)?)
}

fn cut(x: &Array, rows: i32, columns: i32) -> Result<Array, MlxError> {
    use mlx_rs::ops::indexing::TryIndexOp;
    Ok(x.try_index((..rows, ..columns))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_square_has_its_scale() {
        // 0x38 is one in E4M3, and 0xc0 minus two.
        let mut bytes = vec![0x38u8; 130 * 129];
        bytes[129 * 129] = 0xc0;
        let mut tensors = Tensors::from([
            ("m.weight".to_owned(), Array::from_slice(&bytes, &[130, 129])),
            ("m.weight_scale_inv".to_owned(), Array::from_slice(&[1f32, 2.0, 3.0, 4.0], &[2, 2])),
        ]);
        dequantize(&mut tensors, Scales::OfSquares).unwrap();
        assert!(tensors.keys().eq(["m.weight"]));
        let weight = &tensors["m.weight"];
        assert_eq!((weight.shape(), weight.dtype()), (&[130, 129][..], Dtype::Bfloat16));
        let values = weight.as_dtype(Dtype::Float32).unwrap();
        let values = values.contiguous().unwrap();
        let values = values.try_as_slice::<f32>().unwrap();
        let at = [(0, 0), (127, 128), (128, 127), (129, 128), (129, 0)];
        let found = at.map(|(row, column)| values[row * 129 + column].to_string());
        assert_eq!(found, ["1", "2", "3", "4", "-6"]);
    }
}
