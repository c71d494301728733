//! Whole models that other programs packed, against mlx-lm: `xtask/python/packed.py` says how they look.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use mlx_rs::Dtype;
use mlxk_harness::{
    checkpoint::{Checkpoint, Description, LoadOptions, Location},
    footprint::Footprint,
    models,
    plan::ElementType,
};
use safetensors::{Dtype as Stored, tensor::TensorView};
use serde_json::{Value, json};

use crate::{
    parity::{self, TOLERANCE, gap_of_short, open},
    weights::{self, layer, lines},
};

/// A tensor as it lies in the file.
struct Tensor {
    name: String,
    shape: Vec<i32>,
    kind: String,
}

impl Tensor {
    /// Reads `name side side kind`.
    fn of(line: &str) -> Self {
        let mut words = line.split(' ');
        let name = words.next().unwrap().to_owned();
        let mut rest: Vec<&str> = words.collect();
        let kind = rest.pop().unwrap().to_owned();
        Self { name, shape: rest.iter().map(|side| side.parse().unwrap()).collect(), kind }
    }

    /// Its type in the file, and its bytes: as `KINDS` of `xtask/python/generator.py`.
    fn stored(&self) -> (Stored, Vec<u8>) {
        match self.kind.as_str() {
            "f32" => (Stored::F32, self.floats(Dtype::Float32)),
            "f16" => (Stored::F16, self.floats(Dtype::Float16)),
            "bf16" => (Stored::BF16, self.floats(Dtype::Bfloat16)),
            "i32" => (Stored::I32, self.words(u32::MAX)),
            "u32" => (Stored::U32, self.words(u32::MAX)),
            "u8" => (Stored::U8, self.bytes(0xff, 0)),
            "e4m3" => (Stored::F8_E4M3, self.bytes(0xbf, 0)),
            "e4m3x4" => (Stored::U32, self.words(0xbfbf_bfbf)),
            "power" => (Stored::U8, self.bytes(0x03, 121)),
            "fraction" => (Stored::U8, self.bytes(0x0f, 0x10)),
            kind => panic!("`{}` is of no known kind, `{kind}`", self.name),
        }
    }

    fn floats(&self, dtype: Dtype) -> Vec<u8> {
        let numbers = weights::numbers(&self.name, &self.shape).as_dtype(dtype).unwrap();
        let bytes = numbers.reshape(&[-1]).unwrap().view_dtype(Dtype::Uint8).unwrap();
        bytes.try_as_slice::<u8>().unwrap().to_vec()
    }

    fn words(&self, mask: u32) -> Vec<u8> {
        let word = |bits: u64| (u32::try_from(bits >> 32).unwrap() & mask).to_le_bytes();
        weights::random(&self.name, &self.shape).flat_map(word).collect()
    }

    fn bytes(&self, mask: u8, offset: u8) -> Vec<u8> {
        let byte = |bits: u64| (u8::try_from(bits >> 56).unwrap() & mask) + offset;
        weights::random(&self.name, &self.shape).map(byte).collect()
    }
}

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/foreign");
    let mut found: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn tensors(fixture: &Path) -> Vec<Tensor> {
    lines(&fixture.join("tensors.txt")).iter().map(|line| Tensor::of(line)).collect()
}

/// Writes a fixture as a checkpoint whose tensors have other names.
pub(crate) fn write(fixture: &Path, folder: &Path, rename: impl Fn(&str) -> String) {
    write_tensors(&tensors(fixture), folder, rename);
    for file in ["config.json", "hf_quant_config.json"] {
        let from = fixture.join(file);
        if from.exists() {
            fs::copy(from, folder.join(file)).unwrap();
        }
    }
}

fn write_tensors(tensors: &[Tensor], folder: &Path, rename: impl Fn(&str) -> String) {
    let stored: Vec<_> = tensors
        .iter()
        .map(|tensor| {
            let (dtype, bytes) = tensor.stored();
            let sides = tensor.shape.iter().map(|&side| usize::try_from(side).unwrap());
            (rename(&tensor.name), dtype, sides.collect::<Vec<_>>(), bytes)
        })
        .collect();
    let views = stored.iter().map(|(name, dtype, shape, bytes)| {
        (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    let file = safetensors::serialize(views, None).unwrap();
    fs::write(folder.join("model.safetensors"), file).unwrap();
}

/// How far a fixture goes astray in float32, and whether its greedy tokens differ.
fn compared(fixture: &Path, rename: impl Fn(&str) -> String) -> (f32, bool) {
    let folder = tempfile::tempdir().unwrap();
    write(fixture, folder.path(), rename);
    let options = LoadOptions { dtype: Some(ElementType::Float32), ..LoadOptions::default() };
    let model = open(folder.path(), options).unwrap();
    gap_of_short(model.as_ref(), &fixture.join("expected.safetensors"))
}

#[test]
fn packings_of_other_programs_equal_the_reference() {
    let mut wrong = Vec::new();
    for fixture in fixtures() {
        let (gap, is_same) = compared(&fixture, str::to_owned);
        let ids = if is_same { "equal" } else { "differ" };
        let line = format!("{:<24} {gap:.1e}  ids {ids}", fixture.file_name().unwrap().display());
        println!("{line}");
        let is_right = gap <= TOLERANCE && is_same;
        wrong.extend((!is_right).then_some(line));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// The names of packed weights and their scales, by what stands behind the last dot, whatever a format calls it.
fn packing(fixture: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut parts = BTreeMap::<String, BTreeSet<String>>::new();
    for Tensor { name, kind, .. } in tensors(fixture) {
        let part = name.rsplit('.').next().unwrap().to_owned();
        let is_plain = ["f32", "f16", "bf16"].contains(&kind.as_str());
        let is_unread = part == "weight_shape" || part.ends_with("activation_scale");
        if (!is_plain || part.contains("scale")) && !is_unread {
            parts.entry(part).or_default().insert(name);
        }
    }
    parts
}

/// The same tensor of the other one of the first two layers that have it, if `name` is in one of them.
fn other_layer(name: &str, names: &BTreeSet<String>) -> Option<String> {
    let (before, number, behind) = layer(name).filter(|_| names.contains(name))?;
    let of = |number: u32| format!("{before}{number}.{behind}");
    let mut twins = (0..).take(64).filter(|number| names.contains(&of(*number)));
    let (one, other) = (twins.next()?, twins.next()?);
    match number {
        number if number == one => Some(of(other)),
        number if number == other => Some(of(one)),
        _ => None,
    }
}

/// A control: of every part of a packing, that of two layers changed places.
#[test]
fn swapped_parts_of_a_packing_are_noticed() {
    for fixture in fixtures() {
        let parts = packing(&fixture);
        assert!(parts.len() > 1, "{fixture:?}: {parts:?}");
        for (part, names) in parts {
            let swap = |name: &str| other_layer(name, &names).unwrap_or_else(|| name.to_owned());
            let (gap, _) = compared(&fixture, swap);
            println!("{} {part} {gap:.1e}", fixture.file_name().unwrap().display());
            assert!(gap > 100.0 * TOLERANCE, "{fixture:?}: `{part}`, {gap:e}");
        }
    }
}

#[test]
fn headers_tell_what_layouts_of_other_programs_take() {
    let mut wrong = Vec::new();
    for fixture in fixtures().into_iter().chain(parity::fixtures()) {
        let folder = tempfile::tempdir().unwrap();
        if fixture.join("tensors-hf.txt").exists() {
            weights::write_hugging_face(&fixture, folder.path(), str::to_owned);
        } else if fixture.parent().unwrap().ends_with("foreign") {
            write(&fixture, folder.path(), str::to_owned);
        } else {
            continue;
        }
        let location = Location::find(folder.path().to_str().unwrap(), None).unwrap();
        let description = Description::read(location).unwrap();
        let footprint = Footprint::of(&description, None).unwrap();
        let checkpoint = Checkpoint::open(&description, LoadOptions::default()).unwrap();
        let (_, parameters) = models::load(checkpoint).unwrap();
        let told = (footprint.obstacle, footprint.parameters, footprint.weight_bytes);
        let taken = (None, parameters.count, parameters.bytes());
        wrong.extend((told != taken).then(|| format!("{fixture:?}: {told:?} and not {taken:?}")));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// mlx-lm loads it, and multiplies bytes: a weight of 1, the byte 56, becomes 56 times its scale, and none is negative.
#[test]
fn a_scale_for_a_whole_matrix_is_refused() {
    let fixture = parity::fixture("ministral3");
    let packed = |line: String| {
        let (name, shape) = line.split_once(' ').unwrap();
        match name.strip_suffix("_proj.weight") {
            Some(path) => vec![
                Tensor::of(&format!("{name} {shape} e4m3")),
                Tensor::of(&format!("{name}_scale_inv bf16")),
                Tensor::of(&format!("{path}_proj.activation_scale bf16")),
            ],
            None => vec![Tensor::of(&format!("{line} bf16"))],
        }
    };
    let tensors: Vec<Tensor> =
        lines(&fixture.join("tensors.txt")).into_iter().flat_map(packed).collect();
    let folder = tempfile::tempdir().unwrap();
    write_tensors(&tensors, folder.path(), str::to_owned);
    let config = fs::read_to_string(fixture.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["quantization_config"] =
        json!({"quant_method": "fp8", "activation_scheme": "static", "weight_block_size": null});
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let error = open(folder.path(), LoadOptions::default()).err().unwrap();
    assert_eq!(
        (error.to_string().as_str(), error.hint().as_deref(), error.kind()),
        (
            "`model.layers.0.mlp.down_proj.weight_scale_inv` scales a whole matrix of `fp8`, of which mlx-lm makes no \
             usable weights",
            Some("take the model in bfloat16, or as converted to MLX"),
            "unsupported"
        )
    );
}
