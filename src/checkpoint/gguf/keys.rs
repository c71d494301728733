//! The keys of a model's architecture.

use thiserror::Error;

use super::{
    architecture::Architecture,
    header::Header,
    metadata::{MetadataError, needed},
};

/// Why the metadata describes no model that is read.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ConfigError {
    /// A key is missing or of another kind.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The architecture is not one of those read.
    #[error("no architecture `{name}` is read from GGUF files")]
    Architecture {
        /// Its name.
        name: String,
    },
    /// The model needs something that is not implemented.
    #[error("key `{key}` asks for {what}, which is not supported")]
    Unsupported {
        /// The key.
        key: String,
        /// What it asks for.
        what: String,
    },
    /// A tensor belongs to no part of the model.
    #[error("architecture `{architecture}` has no tensor `{tensor}`")]
    Tensor {
        /// The tensor.
        tensor: String,
        /// The architecture.
        architecture: &'static str,
    },
    /// A tensor that every model has is not there.
    #[error("tensor `{tensor}` is missing")]
    MissingTensor {
        /// The tensor.
        tensor: &'static str,
    },
}

/// Reads the keys of one architecture.
pub(super) struct Keys<'a> {
    pub(super) header: &'a Header,
    pub(super) architecture: Architecture,
}

impl<'a> Keys<'a> {
    /// Finds the architecture of a file.
    pub(super) fn of(header: &'a Header) -> Result<Self, ConfigError> {
        let key = "general.architecture";
        let name = needed(header.metadata.text(key)?, key)?;
        let architecture = Architecture::ALL.into_iter().find(|known| known.name() == name);
        let unknown = || ConfigError::Architecture { name: name.to_owned() };
        Ok(Self { header, architecture: architecture.ok_or_else(unknown)? })
    }

    pub(super) fn full(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture.name())
    }

    pub(super) fn count(&self, key: &str) -> Result<Option<u64>, MetadataError> {
        self.header.metadata.count(&self.full(key))
    }

    pub(super) fn needed_count(&self, key: &str) -> Result<u64, MetadataError> {
        needed(self.count(key)?, &self.full(key))
    }

    pub(super) fn single(&self, key: &str) -> Result<Option<f32>, MetadataError> {
        self.header.metadata.single(&self.full(key))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, MetadataError> {
        self.header.metadata.text(&self.full(key))
    }

    pub(super) fn unsupported(&self, key: &str, what: String) -> ConfigError {
        ConfigError::Unsupported { key: self.full(key), what }
    }

    pub(super) fn heads(&self) -> Result<u64, MetadataError> {
        self.needed_count("attention.head_count")
    }

    pub(super) fn kv_heads(&self) -> Result<u64, MetadataError> {
        match self.count("attention.head_count_kv")? {
            Some(heads) => Ok(heads),
            None => self.heads(),
        }
    }

    /// Elements of a head.
    pub(super) fn head_dim(&self) -> Result<u64, ConfigError> {
        let heads = self.heads()?;
        let width = self.needed_count("embedding_length")?;
        let head_dim = match self.count("attention.key_length")? {
            Some(head_dim) => head_dim,
            None => width.checked_div(heads).unwrap_or(0),
        };
        if head_dim == 0 || !head_dim.is_multiple_of(2) {
            return Err(
                self.unsupported("attention.head_count", format!("heads of {head_dim} elements"))
            );
        }
        Ok(head_dim)
    }

    /// The base of the rotary frequencies.
    pub(super) fn rope_theta(&self) -> Result<f32, MetadataError> {
        let default = if self.architecture == Architecture::Gemma3 { 1e6 } else { 1e4 };
        Ok(self.single("rope.freq_base")?.unwrap_or(default))
    }

    /// Refuses what these architectures may have and the models here do not do.
    pub(super) fn refuse_extras(&self) -> Result<(), ConfigError> {
        let head_dim = self.head_dim()?;
        if let Some(experts) = self.count("expert_count")?.filter(|&experts| experts > 0) {
            return Err(self.unsupported("expert_count", format!("{experts} experts")));
        }
        for key in ["rope.dimension_count", "attention.value_length"] {
            if key == "rope.dimension_count" && self.architecture == Architecture::Phi3 {
                continue;
            }
            if let Some(other) = self.count(key)?.filter(|&other| other != head_dim) {
                return Err(
                    self.unsupported(key, format!("{other} of {head_dim} elements of a head"))
                );
            }
        }
        Ok(())
    }
}
