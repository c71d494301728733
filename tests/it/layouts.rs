//! Conversions of every fixture as another program laid it out, against `mlx_lm.convert`: all tensors bit for bit.

use std::{fs, path::Path};

use mlxk_harness::cli::Exit;
use sha2::{Digest, Sha256};

use crate::{
    convert::{fixtures, hashes, json},
    foreign,
    harness::Harness,
    parity,
    weights::{self, FLOAT32, Tweak},
};

/// The first bytes of a hash, as `xtask/python/conversions.py` writes them.
fn digest(text: &str) -> String {
    let hash = Sha256::digest(text);
    let (first, _) = hash.split_first_chunk().unwrap();
    format!("{:016x}", u64::from_be_bytes(*first))
}

/// Writes the checkpoint that was converted, its tensors under other names.
fn source(name: &str, folder: &Path, rename: fn(&str) -> String) {
    let fixture = parity::fixture(name);
    if !fixture.exists() {
        foreign::write(&fixtures().join("foreign").join(name), folder, rename);
    } else if fixture.join("tensors-hf.txt").exists() {
        weights::write_hugging_face(&fixture, folder, rename);
    } else {
        weights::write(&fixture, FLOAT32, folder, Tweak::default());
    }
}

const PACKING: [&str; 5] = ["--quantize", "--bits", "4", "--group-size", "32"];

/// Converts, or answers what was said instead.
fn convert(from: &Path, to: &Path, flags: &[&str]) -> Result<(), String> {
    let folders = ["convert", from.to_str().unwrap(), to.to_str().unwrap()];
    let answer = Harness::new().args(folders).more(flags).answer();
    if answer.code == Some(Exit::Ok as i32) { Ok(()) } else { Err(answer.stderr) }
}

/// What is written of a fixture: hashes of all tensors and of the packing that is noted, or what was said instead.
fn converted(
    name: &str,
    is_packed: bool,
    rename: fn(&str) -> String,
) -> Result<[String; 2], String> {
    let folder = tempfile::tempdir().unwrap();
    let [from, to] = ["source", "target"].map(|part| folder.path().join(part));
    fs::create_dir(&from).unwrap();
    source(name, &from, rename);
    let flags: &[&str] = if is_packed { &PACKING } else { &[] };
    convert(&from, &to, flags)?;
    let tensors = hashes(&to.join("model.safetensors"));
    let lines: Vec<String> =
        tensors.iter().map(|(name, tensor)| format!("{name} {tensor}")).collect();
    let mut packing = json(&to.join("config.json"))["quantization"].take();
    packing.sort_all_objects();
    Ok([digest(&lines.join("\n")), digest(&packing.to_string())])
}

/// The lines of `layouts.txt`: a fixture, whether it is packed, and what [`converted`] is to answer.
fn recorded() -> Vec<(String, bool, [String; 2])> {
    let text = fs::read_to_string(fixtures().join("conversions/layouts.txt")).unwrap();
    let line = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        let mut next = || words.next().unwrap();
        (next(), next() == "packed", [next(), next()])
    };
    text.lines().map(line).collect()
}

#[test]
fn every_layout_becomes_that_of_the_reference_bit_for_bit() {
    let mut wrong = Vec::new();
    let recorded = recorded();
    for (name, is_packed, expected) in &recorded {
        let found = converted(name, *is_packed, str::to_owned);
        let is_right = found.as_ref() == Ok(expected);
        wrong.extend((!is_right).then(|| format!("{name}: {found:?} and not {expected:?}")));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    let folders = ["parity", "foreign"].map(|folder| fixtures().join(folder));
    let folders = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let count = folders.filter(|entry| entry.as_ref().unwrap().path().join("config.json").exists());
    assert_eq!(recorded.len(), count.count());
}

/// A control: two experts that changed places.
#[test]
fn swapped_experts_change_what_is_written() {
    let swap = |name: &str| {
        let swapped = name.replace(".experts.0.", ".X.").replace(".experts.1.", ".experts.0.");
        swapped.replace(".X.", ".experts.1.")
    };
    let (name, is_packed, expected) =
        recorded().into_iter().find(|(name, ..)| name == "mixtral").unwrap();
    let [tensors, packing] = converted(&name, is_packed, swap).unwrap();
    assert_ne!(tensors, expected[0]);
    assert_eq!(packing, expected[1]);
}

#[test]
fn names_of_the_reference_stay() {
    for fixture in parity::fixtures() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["source", "target"].map(|part| folder.path().join(part));
        fs::create_dir(&from).unwrap();
        weights::write(&fixture, FLOAT32, &from, Tweak::default());
        convert(&from, &to, &[]).unwrap();
        let lines = weights::lines(&fixture.join("tensors.txt"));
        let mut expected: Vec<&str> = lines.iter().filter_map(|l| l.split(' ').next()).collect();
        expected.sort_unstable();
        let found = hashes(&to.join("model.safetensors"));
        assert!(found.keys().eq(&expected), "{fixture:?}: {:?}", found.keys());
    }
}

/// What the reference holds and no score depends on is packed, counted and made dense with the rest.
#[test]
fn what_is_held_unused_is_no_exception() {
    for (name, unused) in [
        ("helium", "lm_head.weight"),
        ("gemma3n", "model.language_model.layers.3.self_attn.v_proj.weight"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let [from, packed, again, dense] =
            ["source", "packed", "again", "dense"].map(|part| folder.path().join(part));
        fs::create_dir(&from).unwrap();
        source(name, &from, str::to_owned);
        convert(&from, &packed, &PACKING).unwrap();
        convert(&packed, &again, &[]).unwrap();
        convert(&packed, &dense, &["--dequantize"]).unwrap();
        let [packed, again] = [packed, again].map(|to| {
            let index = json(&to.join("model.safetensors.index.json"));
            (hashes(&to.join("model.safetensors")), index["metadata"].clone())
        });
        assert!(packed.0[unused].starts_with("uint32 "), "{name}");
        assert_eq!(packed, again, "{name}");
        let dense = hashes(&dense.join("model.safetensors"));
        assert!(dense[unused].starts_with("float32 "), "{name}: {}", dense[unused]);
        assert!(!dense.keys().any(|name| name.ends_with(".scales")), "{name}");
    }
}
