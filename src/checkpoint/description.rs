//! What a checkpoint says of itself before any weight is read.

use std::{io, path::Path};

use serde_json::Value;

use super::{
    LoadError, counts,
    foreign::Method,
    gguf::{self, Gguf},
    locate::{Format, Location},
};
use crate::files::{self, python_json};

/// What a checkpoint says of itself before any weight is read.
#[derive(Debug)]
pub struct Description {
    location: Location,
    config: Value,
    generation_config: Option<Value>,
    gguf: Option<Gguf>,
}

impl Description {
    /// Reads the configuration at `location`, or the header of a GGUF file.
    ///
    /// # Errors
    ///
    /// When it is missing, unreadable or not what it should be.
    pub fn read(location: Location) -> Result<Self, LoadError> {
        match location.format {
            Format::Safetensors => {
                let config = read_json(&location.path, "config.json")?;
                let mut config =
                    config.ok_or_else(|| LoadError::NoConfig { path: location.path.clone() })?;
                complete(&mut config, &location.path)?;
                counts::check(&config)?;
                // As mlx-lm: a broken `generation_config.json` says nothing.
                let generation = read_json(&location.path, "generation_config.json");
                Ok(Self {
                    generation_config: generation.unwrap_or(None),
                    location,
                    config,
                    gguf: None,
                })
            }
            Format::Gguf => {
                let gguf = gguf::open(&location.path)?;
                counts::check(&gguf.config)?;
                Ok(Self {
                    config: gguf.config.clone(),
                    location,
                    generation_config: None,
                    gguf: Some(gguf),
                })
            }
        }
    }

    /// Where the checkpoint lies.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// `config.json`, or what a GGUF file says in its place.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// How another program has packed the weights; none where MLX has, or nobody.
    pub(super) fn foreign_method(&self) -> Result<Option<Method>, LoadError> {
        match self.config.get("quantization") {
            None | Some(Value::Null) => Method::of(&self.config),
            Some(_) => Ok(None),
        }
    }

    /// `generation_config.json`, where there is one.
    pub fn generation_config(&self) -> Option<&Value> {
        self.generation_config.as_ref()
    }

    /// The GGUF file, if it is one.
    pub fn gguf(&self) -> Option<&Gguf> {
        self.gguf.as_ref()
    }

    /// Tokens that the model was made to attend to, under the names that configurations use.
    pub fn context_length(&self) -> Option<u32> {
        let names = ["max_position_embeddings", "n_positions", "max_sequence_length", "seq_len"];
        let length = self.count(&names)?;
        u32::try_from(length).ok()
    }

    /// The first of `keys` that the configuration, or that of its text, has as a positive whole number.
    pub fn count(&self, keys: &[&str]) -> Option<u64> {
        let read = |section: &Value| {
            keys.iter().filter_map(|key| section.get(key)?.as_u64()).find(|count| *count > 0)
        };
        read(&self.config).or_else(|| read(self.config.get("text_config")?))
    }

    /// Its `model_type`.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn model_type(&self) -> Result<&str, LoadError> {
        self.config.get("model_type").and_then(Value::as_str).ok_or(LoadError::NoArchitecture)
    }
}

/// Puts what is said of packing elsewhere where readers look for it.
fn complete(config: &mut Value, folder: &Path) -> Result<(), LoadError> {
    let key = "quantization_config";
    if config.get(key).is_some() {
        return Ok(());
    }
    let nested = config.get("text_config").and_then(|text| text.get(key));
    let found = match nested.cloned() {
        Some(nested) => Some(nested),
        None => read_json(folder, "hf_quant_config.json")?,
    };
    if let (Some(found), Some(config)) = (found, config.as_object_mut()) {
        config.insert(key.to_owned(), found);
    }
    Ok(())
}

/// Reads a JSON file of `folder`, as Python writes it; none where it does not exist.
fn read_json(folder: &Path, file: &'static str) -> Result<Option<Value>, LoadError> {
    let path = folder.join(file);
    let text = match files::read_text(&path, files::LONGEST_CONFIG) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(LoadError::Read { path, source }),
    };
    python_json::parse(&text).map(Some).map_err(|source| LoadError::Json { file, source })
}
