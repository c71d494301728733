//! Conversions against `mlx_lm.convert`: every tensor bit for bit, and what is noted of its packing.

use std::{collections::BTreeMap, fs, path::Path};

use mlx_rs::Dtype;
use mlxk_harness::cli::Exit;
use safetensors::SafeTensors;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{
    harness::Harness,
    weights::{self, FLOAT32, Tweak, Variant},
};

/// Flags of ours for each conversion that `xtask/python/conversions.py` recorded.
const CASES: [(&str, &[&str]); 8] = [
    ("4bit", &["--quantize", "--bits", "4", "--group-size", "64"]),
    ("8bit", &["--quantize", "--bits", "8", "--group-size", "32"]),
    ("3bit-half", &["--quantize", "--bits", "3", "--group-size", "32"]),
    ("mxfp4", &["--quantize", "--mode", "mxfp4"]),
    ("nvfp4", &["--quantize", "--mode", "nvfp4"]),
    ("mxfp8", &["--quantize", "--mode", "mxfp8"]),
    ("mixed", &["--quantize", "--group-size", "32", "--recipe", "mixed_3_6"]),
    ("cast", &["--dtype", "bfloat16"]),
];

/// What the reference wrote.
#[derive(Deserialize)]
struct Recorded {
    fixture: String,
    stored: String,
    extra: Map<String, Value>,
    quantization: Option<Value>,
    parameters: u64,
    bytes: u64,
    tensors: BTreeMap<String, String>,
}

pub(crate) fn fixtures() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"))
}

pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Writes the checkpoint that was converted.
fn source(recorded: &Recorded, folder: &Path) {
    let variant = Variant {
        dtype: if recorded.stored == "bfloat16" { Dtype::Bfloat16 } else { Dtype::Float32 },
        ..FLOAT32
    };
    fs::create_dir_all(folder).unwrap();
    let fixture = fixtures().join("parity").join(&recorded.fixture);
    weights::write(&fixture, variant, folder, Tweak::default());
    let mut config = json(&folder.join("config.json"));
    config.as_object_mut().unwrap().extend(recorded.extra.clone());
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    fs::write(folder.join("chat_template.jinja"), "{{ messages }}").unwrap();
}

/// Type, shape and hash of every tensor, as recorded.
pub(crate) fn hashes(path: &Path) -> BTreeMap<String, String> {
    let bytes = fs::read(path).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "mlx");
    let names = [
        ("F32", "float32"),
        ("F16", "float16"),
        ("BF16", "bfloat16"),
        ("U32", "uint32"),
        ("U8", "uint8"),
    ];
    let of = |view: safetensors::tensor::TensorView<'_>| {
        let dtype = format!("{:?}", view.dtype());
        let (_, name) = names.iter().find(|(known, _)| *known == dtype).unwrap();
        let sides: Vec<_> = view.shape().iter().map(ToString::to_string).collect();
        let comma = if sides.len() == 1 { "," } else { "" };
        let hash = Sha256::digest(view.data());
        let (first, _) = hash.split_first_chunk().unwrap();
        let hash = format!("{:016x}", u64::from_be_bytes(*first));
        format!("{name} ({}{comma}) {hash}", sides.join(", "))
    };
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    tensors.tensors().into_iter().map(|(name, view)| (name, of(view))).collect()
}

#[test]
fn what_is_written_equals_the_reference_bit_for_bit() {
    for (name, flags) in CASES {
        let path = fixtures().join("conversions").join(format!("{name}.json"));
        let recorded: Recorded = serde_json::from_value(json(&path)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        source(&recorded, &folder.path().join("source"));
        let (from, to) = (folder.path().join("source"), folder.path().join("target"));
        let answer = Harness::new()
            .args(["convert", from.to_str().unwrap(), to.to_str().unwrap()])
            .more(flags)
            .answer();
        assert_eq!(answer.code, Some(Exit::Ok as i32), "{name}: {}", answer.stderr);
        assert_eq!(hashes(&to.join("model.safetensors")), recorded.tensors, "{name}");
        let config = json(&to.join("config.json"));
        let packing = |key: &str| config.get(key).cloned();
        assert_eq!(packing("quantization"), recorded.quantization, "{name}");
        assert_eq!(packing("quantization_config"), recorded.quantization, "{name}");
        let index = json(&to.join("model.safetensors.index.json"));
        assert_eq!(index["metadata"]["total_size"], recorded.bytes, "{name}");
        assert_eq!(index["metadata"]["total_parameters"], recorded.parameters, "{name}");
        let mapped = index["weight_map"].as_object().unwrap();
        assert!(mapped.keys().eq(recorded.tensors.keys()), "{name}");
        assert!(to.join("chat_template.jinja").exists());
    }
}

#[test]
fn a_folder_with_anything_in_it_is_left_alone() {
    let harness = Harness::new()
        .file("source/config.json", r#"{"model_type": "llama"}"#)
        .file("target/mine.txt", "mine")
        .args(["convert", "source", "target"]);
    let answer = harness.answer();
    assert_eq!(answer.code, Some(Exit::Io as i32));
    assert_eq!(
        answer.stderr,
        "error: `target` is there already and not an empty folder\n\n  hint: name a folder that does not exist yet\n"
    );
    assert_eq!(harness.read("target/mine.txt"), "mine");
}

#[test]
fn flags_that_do_not_go_together_are_refused() {
    let refused = |flags: &[&str], message: &str| {
        let answer =
            Harness::new().args(["convert", "source", "target", "--quantize"]).more(flags).answer();
        assert_eq!(answer.code, Some(Exit::Usage as i32));
        assert_eq!(answer.stderr, format!("error: {message}\n"));
    };
    refused(&["--bits", "7"], "`--bits` must be 2, 3, 4, 5, 6 or 8");
    refused(&["--group-size", "16"], "`--group-size` must be 32, 64 or 128");
    refused(
        &["--mode", "mxfp4", "--bits", "8"],
        "`--mode mxfp4` has 4 bits in groups of 32, and nothing else",
    );
    refused(
        &["--mode", "mxfp4", "--recipe", "mixed_2_6"],
        "`--recipe` goes with `--mode affine` only",
    );
}

#[test]
fn what_is_packed_already_is_not_packed_again() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("source"), folder.path().join("target"));
    fs::create_dir(&from).unwrap();
    let packed = weights::VARIANTS.into_iter().find(|v| v.name == "4bit").unwrap();
    weights::write(&fixtures().join("parity/llama"), packed, &from, Tweak::default());
    let run = |flags: &[&str]| {
        Harness::new()
            .args(["convert", from.to_str().unwrap(), to.to_str().unwrap(), "--quantize"])
            .more(flags)
            .answer()
    };
    let refused = run(&["--group-size", "32"]);
    assert_eq!(refused.code, Some(Exit::No as i32));
    assert_eq!(
        refused.stderr,
        "error: no weight is left to be packed in groups of 32\n\n  hint: is it packed already? `--dequantize` makes it dense first\n"
    );
    assert!(fs::read_dir(folder.path()).unwrap().count() == 1, "nothing is left behind");
    let again = run(&["--group-size", "32", "--bits", "8", "--dequantize"]);
    assert_eq!(again.code, Some(Exit::Ok as i32), "{}", again.stderr);
    assert_eq!(json(&to.join("config.json"))["quantization"]["bits"], 8);
}
