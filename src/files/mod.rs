//! Files that strangers wrote: read up to a length, as Python writes them, and believed only where they are sound.

mod header;
pub mod python_json;

pub use header::{HeaderError, header};

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Bytes that a configuration may have.
pub const LONGEST_CONFIG: u64 = 16 << 20;

/// Bytes that the list of a model's shards may have; the longest known has 14 MB.
pub const LONGEST_INDEX: u64 = 256 << 20;

/// Bytes that a tokenizer, or what names its tokens, may have; the largest known has 41 MB.
pub const LONGEST_TOKENIZER: u64 = 512 << 20;

/// The bytes of the file at `path`.
///
/// # Errors
///
/// When it cannot be read, or has more than `limit` bytes.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let reason = format!("it is longer than {} MiB", limit >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(bytes)
}

/// The text of the file at `path`.
///
/// # Errors
///
/// When it cannot be read, has more than `limit` bytes, or is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    let bytes = read(path, limit)?;
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit_and_no_further() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let file = File::create(&path).unwrap();
        file.set_len(1 << 20).unwrap();
        assert_eq!(read(&path, 1 << 20).unwrap().len(), 1 << 20);
        // Sparse: far more than there is memory for.
        file.set_len(1 << 40).unwrap();
        let error = read_text(&path, 1 << 20).unwrap_err();
        assert_eq!(error.to_string(), "it is longer than 1 MiB");
    }
}
