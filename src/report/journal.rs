//! Appends records to a file, each whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use jiff::civil::Date;
use thiserror::Error;

use super::{
    record::Record,
    validate::{self, LineError},
    version::MlxKnifeVersion,
};

/// A report file that records are appended to.
///
/// Several processes may append to one file: each line is written under a lock on it.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

/// Why a record was not written.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The file cannot be made, opened or read.
    #[error("cannot open the report `{path}`")]
    Open {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A line cannot be written; what was there before is as it was.
    #[error("cannot append to the report `{path}`")]
    Append {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The record does not fit its schema.
    #[error("the record `{test}` does not fit its schema")]
    Unfit {
        /// Which one.
        test: String,
        /// Why.
        source: LineError,
    },
}

impl JournalError {
    /// What can be done about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Open { .. } => Some("name another file, or one in another folder"),
            Self::Append { .. } => Some("look at the free space and the rights of its folder"),
            Self::Unfit { .. } => None,
        }
    }
}

impl Journal {
    /// Opens `path` for appending, and makes it and its folders where they are missing.
    ///
    /// # Errors
    ///
    /// [`JournalError::Open`], before anything is measured.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, JournalError> {
        let path = path.into();
        let open = || {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut options = OpenOptions::new();
            options.read(true).append(true).create(true).open(&path)
        };
        match open() {
            Ok(file) => Ok(Self { path, file }),
            Err(source) => Err(JournalError::Open {
                path: path.display().to_string(),
                source,
            }),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends `record` as one line, once it fits its schema; the line is on disk when this returns.
    ///
    /// # Errors
    ///
    /// [`JournalError::Append`] or [`JournalError::Unfit`]; the file is then as it was.
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        let line = validate::encode(record).map_err(|source| JournalError::Unfit {
            test: record.test.clone(),
            source,
        })?;
        self.append_line(&line)
            .map_err(|source| JournalError::Append {
                path: self.path.display().to_string(),
                source,
            })
    }

    fn append_line(&mut self, line: &str) -> io::Result<()> {
        self.file.lock()?;
        let written = self.append_locked(line);
        self.file.unlock()?;
        written
    }

    fn append_locked(&mut self, line: &str) -> io::Result<()> {
        let before = self.file.metadata()?;
        let mut text = String::with_capacity(line.len() + 2);
        // Whoever wrote the last line may have been killed within it.
        if before.is_file() && self.ends_within_line(before.len())? {
            text.push('\n');
        }
        text.push_str(line);
        text.push('\n');
        let mut written = self.file.write_all(text.as_bytes());
        if before.is_file() {
            written = written.and_then(|()| self.file.sync_data());
            if written.is_err() {
                self.file.set_len(before.len())?;
            }
        }
        written
    }

    fn ends_within_line(&mut self, length: u64) -> io::Result<bool> {
        let Some(last) = length.checked_sub(1) else {
            return Ok(false);
        };
        let mut byte = [0];
        self.file.seek(SeekFrom::Start(last))?;
        self.file.read_exact(&mut byte)?;
        Ok(byte != *b"\n")
    }
}

/// Where the records of a day go: `<folder>/<date>-v<version>.jsonl`, the name that mlx-knife's
/// report takes date and version from.
pub fn default_path(folder: &Path, utc_date: Date, version: &MlxKnifeVersion) -> PathBuf {
    folder.join(format!("{utc_date}-v{version}.jsonl"))
}
