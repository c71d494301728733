//! Models in GGUF files, told as the same models elsewhere: a configuration, tensors, a tokenizer.

mod architecture;
mod config;
mod header;
mod keys;
mod metadata;
mod outline;
mod pre_tokenizer;
mod reader;
mod rope;
#[cfg(test)]
mod sample;
mod sentence_piece;
#[cfg(test)]
mod smollm2;
mod tensor_info;
mod tensor_type;
mod tensors;
mod tokenizer;
mod tokens;

pub use header::HeaderError;
pub use keys::ConfigError;
pub use metadata::MetadataError;
pub use tokenizer::{TokenizerError, TokenizerParts};

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use mlx_rs::Array;
use serde_json::Value;
use thiserror::Error;

use self::{
    architecture::Architecture,
    header::Header,
    keys::Keys,
    tensor_info::TensorInfo,
    tensor_type::TensorType,
    tensors::{Change, Source},
};
use crate::plan::ElementType;

/// The tensor that holds a factor for every rotary frequency.
const ROPE_FACTORS: &str = "rope_freqs.weight";

/// Why a GGUF file is no model.
#[derive(Debug, Error)]
pub enum GgufError {
    /// It cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Its header is of no use.
    #[error("`{}` is not a usable GGUF file", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: HeaderError,
    },
    /// It describes no model that is read.
    #[error("`{}` holds no model that can be read", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is in the way.
        source: ConfigError,
    },
    /// Its tokenizer is of no use.
    #[error("`{}` holds no tokenizer that can be read", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is in the way.
        source: TokenizerError,
    },
}

impl GgufError {
    /// A stable name for machines.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Read { .. } => "gguf_unreadable",
            Self::Header { source: HeaderError::TensorKind { .. }, .. } => "gguf_tensor_type",
            Self::Header { source: HeaderError::Cut { .. } | HeaderError::Truncated, .. } => {
                "gguf_truncated"
            }
            Self::Header { .. } => "gguf_malformed",
            Self::Config { .. } => "gguf_unsupported",
            Self::Tokenizer { .. } => "gguf_tokenizer",
        }
    }

    /// What can be done about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self.kind() {
            "gguf_tensor_type" => {
                "take the model as Q4_0, Q4_1, Q8_0, F16 or BF16, or as safetensors"
            }
            "gguf_truncated" => "the file was cut: download it again",
            "gguf_unsupported" | "gguf_tokenizer" => "take the model as safetensors",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// A model in a GGUF file; no weight is read yet.
#[derive(Debug)]
pub struct Gguf {
    /// What a `config.json` of the model would say.
    pub config: Value,
    /// Bytes of the file.
    pub size_bytes: u64,
    path: PathBuf,
    header: Header,
    sources: Vec<Source>,
}

/// Reads the header of the file at `path` and checks all of it, down to the end of the last tensor.
///
/// # Errors
///
/// When the file cannot be read, is cut or malformed, or holds a model or a tensor of a kind that is
/// not read.
pub fn open(path: &Path) -> Result<Gguf, GgufError> {
    let unreadable = |source| GgufError::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(unreadable)?;
    let size_bytes = file.metadata().map_err(unreadable)?.len();
    let header = Header::read(BufReader::new(&file), size_bytes)
        .map_err(|source| GgufError::Header { path: path.to_owned(), source })?;
    let rope_factors = header.tensor(ROPE_FACTORS).map(|tensor| tensors::values(&mut file, tensor));
    let rope_factors = rope_factors.transpose().map_err(unreadable)?;
    let unfit = |source| GgufError::Config { path: path.to_owned(), source };
    let keys = Keys::of(&header).map_err(unfit)?;
    let config = config::config(&keys, rope_factors.as_deref()).map_err(unfit)?;
    let sources = sources(&keys).map_err(unfit)?;
    Ok(Gguf { config, size_bytes, path: path.to_owned(), sources, header })
}

impl Gguf {
    /// Every tensor under its name in MLX models, floats in the type that suits most of the file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn tensors(&self) -> Result<BTreeMap<String, Array>, GgufError> {
        self.tensors_as(self.element())
    }

    /// Every tensor under its name in MLX models, with all floats as `element`: what is not packed, and
    /// the scales and biases of what is.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn tensors_as(&self, element: ElementType) -> Result<BTreeMap<String, Array>, GgufError> {
        let unreadable = |source| GgufError::Read { path: self.path.clone(), source };
        let mut file = File::open(&self.path).map_err(unreadable)?;
        let mut tensors = BTreeMap::new();
        for source in &self.sources {
            tensors::read(&mut file, source, element, &mut tensors).map_err(unreadable)?;
        }
        Ok(tensors)
    }

    /// The narrowest type that holds every matrix of the file without rounding.
    ///
    /// Vectors do not count: files keep them in single precision whatever the matrices are.
    pub fn element(&self) -> ElementType {
        let matrices = self.sources.iter().filter(|source| source.info.shape.len() > 1);
        let all = |wanted: &[TensorType]| {
            matrices.clone().all(|source| wanted.contains(&source.info.kind))
        };
        if all(&[TensorType::F16, TensorType::Q4_0, TensorType::Q4_1, TensorType::Q8_0]) {
            ElementType::Float16
        } else if all(&[TensorType::BF16]) {
            ElementType::Bfloat16
        } else {
            ElementType::Float32
        }
    }

    /// The tokenizer; none where the file has none.
    ///
    /// # Errors
    ///
    /// When it is of a kind that is not read.
    pub fn tokenizer(&self) -> Result<Option<TokenizerParts>, GgufError> {
        tokenizer::tokenizer(&self.header.metadata)
            .map_err(|source| GgufError::Tokenizer { path: self.path.clone(), source })
    }

    /// The keys that name a token which ends a text (`eos`), a turn (`eot`) or a message (`eom`), with its id. All of
    /// them end an answer.
    pub fn stop_ids(&self) -> Vec<(&'static str, u32)> {
        let id = |name| tokens::token_id(&self.header.metadata, name).ok().flatten();
        let named = tokens::ENDS.into_iter().filter_map(|(key, name)| Some((key, id(name)?)));
        named.filter_map(|(key, id)| Some((key, u32::try_from(id).ok()?))).collect()
    }
}

/// All tensors of the model, with their names and what is to be changed about them.
fn sources(keys: &Keys<'_>) -> Result<Vec<Source>, ConfigError> {
    let of_model = keys.header.tensors.iter().filter(|tensor| tensor.name != ROPE_FACTORS);
    of_model.map(|tensor| source(keys, tensor)).collect()
}

fn source(keys: &Keys<'_>, tensor: &TensorInfo) -> Result<Source, ConfigError> {
    let name = keys.architecture.mlx_name(&tensor.name).ok_or_else(|| ConfigError::Tensor {
        tensor: tensor.name.clone(),
        architecture: keys.architecture.name(),
    })?;
    let change = match keys.architecture {
        Architecture::Llama if tensor.name.contains(".attn_q.") => {
            Change::UntwistHeads(keys.heads()?)
        }
        Architecture::Llama if tensor.name.contains(".attn_k.") => {
            Change::UntwistHeads(keys.kv_heads()?)
        }
        gemma if gemma.is_gemma() && tensor.name.ends_with("norm.weight") => Change::SubtractOne,
        Architecture::Llama
        | Architecture::Qwen2
        | Architecture::Qwen3
        | Architecture::Gemma2
        | Architecture::Gemma3
        | Architecture::Phi3 => Change::None,
    };
    if let Change::UntwistHeads(heads) = change
        && !tensor.shape.first().is_some_and(|rows| rows.is_multiple_of(heads.saturating_mul(2)))
    {
        return Err(
            keys.unsupported("attention.head_count", format!("{heads} heads of `{}`", tensor.name))
        );
    }
    Ok(Source { info: tensor.clone(), name, change })
}

#[cfg(test)]
mod tests {
    use super::{sample::Sample, *};

    #[test]
    fn a_tensor_that_belongs_nowhere_is_an_error() {
        let sample =
            Sample::model("llama").floats("blk.0.ffn_gate_inp.weight", &[8, 2], &[0.0; 16]);
        let error = open(sample.write().path()).unwrap_err();
        assert_eq!(error.kind(), "gguf_unsupported");
        let GgufError::Config { source, .. } = error else { panic!("{error}") };
        assert_eq!(
            source.to_string(),
            "architecture `llama` has no tensor `blk.0.ffn_gate_inp.weight`"
        );
    }

    #[test]
    fn a_missing_file_and_a_cut_one_are_told_apart() {
        assert_eq!(open(Path::new("/nowhere.gguf")).unwrap_err().kind(), "gguf_unreadable");
        let bytes = Sample::model("llama").bytes();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes[..bytes.len() - 1]).unwrap();
        let error = open(file.path()).unwrap_err();
        assert_eq!(error.kind(), "gguf_truncated");
        assert_eq!(error.hint().unwrap(), "the file was cut: download it again");
    }
}
