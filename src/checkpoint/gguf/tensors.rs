//! The tensors of a GGUF file, as MLX wants them.
//!
//! Packed blocks become MLX's affine packing in groups of 32 without rounding anything. MLX has a
//! reader of its own, which is not used: it opens the file for writing, so that it fails where the
//! file may only be read, and it rounds BF16 to half precision.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

use half::{bf16, f16};
use mlx_rs::Array;

use super::{tensor_info::TensorInfo, tensor_type::TensorType};
use crate::plan::ElementType;

/// What is done to the numbers of a tensor while it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// The rows of every one of so many heads are put into the order of MLX's rotation.
    UntwistHeads(u64),
    /// One is subtracted: the file holds `1 + w`.
    SubtractOne,
}

/// A tensor with the name it is to have.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) info: TensorInfo,
    pub(super) name: String,
    pub(super) change: Change,
}

/// Reads one tensor into `into`: under its name, and packed ones in three parts.
pub(super) fn read(
    file: &mut File,
    source: &Source,
    element: ElementType,
    into: &mut BTreeMap<String, Array>,
) -> io::Result<()> {
    let mut bytes = load(file, &source.info)?;
    if let Change::UntwistHeads(heads) = source.change {
        bytes = untwist(&bytes, rows(&source.info), heads);
    }
    let shape = &source.info.shape;
    let kind = source.info.kind;
    let Some(bits) = kind.packed_bits() else {
        let array = match source.change {
            Change::SubtractOne => {
                let values: Vec<f32> =
                    floats(&bytes, kind).iter().map(|value| value - 1.0).collect();
                array(&values, shape, element)
            }
            Change::None | Change::UntwistHeads(_) => dense(&bytes, kind, shape, element),
        };
        into.insert(source.name.clone(), array);
        return Ok(());
    };
    let Packed { words, scales, biases } = unpack(&bytes, kind);
    let stem = source.name.trim_end_matches(".weight");
    // Only matrices are packed.
    let row = shape.last().copied().unwrap_or(1);
    let narrower = |by: u32| [rows(&source.info), row / u64::from(by)];
    into.insert(source.name.clone(), Array::from_slice(&words, &sides(&narrower(32 / bits))));
    into.insert(format!("{stem}.scales"), array(&scales, &narrower(32), element));
    into.insert(format!("{stem}.biases"), array(&biases, &narrower(32), element));
    Ok(())
}

/// The numbers of a tensor that is not packed.
pub(super) fn values(file: &mut File, info: &TensorInfo) -> io::Result<Vec<f32>> {
    Ok(floats(&load(file, info)?, info.kind))
}

fn load(file: &mut File, info: &TensorInfo) -> io::Result<Vec<u8>> {
    let length = usize::try_from(info.bytes).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.seek(SeekFrom::Start(info.start))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn rows(info: &TensorInfo) -> u64 {
    info.shape.first().copied().unwrap_or(1)
}

/// Puts the rows of every head into the order in which MLX rotates them.
///
/// The file has the two rows of a pair next to each other; MLX has all first rows, then all second.
fn untwist(bytes: &[u8], rows: u64, heads: u64) -> Vec<u8> {
    let size = |count: u64| usize::try_from(count).unwrap_or(1).max(1);
    let row = (bytes.len() / size(rows)).max(1);
    let head = row * (size(rows) / size(heads)).max(1);
    let mut ordered = Vec::with_capacity(bytes.len());
    for head in bytes.chunks(head) {
        for half in 0..2 {
            head.chunks(row).skip(half).step_by(2).for_each(|row| ordered.extend_from_slice(row));
        }
    }
    ordered
}

/// A tensor that is not packed; one that has its type already is not converted by way of another.
fn dense(bytes: &[u8], kind: TensorType, shape: &[u64], element: ElementType) -> Array {
    match (kind, element) {
        (TensorType::F16, ElementType::Float16) => {
            Array::from_slice(&numbers(bytes, f16::from_le_bytes), &sides(shape))
        }
        (TensorType::BF16, ElementType::Bfloat16) => {
            Array::from_slice(&numbers(bytes, bf16::from_le_bytes), &sides(shape))
        }
        _ => array(&floats(bytes, kind), shape, element),
    }
}

fn floats(bytes: &[u8], kind: TensorType) -> Vec<f32> {
    match kind {
        TensorType::F32 => numbers(bytes, f32::from_le_bytes),
        TensorType::F16 => numbers(bytes, |bytes| f16::from_le_bytes(bytes).to_f32()),
        TensorType::BF16 => numbers(bytes, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        TensorType::Q4_0 | TensorType::Q4_1 | TensorType::Q8_0 => Vec::new(),
    }
}

fn numbers<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|bytes| number(*bytes)).collect()
}

/// Words of packed elements; every group of 32 has a scale and a bias.
#[derive(Debug, Default, PartialEq)]
struct Packed {
    words: Vec<u32>,
    scales: Vec<f32>,
    biases: Vec<f32>,
}

fn unpack(bytes: &[u8], kind: TensorType) -> Packed {
    let mut packed = Packed::default();
    match kind {
        TensorType::Q4_0 => {
            for [low, high, quants @ ..] in bytes.as_chunks::<18>().0 {
                packed.group([*low, *high], -8.0, words_of_halves(quants));
            }
        }
        TensorType::Q4_1 => {
            for [low, high, from_low, from_high, quants @ ..] in bytes.as_chunks::<20>().0 {
                packed.words.extend(words_of_halves(quants));
                packed.scales.push(f16::from_le_bytes([*low, *high]).to_f32());
                packed.biases.push(f16::from_le_bytes([*from_low, *from_high]).to_f32());
            }
        }
        TensorType::Q8_0 => {
            for [low, high, quants @ ..] in bytes.as_chunks::<34>().0 {
                // Signed bytes become unsigned ones from zero.
                let word = |bytes: &[u8; 4]| u32::from_le_bytes(bytes.map(|byte| byte ^ 0x80));
                packed.group([*low, *high], -128.0, quants.as_chunks().0.iter().map(word));
            }
        }
        TensorType::F32 | TensorType::F16 | TensorType::BF16 => {}
    }
    packed
}

impl Packed {
    /// Adds a group whose elements begin at `lowest` scales.
    fn group(&mut self, scale: [u8; 2], lowest: f32, words: impl IntoIterator<Item = u32>) {
        let scale = f16::from_le_bytes(scale).to_f32();
        self.words.extend(words);
        self.scales.push(scale);
        self.biases.push(lowest * scale);
    }
}

/// The 32 elements of a block, whose first half lies in the low halves of the bytes.
fn words_of_halves(quants: &[u8; 16]) -> [u32; 4] {
    let (first, second) = quants.split_at(8);
    let word = |bytes: &[u8], shift: u32| {
        bytes.iter().rev().fold(0, |word, byte| word << 4 | u32::from(byte >> shift & 15))
    };
    [word(first, 0), word(second, 0), word(first, 4), word(second, 4)]
}

fn array(values: &[f32], shape: &[u64], element: ElementType) -> Array {
    let shape = sides(shape);
    match element {
        ElementType::Float32 => Array::from_slice(values, &shape),
        ElementType::Float16 => Array::from_slice(&converted(values, f16::from_f32), &shape),
        ElementType::Bfloat16 => Array::from_slice(&converted(values, bf16::from_f32), &shape),
    }
}

fn converted<T>(values: &[f32], convert: impl Fn(f32) -> T) -> Vec<T> {
    values.iter().map(|&value| convert(value)).collect()
}

fn sides(shape: &[u64]) -> Vec<i32> {
    let side =
        |&side: &u64| i32::try_from(side).expect("the header admits no side that MLX cannot count");
    shape.iter().map(side).collect()
}

#[cfg(test)]
mod tests {
    use mlx_rs::Dtype;

    use super::*;
    use crate::checkpoint::gguf::{self, sample::Sample};

    /// What MLX makes of a packed group.
    fn unpacked(packed: &Packed, bits: u32) -> Vec<f32> {
        let mask = (1u32 << bits) - 1;
        let places = (0..32).step_by(bits as usize);
        let quants = packed
            .words
            .iter()
            .flat_map(|word| places.clone().map(move |place| word >> place & mask));
        quants.map(|quant| quant as f32 * packed.scales[0] + packed.biases[0]).collect()
    }

    #[test]
    fn a_block_of_q4_1_keeps_its_numbers() {
        // Scale 0.5 and minimum -1; bytes hold element i below and element i + 16 above.
        let quants: Vec<u8> = (0..16).map(|index| index | (15 - index) << 4).collect();
        let block = [&[0x00, 0x38, 0x00, 0xbc], &quants[..]].concat();
        let rising = (0..16u8).map(|quant| f32::from(quant) * 0.5 - 1.0);
        let expected: Vec<f32> = rising.clone().chain(rising.rev()).collect();
        assert_eq!(unpacked(&unpack(&block, TensorType::Q4_1), 4), expected);
    }

    #[test]
    fn a_block_of_q4_0_begins_at_minus_eight_scales() {
        // Scale 2; every byte holds 0 below and 15 above.
        let block = [&[0x00, 0x40], &[0xf0; 16][..]].concat();
        let expected = [[-16.0f32; 16], [14.0; 16]].concat();
        assert_eq!(unpacked(&unpack(&block, TensorType::Q4_0), 4), expected);
    }

    #[test]
    fn a_block_of_q8_0_keeps_its_signs() {
        // Scale 0.25; the bytes are -128, -96, … 96 in steps of 32, four times over.
        let quants: Vec<u8> =
            (0..32u8).map(|index| (index % 8).wrapping_mul(32).wrapping_add(128)).collect();
        let block = [&[0x00, 0x34], &quants[..]].concat();
        let step = [-32.0f32, -24.0, -16.0, -8.0, 0.0, 8.0, 16.0, 24.0];
        assert_eq!(unpacked(&unpack(&block, TensorType::Q8_0), 8), step.repeat(4));
    }

    fn values(array: &Array) -> Vec<f32> {
        array.as_dtype(Dtype::Float32).unwrap().try_as_slice::<f32>().unwrap().to_vec()
    }

    fn tensors(sample: &Sample) -> BTreeMap<String, Array> {
        gguf::open(sample.write().path())
            .and_then(|gguf| gguf.tensors_as(ElementType::Float32))
            .unwrap()
    }

    #[test]
    fn rows_of_llama_queries_and_keys_are_put_into_the_order_of_mlx() {
        // Two query heads of four rows and one key head; every row holds its own number.
        let rows = |count: u8| (0..count).flat_map(|row| [f32::from(row); 8]).collect::<Vec<f32>>();
        let biases = [0.0, 1.0, 2.0, 3.0];
        let sample = Sample::model("llama")
            .count("llama.attention.head_count_kv", 1)
            .floats("blk.0.attn_q.weight", &[8, 8], &rows(8))
            .floats("blk.0.attn_k.weight", &[8, 4], &rows(4))
            .floats("blk.0.attn_k.bias", &[4], &biases)
            .floats("blk.0.attn_v.weight", &[8, 4], &rows(4));
        let tensors = tensors(&sample);
        let firsts = |name: &str| {
            let all = values(&tensors[&format!("model.layers.0.self_attn.{name}.weight")]);
            all.chunks(8).map(|row| row[0]).collect::<Vec<f32>>()
        };
        assert_eq!(firsts("q_proj"), [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
        assert_eq!(firsts("k_proj"), [0.0, 2.0, 1.0, 3.0]);
        assert_eq!(values(&tensors["model.layers.0.self_attn.k_proj.bias"]), [0.0, 2.0, 1.0, 3.0]);
        assert_eq!(firsts("v_proj"), [0.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn norms_of_gemma_lose_the_one_that_files_add() {
        let sample = Sample::model("gemma3")
            .count("gemma3.attention.sliding_window", 4)
            .floats("output_norm.weight", &[3], &[1.0, 1.5, 0.25])
            .floats("blk.0.ffn_up.weight", &[2, 1], &[1.0, 1.5]);
        let tensors = tensors(&sample);
        assert_eq!(values(&tensors["model.norm.weight"]), [0.0, 0.5, -0.75]);
        assert_eq!(values(&tensors["model.layers.0.mlp.up_proj.weight"]), [1.0, 1.5]);
    }

    #[test]
    fn floats_take_the_type_asked_for() {
        // 0x3f80 is one in BF16 and 0x3c00 in F16.
        let sample = Sample::model("qwen2")
            .tensor("output_norm.weight", &[2], 30, &[0x80, 0x3f, 0x00, 0xc0])
            .tensor("blk.0.ffn_up.weight", &[2, 1], 1, &[0x00, 0x3c, 0x00, 0x40]);
        let gguf = gguf::open(sample.write().path()).unwrap();
        assert_eq!(gguf.element(), ElementType::Float32);
        let file = sample.write();
        let gguf = gguf::open(file.path()).unwrap();
        for (element, dtype) in
            [(ElementType::Float16, Dtype::Float16), (ElementType::Bfloat16, Dtype::Bfloat16)]
        {
            let tensors = gguf.tensors_as(element).unwrap();
            assert!(tensors.values().all(|tensor| tensor.dtype() == dtype));
            assert_eq!(values(&tensors["model.norm.weight"]), [1.0, -2.0]);
            assert_eq!(values(&tensors["model.layers.0.mlp.up_proj.weight"]), [1.0, 2.0]);
        }
    }
}
