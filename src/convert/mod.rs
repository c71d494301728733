//! A model becomes a folder that MLX's programs load: cast, packed or made dense on the way.
//!
//! Reference: `mlx_lm.convert`. What is written is what a family took from the checkpoint, so that a folder holds no
//! tensor that no model reads.

mod exceptions;
mod files;
mod names;
mod packing;
mod shards;
mod work;

pub use packing::{Packing, Recipe};

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;
use thiserror::Error;

use crate::{
    checkpoint::{Checkpoint, Description, Inventory, LoadError, LoadOptions, gguf::GgufError},
    ffi::MlxError,
    models,
    plan::ElementType,
};
use exceptions::Exceptions;
use files::WrittenConfig;
use work::Work;

/// What is changed about a model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conversion {
    /// The type of what is not packed; that of the configuration, or the stored one, unless given.
    pub dtype: Option<ElementType>,
    /// Whether packed weights are made dense first.
    pub dequantize: bool,
    /// How weights are packed; none leaves them as they are.
    pub packing: Option<Packing>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// How many numbers the weights stand for.
    pub parameters: u64,
    /// Bytes of all tensors.
    pub bytes: u64,
    /// Files of weights.
    pub shards: usize,
    /// Modules that are packed now.
    pub packed_modules: usize,
    /// Whether there is a tokenizer in the folder.
    pub has_tokenizer: bool,
}

/// Why a model was not converted.
#[derive(Debug, Error)]
pub enum ConvertError {
    /// The target is there and is not empty.
    #[error("`{}` is there already and not an empty folder", path.display())]
    TargetExists {
        /// The target.
        path: PathBuf,
    },
    /// The source could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The tokenizer of a GGUF file is of no use.
    #[error(transparent)]
    Tokenizer(#[from] GgufError),
    /// There is no module that could be packed and is not.
    #[error("no weight is left to be packed{}", group(*.group_size))]
    NothingToPack {
        /// Elements that were to share a scale.
        group_size: i32,
    },
    /// A mixed recipe was asked for a model without the modules that it tells apart.
    #[error("a mixed recipe needs modules called `down_proj`, and the model has none")]
    NoDownProjection,
    /// MLX refused an operation.
    #[error("tensor `{name}` could not be converted")]
    Tensor {
        /// Its name.
        name: String,
        /// What MLX said.
        source: MlxError,
    },
    /// A file could not be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A shard could not be written.
    #[error("cannot write `{}`: {reason}", path.display())]
    Shard {
        /// The shard.
        path: PathBuf,
        /// What MLX said.
        reason: String,
    },
}

fn group(size: i32) -> String {
    format!(" in groups of {size}")
}

impl ConvertError {
    /// What can be done about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::TargetExists { .. } => Some("name a folder that does not exist yet".to_owned()),
            Self::Load(error) => error.hint(),
            Self::Tokenizer(error) => error.hint(),
            Self::NothingToPack { .. } => {
                Some("is it packed already? `--dequantize` makes it dense first".to_owned())
            }
            Self::NoDownProjection
            | Self::Tensor { .. }
            | Self::Write { .. }
            | Self::Shard { .. } => None,
        }
    }

    /// Whether the file system was in the way.
    pub fn is_io(&self) -> bool {
        matches!(self, Self::TargetExists { .. } | Self::Write { .. } | Self::Shard { .. })
    }
}

/// Converts the model that `description` describes into the folder `target`.
///
/// Everything is written into a folder beside it, which takes its name at the end: a target is whole or not there.
///
/// # Errors
///
/// When the target is not free, or the model cannot be loaded, changed or written.
pub fn convert(
    description: &Description,
    target: &Path,
    conversion: &Conversion,
) -> Result<Summary, ConvertError> {
    if !is_free(target) {
        return Err(ConvertError::TargetExists { path: target.to_owned() });
    }
    let model_type = description.model_type()?;
    let checkpoint = Checkpoint::open(description, LoadOptions::default())?.recording();
    let general = checkpoint.general_quantization();
    let (model, mut parameters) = models::load(checkpoint)?;
    drop(model);
    let mut inventory = parameters.inventory.take().unwrap_or_default();
    let unused = inventory.keep_dropped(general, |name| Exceptions::holds_unused(model_type, name));
    let count = parameters.count + unused + names::restore(model_type, &mut inventory)?;
    drop(parameters);
    let mut work = Work {
        config: WrittenConfig::new(description, general),
        exceptions: Exceptions::of(model_type),
        inventory,
    };
    work.cast(conversion.dtype.or_else(|| stated_type(description.config())))?;
    if conversion.dequantize {
        work.dequantize()?;
    }
    if let Some(packing) = conversion.packing {
        work.pack(packing)?;
    }
    let Work { config, inventory, .. } = work;
    let partial = partial(target);
    let result = write(description, config, inventory, count, &partial)
        .and_then(|summary| moved(&partial, target).map(|()| summary));
    if result.is_err() {
        // Nothing is lost: only this function writes there.
        let _ = fs::remove_dir_all(&partial);
    }
    result
}

/// The type that a configuration says its weights are to be of.
fn stated_type(config: &Value) -> Option<ElementType> {
    let stated = match config.get("torch_dtype") {
        None | Some(Value::Null) => config.get("text_config")?.get("dtype")?,
        Some(stated) => stated,
    };
    match stated.as_str()? {
        "float32" => Some(ElementType::Float32),
        "float16" => Some(ElementType::Float16),
        "bfloat16" => Some(ElementType::Bfloat16),
        _ => None,
    }
}

/// Whether a folder can be made at `target`, or is there and empty.
fn is_free(target: &Path) -> bool {
    match fs::read_dir(target) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Where the folder grows before it takes its name.
fn partial(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.partial"))
}

fn unwritten(path: &Path) -> impl FnOnce(io::Error) -> ConvertError {
    let path = path.to_owned();
    move |source| ConvertError::Write { path, source }
}

fn write(
    description: &Description,
    config: WrittenConfig,
    inventory: Inventory,
    parameters: u64,
    folder: &Path,
) -> Result<Summary, ConvertError> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(unwritten(folder))?;
    }
    fs::create_dir_all(folder).map_err(unwritten(folder))?;
    let packed_modules = inventory.modules.values().filter(|how| how.is_some()).count();
    let written = shards::write(inventory.tensors, parameters, folder)?;
    let has_tokenizer = files::tokenizer(description, folder)?;
    files::config(config, folder)?;
    Ok(Summary {
        parameters,
        bytes: written.bytes,
        shards: written.shards,
        packed_modules,
        has_tokenizer,
    })
}

fn moved(from: &Path, to: &Path) -> Result<(), ConvertError> {
    if to.exists() {
        fs::remove_dir(to).map_err(unwritten(to))?;
    }
    fs::rename(from, to).map_err(unwritten(to))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_stated_type_is_read_where_the_reference_reads_it() {
        assert_eq!(stated_type(&json!({"torch_dtype": "bfloat16"})), Some(ElementType::Bfloat16));
        assert_eq!(
            stated_type(&json!({"text_config": {"dtype": "float16"}})),
            Some(ElementType::Float16)
        );
        assert_eq!(stated_type(&json!({"dtype": "float16"})), None);
        assert_eq!(stated_type(&json!({"torch_dtype": "float8"})), None);
    }

    #[test]
    fn only_an_empty_folder_or_none_is_free() {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_free(folder.path()));
        assert!(is_free(&folder.path().join("new")));
        fs::write(folder.path().join("file"), "x").unwrap();
        assert!(!is_free(folder.path()));
        assert!(!is_free(&folder.path().join("file")));
        assert_eq!(partial(Path::new("a/b")), Path::new("a/.b.partial"));
    }
}
