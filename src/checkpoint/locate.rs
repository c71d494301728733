//! Where a model lies: a folder, a GGUF file, or a snapshot in the local Hugging Face cache.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use thiserror::Error;

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
    #[error("`{id}` is not in the local Hugging Face cache")]
    NotCached {
        /// The hub id.
        id: String,
        /// The revision asked for.
        revision: Option<String>,
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
            Self::NotCached { id, revision } => Some(match revision {
                Some(revision) => format!("run `hf download {id} --revision {revision}`"),
                None => format!("run `hf download {id}`"),
            }),
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
        let owned = || argument.to_owned();
        if argument.starts_with(['.', '/', '~']) || is_gguf(path) {
            return Err(LocateError::NoSuchPath { argument: owned() });
        }
        let id = hub_id(argument).ok_or_else(|| LocateError::NotAnId { argument: owned() })?;
        let revision_asked = || revision.map(str::to_owned);
        cache_folder()
            .and_then(|cache| snapshot(&cache, &id, revision))
            .map(|(path, commit)| Self {
                path,
                format: Format::Safetensors,
                id: id.clone(),
                revision: Some(commit),
            })
            .ok_or_else(|| LocateError::NotCached { id, revision: revision_asked() })
    }

    /// Bytes of the model: of its file, or of all files of its folder, links followed.
    pub fn size_bytes(&self) -> u64 {
        size(&self.path)
    }
}

fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

fn at_path(path: &Path, argument: &str) -> Result<Location, LocateError> {
    let format = match (path.is_dir(), is_gguf(path)) {
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

/// The hub id that `argument` means: `org/name`, or a bare name of `mlx-community`.
fn hub_id(argument: &str) -> Option<String> {
    let is_part = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    match argument.split('/').collect::<Vec<_>>()[..] {
        [name] if is_part(name) => Some(format!("mlx-community/{name}")),
        [org, name] if is_part(org) && is_part(name) => Some(argument.to_owned()),
        _ => None,
    }
}

/// The hub cache: `HF_HUB_CACHE`, else `hub` below `HF_HOME`, else below the user's cache folder.
pub fn cache_folder() -> Option<PathBuf> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("HF_HUB_CACHE").or_else(|| {
        let home = variable("HF_HOME").or_else(|| {
            let cache = variable("XDG_CACHE_HOME")
                .or_else(|| variable("HOME").map(|home| home.join(".cache")))?;
            Some(cache.join("huggingface"))
        })?;
        Some(home.join("hub"))
    })
}

/// The snapshot of `id` at `revision` (else of `main`, else the only one) and its commit.
fn snapshot(cache: &Path, id: &str, revision: Option<&str>) -> Option<(PathBuf, String)> {
    let folder = cache.join(format!("models--{}", id.replace('/', "--")));
    let snapshots = folder.join("snapshots");
    let named = |name: &str| {
        let reference = fs::read_to_string(folder.join("refs").join(name)).ok()?;
        Some(reference.trim().to_owned())
    };
    let commit = match revision {
        Some(revision) => named(revision).unwrap_or_else(|| revision.to_owned()),
        None => named("main").or_else(|| only_entry(&snapshots))?,
    };
    let path = snapshots.join(&commit);
    // A revision such as `..` must not lead out of the folder.
    let inside = !commit.is_empty() && Path::new(&commit).components().count() == 1;
    (inside && !commit.starts_with('.') && path.is_dir()).then_some((path, commit))
}

fn only_entry(folder: &Path) -> Option<String> {
    let mut names = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.file_name());
    match (names.next(), names.next()) {
        (Some(only), None) => only.into_string().ok(),
        _ => None,
    }
}

/// The hub models in the local cache, by id.
pub fn cached() -> Vec<Location> {
    let Some(cache) = cache_folder() else {
        return Vec::new();
    };
    let mut found: Vec<_> = fs::read_dir(&cache)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let id = name.strip_prefix("models--")?.replacen("--", "/", 1);
            let (path, commit) = snapshot(&cache, &id, None)?;
            Some(Location { path, format: Format::Safetensors, id, revision: Some(commit) })
        })
        .collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found
}

fn size(path: &Path) -> u64 {
    let Ok(metadata) = fs::metadata(path) else {
        return 0;
    };
    if metadata.is_file() {
        return metadata.len();
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| size(&entry.path())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_one_of_the_community() {
        assert_eq!(hub_id("Qwen3-0.6B-4bit").unwrap(), "mlx-community/Qwen3-0.6B-4bit");
        assert_eq!(hub_id("org/name").unwrap(), "org/name");
        assert_eq!(hub_id("a/b/c"), None);
        assert_eq!(hub_id("no such thing"), None);
    }

    #[test]
    fn a_snapshot_is_found_by_reference_or_commit() {
        let cache = tempfile::tempdir().unwrap();
        let model = cache.path().join("models--org--name");
        for commit in ["abc", "def"] {
            fs::create_dir_all(model.join("snapshots").join(commit)).unwrap();
        }
        let found =
            |revision| snapshot(cache.path(), "org/name", revision).map(|(_, commit)| commit);
        assert_eq!(found(None), None, "two snapshots and no `main`");
        fs::create_dir_all(model.join("refs")).unwrap();
        fs::write(model.join("refs/main"), "def\n").unwrap();
        assert_eq!(found(None).as_deref(), Some("def"));
        assert_eq!(found(Some("abc")).as_deref(), Some("abc"));
        assert_eq!(found(Some("ghi")), None);
        assert_eq!(found(Some("..")), None);
    }

    #[test]
    fn what_is_not_there_says_what_to_do() {
        let error = Location::find("./nowhere", None).unwrap_err();
        assert_eq!(error.to_string(), "`./nowhere` does not exist");
        let error = LocateError::NotCached { id: "org/name".into(), revision: None };
        assert_eq!(error.hint().unwrap(), "run `hf download org/name`");
    }
}
