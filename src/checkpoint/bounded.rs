//! Files that strangers wrote are read up to a length, and configurations count up to a number.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde_json::Value;

use super::LoadError;

/// Bytes that a configuration may have.
pub const LONGEST_CONFIG: u64 = 16 << 20;

/// Bytes that a tokenizer, or what names its tokens, may have; the largest known has 41 MB.
pub const LONGEST_TOKENIZER: u64 = 512 << 20;

/// Layers or experts that a configuration may speak of.
const MOST: u64 = 65_536;

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

/// Refuses a configuration that speaks of more layers or experts than memory could describe.
pub(super) fn check_counts(config: &Value) -> Result<(), LoadError> {
    let Some(config) = config.as_object() else {
        return Ok(());
    };
    for (key, value) in config {
        let counts = key.contains("layer") || key.contains("expert");
        if counts && value.as_u64().is_some_and(|count| count > MOST) {
            return Err(LoadError::Unsupported { what: format!("`{key}` of {value}") });
        }
        check_counts(value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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

    #[test]
    fn no_configuration_has_a_billion_layers() {
        let refused = |config| check_counts(&config).err().map(|error| error.to_string());
        assert_eq!(refused(json!({"num_hidden_layers": 65_536, "vocab_size": 1_u64 << 40})), None);
        let expected =
            "`config.json` asks for `n_layer` of 1099511627776, which is not implemented";
        let nested = json!({"text_config": {"n_layer": 1_u64 << 40}});
        assert_eq!(refused(nested).as_deref(), Some(expected));
        assert!(refused(json!({"num_local_experts": 1_u64 << 40})).is_some());
    }
}
