//! Where a model lies: a folder, a GGUF file, or a snapshot in the local Hugging Face cache.

use std::{
    fs,
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::hub::{
    Reference,
    cache::{self, Repository},
    is_gguf,
};

/// A model on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The folder, or the GGUF file.
    pub path: PathBuf,
    /// How its weights are stored.
    pub format: Format,
    /// The hub id, or the base name of a folder or file; never a path.
    pub id: String,
    /// The commit of a hub snapshot.
    pub revision: Option<String>,
}

/// How weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A folder with `config.json` and `model*.safetensors`.
    Safetensors,
    /// One file with everything.
    Gguf,
}

impl Format {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Gguf => "gguf",
        }
    }
}

/// Why a model was not found.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LocateError {
    /// A path that leads nowhere.
    #[error("`{argument}` does not exist")]
    NoSuchPath {
        /// What was asked for.
        argument: String,
    },
    /// A file that is no GGUF file.
    #[error("`{argument}` is a file, but not a GGUF file")]
    NotAModel {
        /// What was asked for.
        argument: String,
    },
    /// Neither a path nor a hub id.
    #[error("`{argument}` is neither an existing path nor a hub id")]
    NotAnId {
        /// What was asked for.
        argument: String,
    },
    /// A hub id that is not in the local cache.
    #[error("`{model}` is not in the local Hugging Face cache")]
    NotCached {
        /// The model, with its revision and file where they were asked for.
        model: String,
    },
}

impl LocateError {
    /// A stable name for machines.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoSuchPath { .. } => "path_missing",
            Self::NotAModel { .. } => "not_a_model",
            Self::NotAnId { .. } => "not_an_id",
            Self::NotCached { .. } => "not_cached",
        }
    }

    /// What can be done about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoSuchPath { .. } => None,
            Self::NotAModel { .. } => {
                Some("give the model's folder, or a file that ends in `.gguf`".to_owned())
            }
            Self::NotAnId { .. } => Some("a hub id reads `org/name`".to_owned()),
            Self::NotCached { model } => Some(format!("run `mlxk-harness pull {model}`")),
        }
    }
}

impl Location {
    /// Finds the model that `argument` names: an existing path, else a hub id.
    ///
    /// A bare name means one of `mlx-community`.
    ///
    /// # Errors
    ///
    /// When it is not on this machine.
    pub fn find(argument: &str, revision: Option<&str>) -> Result<Self, LocateError> {
        let path = Path::new(argument);
        if path.exists() {
            return at_path(path, argument);
        }
        let Some(model) = Reference::parse(argument) else {
            let is_path = argument.starts_with(['.', '/', '~']) || is_gguf(argument);
            let argument = argument.to_owned();
            return Err(if is_path {
                LocateError::NoSuchPath { argument }
            } else {
                LocateError::NotAnId { argument }
            });
        };
        let model = model.at(revision);
        Self::cached(&model).ok_or_else(|| LocateError::NotCached { model: model.to_string() })
    }

    /// The model in the local cache.
    fn cached(model: &Reference) -> Option<Self> {
        let repository = Repository::new(&cache::folder()?, &model.id);
        let (snapshot, commit) = repository.find(model.revision.as_deref())?;
        let (path, format) = match &model.file {
            Some(file) => (snapshot.join(file), Format::Gguf),
            None => (snapshot, Format::Safetensors),
        };
        let id = model.label();
        path.exists().then_some(Self { path, format, id, revision: Some(commit) })
    }

    /// Bytes of the model: of its file, or of all files of its folder, links followed.
    pub fn size_bytes(&self) -> u64 {
        let sizes = self.files().into_iter().filter_map(|file| fs::metadata(file).ok());
        sizes.map(|metadata| metadata.len()).sum()
    }

    /// Its file, or all files of its folder.
    pub fn files(&self) -> Vec<PathBuf> {
        files(&self.path)
    }
}

fn at_path(path: &Path, argument: &str) -> Result<Location, LocateError> {
    let format = match (path.is_dir(), is_gguf(&path.to_string_lossy())) {
        (true, _) => Format::Safetensors,
        (false, true) => Format::Gguf,
        (false, false) => {
            return Err(LocateError::NotAModel { argument: argument.to_owned() });
        }
    };
    // `.` and `..` have no base name of their own.
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = if path.file_name().is_some() { path } else { &whole };
    let id = name
        .file_name()
        .map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned());
    Ok(Location { path: path.to_owned(), format, id, revision: None })
}

/// The hub models in the local cache, by id.
pub fn cached() -> Vec<Location> {
    let ids = cache::ids();
    ids.iter().filter_map(|id| Location::cached(&Reference::new(id))).collect()
}

fn files(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.flat_map(|entry| files(&entry.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_says_what_to_do() {
        let error = Location::find("./nowhere", None).unwrap_err();
        assert_eq!(error.to_string(), "`./nowhere` does not exist");
        let error = LocateError::NotCached { model: "org/name@v1".into() };
        assert_eq!(error.hint().unwrap(), "run `mlxk-harness pull org/name@v1`");
    }
}
