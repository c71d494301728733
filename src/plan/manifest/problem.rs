//! What can be wrong with a manifest.

use thiserror::Error;

use crate::plan::OutOfRange;

/// What is wrong with a manifest.
#[derive(Debug, Error)]
pub enum Problem {
    /// It is not TOML.
    #[error("{0}")]
    Syntax(String),
    /// A key that means nothing.
    #[error("unknown key `{key}` in {table}")]
    UnknownKey {
        /// The key.
        key: String,
        /// Where it was found.
        table: &'static str,
        /// What may have been meant.
        hint: Option<String>,
    },
    /// A value of another type.
    #[error("`{key}` must be {expected}, found {found}")]
    WrongType {
        /// Its key.
        key: String,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// A name that is not among those of its key.
    #[error("`{key}` knows no `{name}`")]
    UnknownName {
        /// Its key.
        key: String,
        /// The name.
        name: String,
        /// All known names, quoted.
        known: String,
    },
    /// A value that makes no sense.
    #[error(transparent)]
    OutOfRange(OutOfRange),
    /// A model with neither `id` nor `path`, or with both.
    #[error("a model needs either `id` or `path`")]
    NotOneSource,
    /// A revision of something that has none.
    #[error("`revision` belongs to a model with an `id`")]
    RevisionOfPath,
    /// Not the name of a hub model.
    #[error("`{0}` is not the id of a hub model")]
    NotAnId(String),
    /// Two models that a report could not tell apart.
    #[error("another model before is called `{0}`")]
    Repeated(String),
    /// No model at all.
    #[error("there is no `[[model]]`")]
    Empty,
    /// What a later reader of a value says.
    #[error("{0}")]
    Other(String),
}

impl Problem {
    pub(super) fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownKey { hint, .. } => hint.clone(),
            Self::UnknownName { known, .. } => Some(format!("it knows {known}")),
            Self::NotAnId(_) => Some(
                "an id reads `organization/name`; a file or folder goes under `path`".to_owned(),
            ),
            Self::WrongType { key, .. } if key == "model" => {
                Some("each model begins with `[[model]]`".to_owned())
            }
            Self::Syntax(_)
            | Self::WrongType { .. }
            | Self::OutOfRange(_)
            | Self::NotOneSource
            | Self::RevisionOfPath
            | Self::Repeated(_)
            | Self::Empty
            | Self::Other(_) => None,
        }
    }
}
