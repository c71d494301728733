//! GGUF files.
use mlx_rs::Array;
use std::{collections::BTreeMap, path::Path};
/// stub
#[derive(Debug, thiserror::Error)]
#[error("no")]
pub struct GgufError;
/// stub
pub struct Gguf {
    /// c
    pub config: serde_json::Value,
}
/// stub
pub fn open(_: &Path) -> Result<Gguf, GgufError> {
    Err(GgufError)
}
impl Gguf {
    /// t
    pub fn tensors(&self) -> Result<BTreeMap<String, Array>, GgufError> {
        Err(GgufError)
    }
}
