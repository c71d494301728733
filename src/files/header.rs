//! The header of a safetensors file, taken at its word only where the file is as long as it says.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use safetensors::tensor::Metadata;
use thiserror::Error;

/// The longest header that the format allows, in bytes.
const LONGEST: u64 = 100_000_000;

/// Why a file has no header that could be used.
#[derive(Debug, Error)]
pub enum HeaderError {
    /// The system did not let it be read.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// It was cut or altered, or is no safetensors file.
    #[error("{0}")]
    Unsound(String),
}

/// Reads the header of the safetensors file at `path`, and checks that it is sound and that the file is as long as it
/// says.
///
/// # Errors
///
/// When it cannot be read, or is not sound.
pub fn header(path: &Path) -> Result<Metadata, HeaderError> {
    let unsound = |reason: String| HeaderError::Unsound(reason);
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|_| unsound(format!("it has only {size} bytes")))?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST || length > size.saturating_sub(8) {
        return Err(unsound(format!("its header claims {length} bytes, the file has {size}")));
    }
    let mut text = Vec::new();
    file.take(length).read_to_end(&mut text)?;
    let header: Metadata =
        serde_json::from_slice(&text).map_err(|error| unsound(error.to_string()))?;
    let expected = (header.data_len() as u64).saturating_add(8 + length);
    if size != expected {
        return Err(unsound(format!("it has {size} bytes and should have {expected}")));
    }
    Ok(header)
}
