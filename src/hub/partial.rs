//! A blob on its way: bytes that are hashed as they arrive, and get their final name only if they are right.

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::{
    HubError,
    listing::{Digest, Listed},
};

/// Bytes that are read at once.
pub(super) const BUFFER: usize = 256 << 10;

/// A blob on its way.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    size: u64,
    have: u64,
}

#[derive(Debug)]
enum Hasher {
    Git(Sha1),
    Sha256(Sha256),
}

impl Hasher {
    fn new(digest: &Digest, size: u64) -> Self {
        match digest {
            // A git blob is hashed with a header before it.
            Digest::Git(_) => Self::Git(Sha1::new_with_prefix(format!("blob {size}\0"))),
            Digest::Sha256(_) => Self::Sha256(Sha256::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Git(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> String {
        let bytes = match self {
            Self::Git(hasher) => hasher.finalize().to_vec(),
            Self::Sha256(hasher) => hasher.finalize().to_vec(),
        };
        bytes.iter().fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl Partial {
    /// Opens what is at `path` of `listed`, and hashes what is there; what is too long is begun again.
    pub(super) fn open(path: &Path, listed: &Listed) -> Result<Self, HubError> {
        let unusable = |source| HubError::Cache { path: path.to_owned(), source };
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).open(path).map_err(unusable)?;
        let mut have = file.metadata().map_err(unusable)?.len();
        if have > listed.size {
            file.set_len(0).map_err(unusable)?;
            have = 0;
        }
        let mut hasher = Hasher::new(&listed.digest, listed.size);
        let mut buffer = vec![0; BUFFER];
        loop {
            match file.read(&mut buffer).map_err(unusable)? {
                0 => break,
                count => hasher.update(buffer.get(..count).unwrap_or_default()),
            }
        }
        Ok(Self { path: path.to_owned(), file, hasher, size: listed.size, have })
    }

    /// Bytes that are there.
    pub(super) fn have(&self) -> u64 {
        self.have
    }

    /// Bytes that are to come.
    pub(super) fn lack(&self) -> u64 {
        self.size - self.have
    }

    /// Begins again.
    pub(super) fn restart(&mut self, listed: &Listed) -> Result<(), HubError> {
        self.file.set_len(0).map_err(|source| self.unusable(source))?;
        self.hasher = Hasher::new(&listed.digest, listed.size);
        self.have = 0;
        Ok(())
    }

    /// Takes `bytes`, or as many of them as are still to come.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        let lack = usize::try_from(self.lack()).unwrap_or(usize::MAX);
        let bytes = bytes.get(..lack).unwrap_or(bytes);
        self.file.write_all(bytes).map_err(|source| self.unusable(source))?;
        self.hasher.update(bytes);
        self.have += bytes.len() as u64;
        Ok(())
    }

    /// Names it `target` if it is what `listed` promises; else takes it away and tells what is wrong.
    pub(super) fn finish(self, listed: &Listed, target: &Path) -> Result<Finished, HubError> {
        let Self { path, file, hasher, size, have } = self;
        let unusable = |source| HubError::Cache { path: path.clone(), source };
        let found = hasher.finish();
        let wrong = if have < size {
            Some(format!("it ended after {have} of {size} bytes"))
        } else if found != listed.digest.etag() {
            Some(format!("its hash is {found} instead of {}", listed.digest.etag()))
        } else {
            None
        };
        if let Some(reason) = wrong {
            fs::remove_file(&path).map_err(unusable)?;
            return Ok(Finished::Wrong(reason));
        }
        file.sync_data().map_err(unusable)?;
        fs::rename(&path, target).map_err(unusable)?;
        Ok(Finished::Right)
    }

    fn unusable(&self, source: io::Error) -> HubError {
        HubError::Cache { path: self.path.clone(), source }
    }
}

/// What a blob turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finished {
    /// It has its final name.
    Right,
    /// It is gone, for this reason.
    Wrong(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(digest: Digest, pieces: &[&[u8]]) -> (Finished, bool, bool) {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join("a.incomplete"), folder.path().join("a"));
        let listed = Listed { name: "a".to_owned(), size: 6, digest };
        for piece in pieces {
            // Opened for every piece, as after a cut.
            let mut partial = Partial::open(&path, &listed).unwrap();
            partial.push(piece).unwrap();
        }
        let partial = Partial::open(&path, &listed).unwrap();
        let finished = partial.finish(&listed, &target).unwrap();
        (finished, path.exists(), target.exists())
    }

    #[test]
    fn what_arrives_in_pieces_is_hashed_as_a_whole() {
        // printf 'hello\n' | git hash-object --stdin; printf 'hello\n' | sha256sum
        let git = Digest::Git("ce013625030ba8dba906f756967f9e9ca394464a".to_owned());
        let sha = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03".to_owned();
        let right = (Finished::Right, false, true);
        assert_eq!(finished(git.clone(), &[b"hello\n"]), right);
        assert_eq!(finished(git.clone(), &[b"hel", b"lo\n"]), right);
        assert_eq!(finished(Digest::Sha256(sha), &[b"h", b"ello\n and more"]), right);
        let (wrong, has_partial, has_target) = finished(git.clone(), &[b"jello\n"]);
        assert!(matches!(wrong, Finished::Wrong(_)));
        assert!(!has_partial && !has_target);
        let short = Finished::Wrong("it ended after 3 of 6 bytes".to_owned());
        assert_eq!(finished(git, &[b"hel"]), (short, false, false));
    }
}
