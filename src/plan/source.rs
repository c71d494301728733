//! Where a model comes from, and what it is called.

use std::path::{Path, PathBuf};

use super::workspace;
use crate::hub::Reference;

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A model of the hub.
    Hub(Reference),
    /// A folder or a file; it need not exist.
    Path(PathBuf),
}

impl Source {
    /// What an argument of the command line means: what exists or looks like a path is a path.
    ///
    /// A name without an organization is a workspace of mlx-knife where it names one below `MLXK_WORKSPACE_HOME`, else one
    /// of `mlx-community`.
    pub fn from_argument(argument: &str) -> Self {
        if Path::new(argument).exists() {
            return Self::Path(PathBuf::from(argument));
        }
        match (workspace::find(argument), Reference::parse(argument)) {
            (Some(path), _) => Self::Path(path),
            (None, Some(model)) => Self::Hub(model),
            (None, None) => Self::Path(PathBuf::from(argument)),
        }
    }

    /// What the model is called in reports and tables: its id, that of what it was cloned from, or its base name; never
    /// a path.
    pub fn label(&self) -> String {
        match self {
            Self::Hub(model) => model.label(),
            Self::Path(path) => workspace::origin(path).unwrap_or_else(|| {
                let named = path.file_name().is_some();
                // `.` and `..` have a name only once they are resolved.
                let resolved = if named { None } else { path.canonicalize().ok() };
                resolved
                    .as_deref()
                    .unwrap_or(path)
                    .file_name()
                    .map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
            }),
        }
    }

    /// How the child process is told; a path always begins with `/` or `.`, which no id does.
    pub fn to_argument(&self) -> String {
        match self {
            Self::Hub(model) => model.label(),
            Self::Path(path)
                if path.is_absolute() || path.starts_with(".") || path.starts_with("..") =>
            {
                path.to_string_lossy().into_owned()
            }
            Self::Path(path) => Path::new(".").join(path).to_string_lossy().into_owned(),
        }
    }

    /// The revision that is wanted of a hub model.
    pub fn revision(&self) -> Option<&str> {
        match self {
            Self::Hub(model) => model.revision.as_deref(),
            Self::Path(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn path(argument: &str) {
        assert_eq!(Source::from_argument(argument), Source::Path(argument.into()));
    }

    #[track_caller]
    fn hub(argument: &str, id: &str) {
        assert_eq!(Source::from_argument(argument), Source::Hub(Reference::new(id)));
    }

    #[test]
    fn what_looks_like_a_path_is_a_path_even_where_nothing_is() {
        path("./nothing-here");
        path("../nothing/here");
        path("/nothing/here");
        path("nothing/here/at-all");
        path("nothing-here.gguf");
        path("nothing/here.Q4_1.GGUF");
    }

    #[test]
    fn what_exists_is_a_path_and_the_rest_is_an_id() {
        path("src");
        hub("org/Qwen3-0.6B-4bit", "org/Qwen3-0.6B-4bit");
        hub("SmolLM2.5-135M", "mlx-community/SmolLM2.5-135M");
    }

    #[test]
    fn a_label_never_tells_where_a_model_lies() {
        let label = |path: &str| Source::Path(path.into()).label();
        assert_eq!(label("/a/b/model.Q4_1.gguf"), "model.Q4_1.gguf");
        assert_eq!(label("models/tiny/"), "tiny");
        assert_eq!(label("/"), "model");
    }

    #[test]
    fn the_child_can_tell_a_path_from_an_id() {
        let argument = |path: &str| Source::Path(path.into()).to_argument();
        assert_eq!(argument("a/b"), "./a/b");
        assert_eq!(argument(".models/b.gguf"), "./.models/b.gguf");
        assert_eq!(argument("./b"), "./b");
        assert_eq!(argument("../b"), "../b");
        assert_eq!(argument("/b"), "/b");
    }
}
