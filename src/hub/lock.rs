//! The lock of a blob: whoever fetches it holds `flock` on its lock file, as Python's `filelock` does.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
    thread,
    time::Duration,
};

use super::{HubError, Watch};

/// How often a lock that somebody holds is looked at.
const PAUSE: Duration = Duration::from_millis(50);

/// Held until dropped.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "the lock is the open file")] File);

impl Lock {
    /// Waits until nobody else holds the lock at `path`; `what` is said to be waited for, once.
    pub(super) fn take(path: &Path, what: &str, watch: &dyn Watch) -> Result<Self, HubError> {
        let unusable = |source| HubError::Cache { path: path.to_owned(), source };
        let mut is_said = false;
        loop {
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
            let file = file.map_err(unusable)?;
            match file.try_lock() {
                Ok(()) if is_at(&file, path) => return Ok(Self(file)),
                // Whoever held it before took the file away; there is a new one to lock.
                Ok(()) => continue,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(TryLockError::Error(error)) => return Err(unusable(error)),
            }
            if watch.is_stopped() {
                return Err(HubError::Interrupted);
            }
            if !is_said {
                watch.said(&format!("another process downloads {what}; waiting for it"));
                is_said = true;
            }
            thread::sleep(PAUSE);
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(named)) => (held.dev(), held.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}
