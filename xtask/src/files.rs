//! Files and folders, with errors that name them.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::console::say;

/// A file or folder could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot use `{}`", .path.display())]
pub(crate) struct FileError {
    path: PathBuf,
    source: io::Error,
}

impl FileError {
    /// Wraps the reason why `path` could not be used.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { path: path.to_path_buf(), source }
    }
}

/// Makes a folder and those above it.
pub(crate) fn make_folder(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(FileError::at(path))
}

/// Removes a folder and what it holds, where it exists.
pub(crate) fn remove_folder(path: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::at(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a whole file.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), FileError> {
    fs::write(path, text).map_err(FileError::at(path))
}

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(FileError::at(path))
}

/// The names of what a folder holds, in order.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>, FileError> {
    let entries = fs::read_dir(folder).map_err(FileError::at(folder))?;
    let mut names = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(FileError::at(folder))?;
    names.sort();
    Ok(names)
}

/// Moves a file or folder within a file system, in one step.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to).map_err(FileError::at(to))
}

/// Keeps other runs out of `folder` until the file is dropped, however this run ends.
pub(crate) fn lock(folder: &Path) -> Result<File, FileError> {
    make_folder(folder)?;
    let path = folder.join("lock");
    let file = File::create(&path).map_err(FileError::at(&path))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => say("waiting for another `cargo xtask`"),
        Err(TryLockError::Error(error)) => return Err(FileError::at(&path)(error)),
    }
    file.lock().map_err(FileError::at(&path))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_folder_keeps_others_out_until_the_lock_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).unwrap();
        let other = File::open(folder.path().join("lock")).unwrap();
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        drop(held);
        assert!(other.try_lock().is_ok());
    }

    #[test]
    fn removing_a_folder_that_is_not_there_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(remove_folder(&folder.path().join("absent")).is_ok());
    }

    #[test]
    fn an_error_names_the_file() {
        let error = write(Path::new("/nowhere/at/all"), "").unwrap_err();
        assert_eq!(error.to_string(), "cannot use `/nowhere/at/all`");
    }
}
