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
            Err(source) => Err(JournalError::Open { path: path.display().to_string(), source }),
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
        let line = validate::encode(record)
            .map_err(|source| JournalError::Unfit { test: record.test.clone(), source })?;
        self.append_line(&line).map_err(|source| JournalError::Append {
            path: self.path.display().to_string(),
            source,
        })
    }

    /// Cuts off a last line that its writer was killed within: no reader can read it, and the run that goes on will write
    /// it again.
    ///
    /// # Errors
    ///
    /// [`JournalError::Append`] when the file cannot be read or cut.
    pub fn cut_torn_line(&mut self) -> Result<(), JournalError> {
        let cut = || {
            self.file.lock()?;
            let text = fs::read(&self.path)?;
            let begin = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
            let last = text.get(begin..).unwrap_or_default();
            if serde_json::from_slice::<serde::de::IgnoredAny>(last).is_err() {
                self.file.set_len(begin as u64)?;
            }
            self.file.unlock()
        };
        cut().map_err(|source| JournalError::Append {
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

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn folders_are_made_and_lines_are_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/report.jsonl");
        Journal::open(&path).unwrap().append_line("one").unwrap();
        Journal::open(&path).unwrap().append_line("two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn a_line_that_was_torn_before_does_not_tear_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.jsonl");
        fs::write(&path, "one\n{\"to").unwrap();
        Journal::open(&path).unwrap().append_line("two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n{\"to\ntwo\n");
    }

    #[test]
    fn only_a_line_that_nobody_can_read_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.jsonl");
        let cut = |text: &str| {
            fs::write(&path, text).unwrap();
            Journal::open(&path).unwrap().cut_torn_line().unwrap();
            fs::read_to_string(&path).unwrap()
        };
        assert_eq!(cut("{}\n{\"to"), "{}\n");
        assert_eq!(cut("{\"to"), "");
        assert_eq!(cut("{}\n{\"a\":1}"), "{}\n{\"a\":1}");
        assert_eq!(cut("{}\n"), "{}\n");
    }

    #[test]
    fn a_path_that_cannot_be_written_is_refused_when_it_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Journal::open(file.join("report.jsonl")).unwrap_err();
        assert!(matches!(error, JournalError::Open { .. }), "{error}");
        assert!(error.to_string().ends_with("file/report.jsonl`"), "{error}");
        let error = Journal::open(folder.path()).unwrap_err();
        assert!(matches!(error, JournalError::Open { .. }), "{error}");
    }

    #[test]
    fn lines_of_several_writers_do_not_mix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.jsonl");
        let lines = ["a", "b", "c", "d"].map(|letter| letter.repeat(100_000));
        thread::scope(|scope| {
            for line in &lines {
                scope.spawn(|| {
                    let mut journal = Journal::open(&path).unwrap();
                    for _ in 0..20 {
                        journal.append_line(line).unwrap();
                    }
                });
            }
        });
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 80);
        assert!(text.lines().all(|line| lines.iter().any(|whole| whole == line)));
    }

    #[test]
    fn a_write_that_the_disk_refuses_is_an_error() {
        let path = Path::new("/dev/full");
        if path.exists() {
            let mut journal = Journal::open(path).unwrap();
            let error = journal.append_line("one").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        }
    }

    #[test]
    fn a_days_report_is_named_by_date_and_version() {
        let version = "2.0.8".parse().unwrap();
        let date = jiff::civil::date(2026, 1, 5);
        let path = default_path(Path::new("reports"), date, &version);
        assert_eq!(path, Path::new("reports/2026-01-05-v2.0.8.jsonl"));
    }
}
