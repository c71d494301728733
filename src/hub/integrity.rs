//! Whether a folder or file holds a whole model, by mlx-knife's rules.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use serde_json::Value;

use super::reference::is_inside;
use crate::files::{self, header, python_json};

/// The list of shards.
const INDEX: &str = "model.safetensors.index.json";

/// What is wrong with the snapshot at `folder`; nothing where all that its files promise is there.
///
/// A configuration that is JSON, and weights, none of them empty, half-fetched or only a pointer: every shard that the
/// index names, or without an index what is no part of several.
///
/// # Errors
///
/// The first flaw, for people.
pub fn check(folder: &Path) -> Result<(), String> {
    check_loadable(folder)?;
    let names = names(folder);
    if let Some(name) = names.iter().find(|name| is_half(name)) {
        return Err(format!("`{name}` is not whole"));
    }
    if names.contains("tokenizer_config.json") && !has_tokenizer(&names) {
        return Err("`tokenizer.json` is missing".to_owned());
    }
    Ok(())
}

/// What keeps the snapshot at `folder` from being loaded: its configuration or its weights.
///
/// # Errors
///
/// The first flaw, for people.
pub fn check_loadable(folder: &Path) -> Result<(), String> {
    let config = json(&folder.join("config.json"), files::LONGEST_CONFIG)?;
    if config.as_object().is_none_or(serde_json::Map::is_empty) {
        return Err("`config.json` holds nothing".to_owned());
    }
    let names = names(folder);
    if !names.contains(INDEX) {
        loose(&names)?;
    }
    check_shards(folder)
}

/// What is wrong with the weights of the snapshot at `folder`: with each shard that the index names, or without one with
/// each file of weights.
///
/// # Errors
///
/// The first flaw, for people.
pub fn check_shards(folder: &Path) -> Result<(), String> {
    let names = names(folder);
    let shards = if names.contains(INDEX) {
        indexed(folder)?
    } else {
        names.into_iter().filter(|name| is_weights(name)).collect()
    };
    shards.iter().try_for_each(|name| check_weights(&folder.join(name), name))
}

/// What is wrong with the weights in the file at `path`, which is called `name`.
///
/// # Errors
///
/// The first flaw, for people.
pub fn check_weights(path: &Path, name: &str) -> Result<(), String> {
    let unreadable = |error| format!("`{name}` cannot be read: {error}");
    let mut file = File::open(path).map_err(|_| format!("`{name}` is missing"))?;
    let length = file.metadata().map_err(unreadable)?.len();
    if length == 0 {
        return Err(format!("`{name}` is empty"));
    }
    let mut start = Vec::new();
    file.by_ref().take(8).read_to_end(&mut start).map_err(unreadable)?;
    if start == b"version " && length < 200 {
        return Err(format!("`{name}` is only a pointer to a large file"));
    }
    if name.to_lowercase().ends_with(".gguf") {
        let is_gguf = start.starts_with(b"GGUF");
        return if is_gguf { Ok(()) } else { Err(format!("`{name}` is no GGUF file")) };
    }
    if !name.ends_with(".safetensors") {
        return Ok(());
    }
    header(path).map(drop).map_err(|error| format!("`{name}` is damaged: {error}"))
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn is_half(name: &str) -> bool {
    let name = name.to_lowercase();
    name.contains("partial") || name.rsplit_once('.').is_some_and(|(_, ending)| ending == "tmp")
}

fn has_tokenizer(names: &BTreeSet<String>) -> bool {
    ["tokenizer.json", "tokenizer.model", "tiktoken.model", "vocab.json"]
        .iter()
        .any(|name| names.contains(*name))
        || names.iter().any(|name| name.ends_with(".tiktoken"))
}

/// The shards that the index names.
fn indexed(folder: &Path) -> Result<BTreeSet<String>, String> {
    let index = json(&folder.join(INDEX), files::LONGEST_INDEX)?;
    let map = index.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or("`model.safetensors.index.json` has no `weight_map`")?;
    let shards: Option<BTreeSet<_>> =
        map.values().map(|shard| shard.as_str().map(str::to_owned)).collect();
    let shards = shards.filter(|shards| !shards.is_empty());
    let shards = shards.ok_or("`model.safetensors.index.json` names no shards")?;
    match shards.iter().find(|name| !is_inside(name)) {
        Some(name) => Err(format!("the index names {name:?}, which is outside")),
        None => Ok(shards),
    }
}

/// Refuses a folder without an index that needs one.
fn loose(names: &BTreeSet<String>) -> Result<(), String> {
    let mut weights = names.iter().filter(|name| is_weights(name)).peekable();
    if weights.peek().is_none() {
        return Err("there are no weights".to_owned());
    }
    match weights.find(|name| is_part(name)) {
        Some(part) => Err(format!("`{part}` is one of several, and there is no index")),
        None => Ok(()),
    }
}

fn is_weights(name: &str) -> bool {
    [".safetensors", ".bin", ".gguf"].iter().any(|ending| name.ends_with(ending))
}

/// Whether a name reads `model-00001-of-00002.safetensors`.
fn is_part(name: &str) -> bool {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let Some((rest, of)) = stem.rsplit_once("-of-") else {
        return false;
    };
    let number = rest.rsplit_once('-').map_or("", |(_, number)| number);
    let is_number = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    is_number(of) && is_number(number)
}

fn json(path: &Path, limit: u64) -> Result<Value, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let text = files::read_text(path, limit).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            format!("`{name}` is missing")
        } else {
            format!("`{name}` cannot be read: {error}")
        }
    })?;
    python_json::parse(&text).map_err(|error| format!("`{name}` is not JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A safetensors file of one `f32` in `model.safetensors`' format.
    fn weights() -> Vec<u8> {
        let header = br#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        let length = (header.len() as u64).to_le_bytes();
        [&length[..], &header[..], &[0; 4]].concat()
    }

    #[track_caller]
    fn flaw(files: &[(&str, &[u8])], expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        assert_eq!(check(folder.path()).err().unwrap_or_default(), expected);
    }

    #[test]
    fn a_whole_model_has_a_configuration_and_all_its_weights() {
        let (config, whole) = (&br#"{"a":1}"#[..], &weights()[..]);
        let index = &br#"{"weight_map":{"w":"a.safetensors","v":"b.safetensors"}}"#[..];
        let name = "model.safetensors.index.json";
        flaw(&[("config.json", config), ("model.safetensors", whole)], "");
        flaw(
            &[
                ("config.json", config),
                (name, index),
                ("a.safetensors", whole),
                ("b.safetensors", whole),
            ],
            "",
        );
        // As Python writes it.
        let endless = br#"{"time_step_limit":[0.0,Infinity]}"#;
        flaw(&[("config.json", endless), ("model.safetensors", whole)], "");
        flaw(&[], "`config.json` is missing");
        flaw(
            &[("config.json", b"{}"), ("model.safetensors", whole)],
            "`config.json` holds nothing",
        );
        flaw(&[("config.json", config)], "there are no weights");
        flaw(
            &[("config.json", config), (name, index), ("a.safetensors", whole)],
            "`b.safetensors` is missing",
        );
        flaw(
            &[("config.json", config), ("model.safetensors", b"")],
            "`model.safetensors` is empty",
        );
        flaw(
            &[("config.json", config), ("model-00001-of-00002.safetensors", whole)],
            "`model-00001-of-00002.safetensors` is one of several, and there is no index",
        );
        flaw(
            &[
                ("config.json", config),
                ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\n"),
            ],
            "`model.safetensors` is only a pointer to a large file",
        );
        flaw(
            &[
                ("config.json", config),
                ("tokenizer_config.json", config),
                ("model.safetensors", whole),
            ],
            "`tokenizer.json` is missing",
        );
    }

    #[test]
    fn a_header_must_fit_and_say_how_long_the_file_is() {
        let config = &br#"{"a":1}"#[..];
        let mut cut = weights();
        cut.pop();
        let length = cut.len();
        let expected = format!(
            "`model.safetensors` is damaged: it has {length} bytes and should have {}",
            length + 1
        );
        flaw(&[("config.json", config), ("model.safetensors", &cut)], &expected);
        let mut huge = weights();
        huge[..8].copy_from_slice(&(1_u64 << 63).to_le_bytes());
        let expected = format!(
            "`model.safetensors` is damaged: its header claims 9223372036854775808 bytes, the file has {}",
            length + 1
        );
        flaw(&[("config.json", config), ("model.safetensors", &huge)], &expected);
    }

    #[test]
    fn an_index_that_names_files_outside_is_refused() {
        let index = br#"{"weight_map":{"w":"../a.safetensors"}}"#;
        flaw(
            &[("config.json", br#"{"a":1}"#), ("model.safetensors.index.json", index)],
            "the index names \"../a.safetensors\", which is outside",
        );
    }
}
