//! A model on disk: its configuration, and its tensors, each of which is taken exactly once.

mod config;
mod counts;
mod description;
mod foreign;
pub mod gguf;
mod inventory;
pub mod locate;
mod outline;
mod quantization;
mod reshape;
mod safetensors;
mod sentence;
mod tensors;

pub use description::Description;
pub use inventory::{Inventory, numbers};
pub use locate::{Format, Location};
pub use outline::{Outline, Outlines, Stored};
pub use quantization::{Mode, Quantization};
pub use sentence::sentence;
pub use tensors::{Parameters, Scope};

use std::{cell::RefCell, collections::BTreeMap, io, path::PathBuf};

use mlx_rs::{Array, Dtype};
use serde_json::Value;
use thiserror::Error;

use crate::{ffi::MlxError, plan::ElementType};
use quantization::Quantizations;

/// Why a checkpoint could not become a model.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A file of the checkpoint could not be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder has no `config.json`.
    #[error("`{}` has no `config.json`", path.display())]
    NoConfig {
        /// The folder.
        path: PathBuf,
    },
    /// A JSON file is not JSON.
    #[error("`{file}` is not valid JSON")]
    Json {
        /// Its name.
        file: &'static str,
        /// Where and why.
        source: serde_json::Error,
    },
    /// `config.json` lacks a key or has one of the wrong type.
    #[error("`config.json` does not describe a `{model_type}` model")]
    Config {
        /// Its `model_type`.
        model_type: String,
        /// Which key, and what is wrong with it.
        source: serde_json::Error,
    },
    /// `config.json` asks for something that is not implemented.
    #[error("`config.json` asks for {what}, which is not implemented")]
    Unsupported {
        /// What, with its value in backticks.
        what: String,
    },
    /// Eight-bit floats have one scale for a whole matrix. mlx-lm's Ministral 3 multiplies it by the bytes as they are,
    /// as if they were whole numbers, and its other families do not read such a scale.
    #[error("`{name}` scales a whole matrix of `fp8`, of which mlx-lm makes no usable weights")]
    TensorScale {
        /// The scale.
        name: String,
    },
    /// `config.json` names no `model_type`.
    #[error("`config.json` has no `model_type`")]
    NoArchitecture,
    /// No family reads this `model_type`.
    #[error("no family reads `model_type` `{model_type}`")]
    UnknownArchitecture {
        /// The value in `config.json`.
        model_type: String,
        /// The nearest that one does.
        nearest: Option<&'static str>,
    },
    /// A folder holds no weights.
    #[error("`{}` holds no `model*.safetensors`", path.display())]
    NoWeights {
        /// The folder.
        path: PathBuf,
    },
    /// A shard is not a valid safetensors file.
    #[error("`{}` is not a whole safetensors file: {reason}", path.display())]
    Shard {
        /// The shard.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A GGUF file is not usable.
    #[error(transparent)]
    Gguf(#[from] gguf::GgufError),
    /// The model needs a tensor that the checkpoint does not hold.
    #[error("tensor `{name}` is missing")]
    Missing {
        /// Its full name.
        name: String,
    },
    /// A tensor has another shape than the configuration says.
    #[error("tensor `{name}` is {found:?} and should be {expected:?}")]
    Shape {
        /// Its full name.
        name: String,
        /// The shape that the configuration asks for.
        expected: Vec<i32>,
        /// The shape it has.
        found: Vec<i32>,
    },
    /// The checkpoint holds tensors that the model never asked for.
    #[error("{count} tensors were never used, first `{first}`")]
    Unused {
        /// How many.
        count: usize,
        /// The first in name order.
        first: String,
    },
    /// MLX refused an operation.
    #[error(transparent)]
    Mlx(#[from] MlxError),
}

impl LoadError {
    /// A stable name for machines.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read",
            Self::NoConfig { .. } => "config_missing",
            Self::Json { .. } => "json",
            Self::Config { .. } => "config",
            Self::Unsupported { .. } | Self::TensorScale { .. } => "unsupported",
            Self::NoArchitecture | Self::UnknownArchitecture { .. } => "model_type",
            Self::NoWeights { .. } => "weights_missing",
            Self::Shard { .. } => "shard",
            Self::Gguf(error) => error.kind(),
            Self::Missing { .. } => "tensor_missing",
            Self::Shape { .. } => "tensor_shape",
            Self::Unused { .. } => "tensor_unused",
            Self::Mlx(_) => "mlx",
        }
    }

    /// What can be done about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoArchitecture | Self::NoConfig { .. } => {
                Some("is this the folder of a model?".to_owned())
            }
            Self::Gguf(error) => error.hint(),
            Self::UnknownArchitecture { nearest, .. } => Some(match nearest {
                Some(nearest) => format!("did you mean `{nearest}`? `mlxk-harness list` shows all"),
                None => "`mlxk-harness list` shows the families".to_owned(),
            }),
            Self::TensorScale { .. } => {
                Some("take the model in bfloat16, or as converted to MLX".to_owned())
            }
            Self::NoWeights { .. } => Some("download the model again, weights included".to_owned()),
            Self::Shard { .. } => Some("the file was cut or altered: download it again".to_owned()),
            Self::Missing { .. } | Self::Unused { .. } | Self::Shape { .. } => Some(
                "weights and `config.json` do not belong together, or the family is misnamed"
                    .to_owned(),
            ),
            Self::Read { .. }
            | Self::Json { .. }
            | Self::Config { .. }
            | Self::Unsupported { .. }
            | Self::Mlx(_) => None,
        }
    }
}

/// What is changed about weights while they are loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// The element type that floating-point tensors are cast to, quantization scales included.
    pub dtype: Option<ElementType>,
    /// Whether packed weights are made dense.
    pub dequantize: bool,
}

/// A checkpoint whose tensors are handed out once each.
pub struct Checkpoint<'a> {
    description: &'a Description,
    /// The part of `config.json` that is read in place of all of it.
    part: RefCell<Option<Value>>,
    stored: Quantizations,
    quantizations: RefCell<Quantizations>,
    tensors: RefCell<BTreeMap<String, Array>>,
    /// In place of `tensors` where only headers were read.
    outlines: RefCell<Outlines>,
    parameters: RefCell<Parameters>,
}

impl<'a> Checkpoint<'a> {
    /// Maps every tensor of what `description` describes.
    ///
    /// # Errors
    ///
    /// When a file is unreadable, cut or of a kind that is not implemented.
    pub fn open(description: &'a Description, options: LoadOptions) -> Result<Self, LoadError> {
        let stored = Quantizations::of(description.config())?;
        let mut tensors = match (description.gguf(), options.dtype) {
            (None, _) => safetensors::open(&description.location().path)?,
            (Some(gguf), None) => gguf.tensors()?,
            (Some(gguf), Some(dtype)) => gguf.tensors_as(dtype)?,
        };
        if let Some(method) = description.foreign_method()? {
            method.adopt(&mut tensors)?;
        }
        let mut quantizations = stored.clone();
        if let Some(dtype) = options.dtype {
            tensors::cast(&mut tensors, dtype)?;
        }
        if options.dequantize {
            quantizations.dequantize(&mut tensors)?;
        }
        Ok(Self {
            stored,
            quantizations: RefCell::new(quantizations),
            tensors: RefCell::new(tensors),
            ..Self::empty(description)
        })
    }

    fn empty(description: &'a Description) -> Self {
        Self {
            description,
            stored: Quantizations::default(),
            part: RefCell::default(),
            quantizations: RefCell::default(),
            tensors: RefCell::default(),
            outlines: RefCell::default(),
            parameters: RefCell::default(),
        }
    }

    /// What the checkpoint says of itself.
    pub fn description(&self) -> &'a Description {
        self.description
    }

    /// How the weights are packed as loaded, in words; none where all are dense.
    pub fn quantization(&self) -> Option<String> {
        self.quantizations.borrow().describe()
    }

    /// How a module is packed that the configuration says nothing else of; none where all are dense.
    pub fn general_quantization(&self) -> Option<Quantization> {
        self.quantizations.borrow().general()
    }

    /// How the weights are packed in the files, in words.
    pub fn stored_quantization(&self) -> Option<String> {
        self.stored.describe()
    }

    /// Whether the checkpoint still holds a tensor of this name.
    pub fn holds(&self, name: &str) -> bool {
        self.tensors.borrow().contains_key(name) || self.outlines.borrow().contains_key(name)
    }

    /// Drops tensors that a family does without.
    pub fn discard(&self, unwanted: impl Fn(&str) -> bool) {
        self.tensors.borrow_mut().retain(|name, tensor| {
            let is_kept = !unwanted(name);
            if !is_kept {
                self.note(|inventory| inventory.note_dropped(name, tensor));
            }
            is_kept
        });
        self.outlines.borrow_mut().retain(|name, _| !unwanted(name));
    }

    /// The top of the tensor tree.
    pub fn root(&self) -> Scope<'_> {
        Scope::new(self)
    }

    /// Checks that the model took every tensor, and hands over the parameters it made of them.
    ///
    /// # Errors
    ///
    /// When a tensor is left over: the architecture is then not the checkpoint's.
    pub fn finish(self) -> Result<Parameters, LoadError> {
        let left = self.tensors.into_inner();
        match left.keys().next() {
            None => Ok(self.parameters.into_inner()),
            Some(first) => Err(LoadError::Unused { count: left.len(), first: first.clone() }),
        }
    }
}

impl From<ElementType> for Dtype {
    fn from(element: ElementType) -> Self {
        match element {
            ElementType::Float32 => Self::Float32,
            ElementType::Float16 => Self::Float16,
            ElementType::Bfloat16 => Self::Bfloat16,
        }
    }
}
