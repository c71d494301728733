//! Checkpoints of generated weights: the same numbers as `xtask/python/fixtures.py` makes, keyed by tensor name.

use std::{fs, path::Path};

use mlx_rs::{Array, Dtype};
use mlxk_harness::ffi::{self, Packing};
use serde_json::{Value, json};

/// How a generated checkpoint is stored.
#[derive(Clone, Copy)]
pub(crate) struct Variant {
    /// Its name in the fixtures.
    pub(crate) name: &'static str,
    pub(crate) dtype: Dtype,
    pub(crate) packing: Option<Packing<'static>>,
}

const fn variant(name: &'static str, dtype: Dtype) -> Variant {
    Variant { name, dtype, packing: None }
}

const fn packed(name: &'static str, dtype: Dtype, bits: i32, mode: &'static str) -> Variant {
    let group_size = if matches!(mode.as_bytes(), b"nvfp4") { 16 } else { 32 };
    Variant { name, dtype, packing: Some(Packing { group_size, bits, mode }) }
}

const fn affine(name: &'static str, bits: i32, group_size: i32) -> Variant {
    let packing = Packing { group_size, bits, mode: "affine" };
    Variant { name, dtype: Dtype::Float32, packing: Some(packing) }
}

pub(crate) const FLOAT32: Variant = variant("float32", Dtype::Float32);

/// Every variant of which a fixture may hold what the reference says.
pub(crate) const VARIANTS: [Variant; 13] = [
    FLOAT32,
    variant("bfloat16", Dtype::Bfloat16),
    variant("float16", Dtype::Float16),
    packed("4bit", Dtype::Float32, 4, "affine"),
    affine("2bit-64", 2, 64),
    affine("3bit-32", 3, 32),
    affine("4bit-128", 4, 128),
    affine("5bit-128", 5, 128),
    affine("6bit-64", 6, 64),
    packed("8bit-bfloat16", Dtype::Bfloat16, 8, "affine"),
    packed("mxfp4", Dtype::Float32, 4, "mxfp4"),
    packed("mxfp8", Dtype::Float32, 8, "mxfp8"),
    packed("nvfp4", Dtype::Float32, 4, "nvfp4"),
];

/// `SplitMix64`, from its published constants.
fn splitmix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// 64 random bits for every element of the tensor `name`.
pub(crate) fn random(name: &str, shape: &[i32]) -> impl Iterator<Item = u64> {
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |seed, byte| {
        (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let count = shape.iter().map(|n| u64::try_from(*n).unwrap()).product::<u64>();
    (0..count).map(move |index| splitmix(index.wrapping_add(seed)))
}

/// The numbers of the tensor `name`, uniform around its neutral value.
pub(crate) fn numbers(name: &str, shape: &[i32]) -> Array {
    let offset = if name.ends_with("norm.weight") { 1.0 } else { 0.0 };
    let values: Vec<f32> = random(name, shape)
        .map(|bits| {
            let bits = bits >> 40;
            let uniform = f32::from(u16::try_from(bits >> 12).unwrap())
                .mul_add(4096.0, (bits & 0xfff) as f32);
            (uniform / 8_388_608.0 - 1.0) * 0.25 + offset
        })
        .collect();
    Array::from_slice(&values, shape)
}

/// Whether a tensor of this shape is a matrix that can be packed.
fn is_packed(shape: &[i32], packing: Packing<'_>) -> bool {
    shape.len() > 1 && shape.last().is_some_and(|width| width % packing.group_size == 0)
}

/// What is changed about a fixture before it is written; the default changes nothing.
#[derive(Clone, Copy)]
pub(crate) struct Tweak {
    /// Two layers whose tensors change places.
    pub(crate) swapped: Option<[u32; 2]>,
    /// What becomes of the configuration.
    pub(crate) config: fn(&mut Value),
    /// Which tensors are written as zeros.
    pub(crate) is_zeroed: fn(&str) -> bool,
}

impl Default for Tweak {
    fn default() -> Self {
        Self { swapped: None, config: |_| {}, is_zeroed: |_| false }
    }
}

/// The layer that the tensor `name` belongs to, what stands before its number, and what behind.
pub(crate) fn layer(name: &str) -> Option<(&str, u32, &str)> {
    let ends = ["layers.", "h."].iter().filter_map(|part| Some(name.find(part)? + part.len()));
    let (before, rest) = name.split_at(ends.max()?);
    let (number, behind) = rest.split_once('.')?;
    Some((before, number.parse().ok()?, behind))
}

/// The name that a tensor has in the other one of two layers; its own where it is in neither.
pub(crate) fn in_other_layer(name: &str, [one, other]: [u32; 2]) -> String {
    match layer(name) {
        Some((before, number, behind)) if number == one => format!("{before}{other}.{behind}"),
        Some((before, number, behind)) if number == other => format!("{before}{one}.{behind}"),
        _ => name.to_owned(),
    }
}

/// The lines of a list of tensors, where `layers.{0,1}.norm.weight 64` stands for two.
pub(crate) fn lines(list: &Path) -> Vec<String> {
    fs::read_to_string(list).unwrap().lines().flat_map(expanded).collect()
}

fn expanded(line: &str) -> Vec<String> {
    let Some((before, rest)) = line.split_once('{') else {
        return vec![line.to_owned()];
    };
    let (numbers, after) = rest.split_once('}').unwrap();
    let behind = expanded(after);
    let each = |number| behind.iter().map(move |tail| format!("{before}{number}{tail}"));
    numbers.split(',').flat_map(each).collect()
}

#[test]
fn a_line_with_braces_stands_for_every_combination() {
    assert_eq!(
        expanded("a.{0,12}.b.{3,4}.c 6 4"),
        ["a.0.b.3.c 6 4", "a.0.b.4.c 6 4", "a.12.b.3.c 6 4", "a.12.b.4.c 6 4"]
    );
}

/// Writes the checkpoint of a parity fixture to `folder`.
pub(crate) fn write(fixture: &Path, variant: Variant, folder: &Path, tweak: Tweak) {
    let mut tensors = Vec::new();
    for line in lines(&fixture.join("tensors.txt")) {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        let is_dense = line.ends_with(" dense");
        let sizes = words.filter(|word| *word != "dense");
        let shape: Vec<i32> = sizes.map(|word| word.parse().unwrap()).collect();
        let mut dense = numbers(name, &shape).as_dtype(variant.dtype).unwrap();
        if (tweak.is_zeroed)(name) {
            dense = mlx_rs::ops::zeros_like(&dense).unwrap();
        }
        let name = tweak.swapped.map_or_else(|| name.to_owned(), |pair| in_other_layer(name, pair));
        match (variant.packing, name.strip_suffix(".weight")) {
            (Some(packing), Some(path)) if !is_dense && is_packed(&shape, packing) => {
                let (weight, scales, biases) = ffi::quantize(&dense, packing).unwrap();
                tensors.push((name.clone(), weight));
                tensors.push((format!("{path}.scales"), scales));
                tensors.extend(biases.map(|biases| (format!("{path}.biases"), biases)));
            }
            _ => tensors.push((name, dense)),
        }
    }
    let tensors = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
    Array::save_safetensors(tensors, None, folder.join("model.safetensors")).unwrap();
    let config = fs::read_to_string(fixture.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    if let Some(Packing { group_size, bits, mode }) = variant.packing {
        config["quantization"] = json!({"group_size": group_size, "bits": bits, "mode": mode});
    }
    (tweak.config)(&mut config);
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

/// Writes the checkpoint of a parity fixture in the layout of Hugging Face's own files to `folder`.
pub(crate) fn write_hugging_face(fixture: &Path, folder: &Path, rename: fn(&str) -> String) {
    let list = lines(&fixture.join("tensors-hf.txt"));
    let tensor = |line: &String| {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        let shape: Vec<i32> = words.map(|word| word.parse().unwrap()).collect();
        (rename(name), numbers(name, &shape))
    };
    let tensors: Vec<(String, Array)> = list.iter().map(tensor).collect();
    let tensors = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
    Array::save_safetensors(tensors, None, folder.join("model.safetensors")).unwrap();
    fs::copy(fixture.join("config.json"), folder.join("config.json")).unwrap();
}
