//! `AutoAWQ`: eight outputs to a word, out of order, become eight inputs to a word, in order.

use mlx_rs::{Array, Dtype};

use super::{LoadError, Tensors, unsupported};
use crate::ffi::MlxError;

/// Elements of a word.
const PER_WORD: usize = 8;

/// The place in a word of each of eight outputs.
const PLACES: [u32; PER_WORD] = [0, 4, 1, 5, 2, 6, 3, 7];

/// Repacks every module that has a `qweight`; all floats take the type of the scales.
pub(super) fn repack(tensors: &mut Tensors) -> Result<(), LoadError> {
    if let Some(name) = tensors.keys().find(|name| name.ends_with(".g_idx")) {
        return Err(unsupported(format!("groups out of order, `{name}`")));
    }
    let paths: Vec<String> = tensors
        .keys()
        .filter_map(|name| name.strip_suffix(".qweight").map(str::to_owned))
        .collect();
    let mut float = None;
    for path in paths {
        let name = |part: &str| format!("{path}.{part}");
        let mut take = |part: &str| tensors.remove(&name(part));
        let missing = |part: &str| LoadError::Missing { name: name(part) };
        let weight = take("qweight").ok_or_else(|| missing("qweight"))?;
        let scales = take("scales").ok_or_else(|| missing("scales"))?;
        let zeros = take("qzeros");
        let words = repacked(&Matrix::unpack(&weight)?.transposed())?;
        let scales =
            scales.transpose().and_then(|scales| scales.contiguous()).map_err(MlxError::from)?;
        let biases = biases(zeros.as_ref(), &scales)?;
        float = Some(scales.dtype());
        tensors.insert(name("weight"), words);
        tensors.insert(name("scales"), scales);
        tensors.insert(name("biases"), biases);
    }
    let Some(float) = float else { return Ok(()) };
    for tensor in tensors.values_mut() {
        let is_float = matches!(tensor.dtype(), Dtype::Float32 | Dtype::Float16 | Dtype::Bfloat16);
        if is_float {
            *tensor = tensor.as_dtype(float).map_err(MlxError::from)?;
        }
    }
    Ok(())
}

/// Numbers of four bits, a byte each.
struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<u8>,
}

impl Matrix {
    /// Takes words (`[rows, columns / 8]`) apart.
    fn unpack(words: &Array) -> Result<Self, LoadError> {
        let &[rows, width] = words.shape() else {
            return Err(unsupported(format!("packed weights of {} axes", words.ndim())));
        };
        let words = words.view_dtype(Dtype::Uint32).map_err(MlxError::from)?;
        let words =
            words.try_as_slice::<u32>().map_err(|error| MlxError::new(error.to_string()))?;
        let size = |side: i32| usize::try_from(side).unwrap_or(0);
        Ok(Self {
            rows: size(rows),
            columns: size(width) * PER_WORD,
            values: words.iter().flat_map(|word| nibbles(*word)).collect(),
        })
    }

    fn transposed(&self) -> Self {
        let column = |column: usize| self.values.iter().skip(column).step_by(self.columns.max(1));
        Self {
            rows: self.columns,
            columns: self.rows,
            values: (0..self.columns).flat_map(column).copied().collect(),
        }
    }

    fn shape(&self, columns: usize) -> Result<[i32; 2], LoadError> {
        let side = |side: usize| {
            i32::try_from(side).map_err(|_| unsupported(format!("a matrix with {side} rows")))
        };
        Ok([side(self.rows)?, side(columns)?])
    }
}

/// The numbers in a word, in the order of their outputs.
fn nibbles(word: u32) -> [u8; PER_WORD] {
    PLACES.map(|place| (word >> (4 * place)).to_le_bytes()[0] & 15)
}

/// The words of MLX's packing: the first of eight inputs in the lowest bits.
fn repacked(matrix: &Matrix) -> Result<Array, LoadError> {
    if !matrix.columns.is_multiple_of(PER_WORD) {
        return Err(unsupported(format!("packed rows of {}", matrix.columns)));
    }
    let words: Vec<u32> = matrix
        .values
        .as_chunks::<PER_WORD>()
        .0
        .iter()
        .map(|values| {
            let values = values.iter().rev();
            values.fold(0, |word, value| word << 4 | u32::from(*value))
        })
        .collect();
    let shape = matrix.shape(matrix.columns / PER_WORD)?;
    Ok(Array::from_slice(&words, &shape))
}

/// What MLX adds to scaled elements: minus the scaled zero, which is 8 where none is stored.
fn biases(zeros: Option<&Array>, scales: &Array) -> Result<Array, LoadError> {
    let zeros = match zeros {
        Some(zeros) => {
            let zeros = Matrix::unpack(zeros)?.transposed();
            let values: Vec<f32> = zeros.values.iter().map(|zero| -f32::from(*zero)).collect();
            Array::from_slice(&values, &zeros.shape(zeros.columns)?)
        }
        None => Array::from_slice(&[-8f32], &[]),
    };
    let biases = zeros
        .multiply(scales)
        .and_then(|biases| biases.as_dtype(scales.dtype()))
        .map_err(MlxError::from)?;
    Ok(biases)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(zeros: Option<u32>) -> Tensors {
        // Eight inputs and outputs: input i has its own number i in every output but the last, which has 15.
        let words: Vec<u32> =
            (0..8u32).map(|input| (input * 0x1111_1111) & 0x0fff_ffff | 0xf000_0000).collect();
        let scales: Vec<f32> = (1..9u8).map(f32::from).collect();
        let mut tensors = Tensors::from([
            ("m.qweight".to_owned(), Array::from_slice(&words, &[8, 1])),
            ("m.scales".to_owned(), Array::from_slice(&scales, &[1, 8])),
        ]);
        if let Some(zeros) = zeros {
            tensors.insert("m.qzeros".to_owned(), Array::from_slice(&[zeros], &[1, 1]));
        }
        tensors
    }

    #[test]
    fn outputs_are_put_in_order_and_inputs_packed() {
        let mut tensors = tensors(None);
        repack(&mut tensors).unwrap();
        assert_eq!(tensors["m.weight"].shape(), [8, 1]);
        let words = tensors["m.weight"].try_as_slice::<u32>().unwrap();
        // The highest place of a word is the last output.
        let mut expected = [0x7654_3210; 8];
        expected[7] = 0xffff_ffff;
        assert_eq!(words, expected);
        assert_eq!(tensors["m.scales"].shape(), [8, 1]);
        let biases = tensors["m.biases"].try_as_slice::<f32>().unwrap();
        assert_eq!(biases[..3], [-8.0, -16.0, -24.0]);
    }

    #[test]
    fn zeros_follow_the_order_of_outputs() {
        // Places 0, 4 and 1 hold the zeros of the first three outputs: 3, 5 and 7.
        let mut tensors = tensors(Some(0x0005_0073));
        repack(&mut tensors).unwrap();
        let biases = tensors["m.biases"].try_as_slice::<f32>().unwrap();
        assert_eq!(biases[..4], [-3.0, -10.0, -21.0, 0.0]);
    }

    #[test]
    fn groups_out_of_order_are_refused() {
        let mut tensors = tensors(None);
        tensors.insert("m.g_idx".to_owned(), Array::from_slice(&[0i32], &[1]));
        let error = repack(&mut tensors).unwrap_err().to_string();
        assert!(error.contains("`m.g_idx`"), "{error}");
    }
}
