//! What a GGUF header says of a tensor.

use std::{collections::BTreeSet, io::Read};

use super::{header::HeaderError, reader::Reader, tensor_type::TensorType};

/// Dimensions of a tensor.
const MOST_DIMENSIONS: u32 = 4;

/// A tensor, and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TensorInfo {
    pub(super) name: String,
    pub(super) kind: TensorType,
    /// Rows first, as MLX has it; the file has it the other way round.
    pub(super) shape: Vec<u64>,
    /// Bytes from the beginning of the file.
    pub(super) start: u64,
    /// Bytes it takes.
    pub(super) bytes: u64,
}

impl TensorInfo {
    /// Checks the place of the tensor and makes `start`, so far relative to `data`, one of the file.
    pub(super) fn place(
        &mut self,
        data: u64,
        alignment: u64,
        size: u64,
    ) -> Result<(), HeaderError> {
        let offset = self.start;
        if !offset.is_multiple_of(alignment) {
            return Err(HeaderError::Misplaced { tensor: self.name.clone(), offset, alignment });
        }
        self.start = data.saturating_add(offset);
        let end = self.start.saturating_add(self.bytes);
        if end > size {
            return Err(HeaderError::Cut { tensor: self.name.clone(), end, size });
        }
        Ok(())
    }
}

/// Reads what the header says of `count` tensors, whose places are not checked yet.
pub(super) fn read(
    reader: &mut Reader<impl Read>,
    count: u64,
) -> Result<Vec<TensorInfo>, HeaderError> {
    let mut names = BTreeSet::new();
    let mut tensors = Vec::new();
    for _ in 0..count {
        let tensor = one(reader)?;
        if !names.insert(tensor.name.clone()) {
            return Err(HeaderError::Duplicate { name: tensor.name });
        }
        tensors.push(tensor);
    }
    Ok(tensors)
}

fn one(reader: &mut Reader<impl Read>) -> Result<TensorInfo, HeaderError> {
    let name = reader.text()?;
    let dimensions = reader.u32()?;
    if dimensions > MOST_DIMENSIONS {
        let (length, limit) = (dimensions.into(), MOST_DIMENSIONS.into());
        return Err(HeaderError::Excessive { length, limit });
    }
    let mut shape = (0..dimensions).map(|_| reader.u64()).collect::<Result<Vec<_>, _>>()?;
    shape.reverse();
    let kind = reader.u32()?;
    let start = reader.u64()?;
    let kind = TensorType::from_id(kind)
        .map_err(|kind| HeaderError::TensorKind { tensor: name.clone(), kind })?;
    match size(&shape, kind) {
        Some(bytes) => Ok(TensorInfo { name, kind, shape, start, bytes }),
        None => Err(HeaderError::Shape { tensor: name, shape }),
    }
}

/// Bytes of a tensor; none where it has no elements, too many, or rows that end inside a block.
fn size(shape: &[u64], kind: TensorType) -> Option<u64> {
    let (elements, bytes) = kind.block();
    let row = shape.last().copied().unwrap_or(1);
    let is_packed_vector = kind.packed_bits().is_some() && shape.len() != 2;
    if !row.is_multiple_of(elements) || is_packed_vector {
        return None;
    }
    let count = shape.iter().try_fold(1u64, |count, &side| count.checked_mul(side))?;
    // MLX counts in 32 bits, signed: packed words where there are any, else elements.
    let counted = count / u64::from(kind.packed_bits().map_or(1, |bits| 32 / bits));
    let is_countable = count > 0 && [counted, row].iter().all(|&side| i32::try_from(side).is_ok());
    is_countable.then(|| (count / elements).checked_mul(bytes)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::gguf::{header::Header, sample::Sample};

    fn read(bytes: &[u8]) -> Result<Header, HeaderError> {
        Header::read(bytes, bytes.len() as u64)
    }

    #[track_caller]
    fn refused(sample: &Sample, expected: &str) {
        assert_eq!(read(&sample.bytes()).unwrap_err().to_string(), expected);
    }

    #[test]
    fn tensors_lie_where_the_alignment_puts_them() {
        for (version, alignment) in [(2, 32u32), (3, 64), (3, 8)] {
            let mut sample = Sample::full().count("general.alignment", alignment).version(version);
            sample.alignment = alignment as usize;
            let bytes = sample.bytes();
            let header = read(&bytes).unwrap();
            let data = |name: &str| {
                let tensor = header.tensor(name).unwrap();
                let start = usize::try_from(tensor.start).unwrap();
                &bytes[start..start + usize::try_from(tensor.bytes).unwrap()]
            };
            assert_eq!(data("a"), [7; 68]);
            assert_eq!(data("b"), [1.0f32, 2.0, 3.0].map(f32::to_le_bytes).concat());
            assert_eq!(header.tensor("a").unwrap().shape, [2, 32]);
        }
    }

    #[test]
    fn a_tensor_of_another_encoding_is_refused_before_anything_reads_it() {
        refused(
            &Sample::full().tensor("blk.0.ffn_down.weight", &[256, 1], 14, &[0; 210]),
            "tensor `blk.0.ffn_down.weight` is stored as Q6_K; only F32, F16, BF16, Q4_0, Q4_1 and Q8_0 are read",
        );
    }

    #[test]
    fn a_tensor_that_cannot_be_is_refused() {
        let case = |sides: &[u64], kind: u32, shape: &str| {
            refused(
                &Sample::full().tensor("t", sides, kind, &[]),
                &format!("tensor `t` has the impossible shape {shape}"),
            );
        };
        case(&[33, 1], 3, "[1, 33]");
        case(&[32], 3, "[32]");
        case(&[0, 4], 0, "[4, 0]");
        case(&[1 << 40, 1 << 40], 0, "[1099511627776, 1099511627776]");
        case(&[1 << 16, 1 << 16], 0, "[65536, 65536]");
        refused(&Sample::full().tensor("a", &[1], 0, &[0; 4]), "`a` comes twice");
    }

    #[test]
    fn a_tensor_beyond_the_end_of_the_file_is_refused() {
        let bytes = Sample::full().bytes();
        let cut = bytes.len() - 1;
        let error = read(&bytes[..cut]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("tensor `b` ends at byte {}, but the file has only {cut}", bytes.len())
        );
    }
}
