//! What stands beside the weights: configuration and tokenizer.

use std::{fs, path::Path};

use serde_json::{Map, Value, json};

use super::{ConvertError, packing::Entry, unwritten};
use crate::checkpoint::{
    Description, Quantization,
    gguf::{GgufError, TokenizerError, TokenizerParts},
};

/// Files of a folder that are not handed on: they are written anew, or speak of the old weights.
const OWN: [&str; 3] = ["config.json", "hf_quant_config.json", "quantize_config.json"];

/// Kinds of files that belong to a tokenizer or to generation.
const HANDED_ON: [&str; 5] = [".json", ".jinja", ".txt", ".tiktoken", ".jsonl"];

/// The `config.json` to be.
pub(super) struct WrittenConfig {
    entries: Map<String, Value>,
}

impl WrittenConfig {
    /// That of the source, with the packing that its weights have as they were loaded.
    pub(super) fn new(description: &Description, general: Option<Quantization>) -> Self {
        let mut entries = description.config().as_object().cloned().unwrap_or_default();
        entries.remove("_name_or_path");
        entries.remove("vision_config");
        entries.remove("quantization_config");
        if let Some(general) = general {
            entries.entry("quantization").or_insert_with(|| entry(general));
        }
        let generation = description.generation_config();
        let eos = generation.and_then(|generation| generation.get("eos_token_id"));
        if let Some(eos) = eos.filter(|eos| is_said(eos)) {
            entries.insert("eos_token_id".to_owned(), eos.clone());
        }
        Self { entries }
    }

    /// Says that nothing is packed.
    pub(super) fn forget_packing(&mut self) {
        self.entries.remove("quantization");
    }

    /// Says how weights are packed; whether nothing was before, so that only exceptions need be named.
    pub(super) fn begin_packing(&mut self, general: Quantization) -> bool {
        if self.entries.contains_key("quantization") {
            return false;
        }
        self.entries.insert("quantization".to_owned(), entry(general));
        true
    }

    /// Names how one module is packed, where it has to be named.
    pub(super) fn note_module(&mut self, path: &str, how: Quantization, named: Entry) {
        let Some(Value::Object(packing)) = self.entries.get_mut("quantization") else {
            return;
        };
        let entry = match named {
            Entry::General => return,
            Entry::Full => entry(how),
            Entry::Brief => json!({"group_size": how.group_size, "bits": how.bits}),
        };
        packing.insert(path.to_owned(), entry);
    }
}

/// Whether Python takes a value for true.
fn is_said(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

fn entry(how: Quantization) -> Value {
    json!({"group_size": how.group_size, "bits": how.bits, "mode": how.mode.name()})
}

/// Writes `config.json`, sorted; how weights are packed is in it twice, as readers look in either place.
pub(super) fn config(config: WrittenConfig, folder: &Path) -> Result<(), ConvertError> {
    let mut entries = config.entries;
    if let Some(packing) = entries.get("quantization").cloned() {
        entries.insert("quantization_config".to_owned(), packing);
    }
    entries.sort_keys();
    save(&folder.join("config.json"), &Value::Object(entries))
}

/// Puts the tokenizer into `folder`; whether there is one.
pub(super) fn tokenizer(description: &Description, folder: &Path) -> Result<bool, ConvertError> {
    match description.gguf() {
        Some(gguf) => match gguf.tokenizer()? {
            Some(parts) => written(&parts, description, folder).map(|()| true),
            None => Ok(false),
        },
        None => copied(&description.location().path, folder),
    }
}

/// Copies what stands beside the weights of `from`.
fn copied(from: &Path, folder: &Path) -> Result<bool, ConvertError> {
    let unreadable = unwritten(from);
    let entries = fs::read_dir(from).map_err(unreadable)?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| is_handed_on(name)) else {
            continue;
        };
        // Links of a cache are followed.
        if entry.path().is_file() {
            let target = folder.join(name);
            fs::copy(entry.path(), &target).map_err(unwritten(&target))?;
        }
    }
    Ok(folder.join("tokenizer.json").exists())
}

fn is_handed_on(name: &str) -> bool {
    let is_own = OWN.contains(&name) || name.ends_with(".index.json") || name.starts_with('.');
    let is_kind = HANDED_ON.iter().any(|end| name.ends_with(end));
    let is_code = Path::new(name).extension().is_some_and(|extension| extension == "py");
    !is_own && (is_kind || is_code || name == "tokenizer.model")
}

/// Writes the tokenizer of a GGUF file as other programs read it.
fn written(
    parts: &TokenizerParts,
    description: &Description,
    folder: &Path,
) -> Result<(), ConvertError> {
    let text = parts.tokenizer.to_string(true).map_err(|source| {
        let source = TokenizerError::Parts { source };
        let path = description.location().path.clone();
        GgufError::Tokenizer { path, source }
    })?;
    let path = folder.join("tokenizer.json");
    fs::write(&path, text).map_err(unwritten(&path))?;
    let mut config = Map::from_iter([
        ("clean_up_tokenization_spaces".to_owned(), json!(false)),
        ("tokenizer_class".to_owned(), json!("PreTrainedTokenizerFast")),
    ]);
    if let Some(length) = description.context_length() {
        config.insert("model_max_length".to_owned(), json!(length));
    }
    for (name, token) in &parts.special_tokens {
        config.insert(name.clone(), json!(token));
    }
    if let Some(template) = &parts.chat_template {
        config.insert("chat_template".to_owned(), json!(template));
    }
    save(&folder.join("tokenizer_config.json"), &Value::Object(config))
}

fn save(path: &Path, value: &Value) -> Result<(), ConvertError> {
    fs::write(path, format!("{value:#}\n")).map_err(unwritten(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_the_tokenizer_is_handed_on() {
        let handed = |names: &[&str]| names.iter().all(|name| is_handed_on(name));
        assert!(handed(&[
            "tokenizer.json",
            "tokenizer_config.json",
            "chat_template.jinja",
            "merges.txt",
            "tokenizer.model",
            "generation_config.json",
        ]));
        for name in [
            "config.json",
            "model.safetensors",
            "model.safetensors.index.json",
            "pytorch_model.bin",
            "README.md",
            ".hidden.json",
        ] {
            assert!(!is_handed_on(name), "{name}");
        }
    }

    #[test]
    fn only_what_is_said_replaces_the_end_of_texts() {
        assert!(!is_said(&json!(0)) && !is_said(&json!([])) && !is_said(&json!(null)));
        assert!(is_said(&json!(2)) && is_said(&json!([0])));
    }
}
