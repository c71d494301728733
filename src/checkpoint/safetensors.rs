//! The shards of a model folder, checked before MLX sees them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use mlx_rs::Array;
use safetensors::{Dtype, tensor::Metadata};

use super::{LoadError, Outline, Outlines, Stored};

/// The longest header that the format allows, in bytes.
const LONGEST_HEADER: u64 = 100_000_000;

/// Maps every tensor of `model*.safetensors`; as mlx-lm, a later shard overrides an earlier one.
pub(super) fn open(folder: &Path) -> Result<BTreeMap<String, Array>, LoadError> {
    let mut tensors = BTreeMap::new();
    for shard in shards(folder)? {
        check(&shard)?;
        let loaded = Array::load_safetensors(&shard)
            .map_err(|error| LoadError::Shard { path: shard.clone(), reason: error.to_string() })?;
        tensors.extend(loaded);
    }
    Ok(tensors)
}

/// What the headers of `model*.safetensors` say of every tensor.
pub(super) fn outlines(folder: &Path) -> Result<Outlines, LoadError> {
    let mut outlines = Outlines::new();
    for shard in shards(folder)? {
        for (name, info) in check(&shard)?.tensors() {
            let sides = info.shape.iter().map(|&side| i32::try_from(side));
            let shape = sides.collect::<Result<_, _>>();
            let shape = shape.map_err(|_| LoadError::Shard {
                path: shard.clone(),
                reason: format!("tensor `{name}` is larger than MLX can count"),
            })?;
            let element = stored(info.dtype);
            outlines.insert(name, Outline { shape, element });
        }
    }
    Ok(outlines)
}

fn stored(dtype: Dtype) -> Stored {
    let bits = u32::try_from(dtype.bitsize()).unwrap_or(0);
    let known = [
        (Dtype::F32, Stored::Float32),
        (Dtype::F16, Stored::Float16),
        (Dtype::BF16, Stored::Bfloat16),
        (Dtype::U32, Stored::Word),
        (Dtype::U8, Stored::Byte),
    ];
    let found = known.iter().find(|(known, _)| *known == dtype);
    found.map_or(Stored::Other(bits), |(_, stored)| *stored)
}

/// The shards of `folder`, by name.
fn shards(folder: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let unreadable = |source| LoadError::Read { path: folder.to_owned(), source };
    let mut shards = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("model") && name.ends_with(".safetensors") {
            shards.push(path);
        }
    }
    if shards.is_empty() {
        return Err(LoadError::NoWeights { path: folder.to_owned() });
    }
    shards.sort();
    Ok(shards)
}

/// Reads a shard's header, and checks that it is sound and that the file is as long as it says.
fn check(path: &Path) -> Result<Metadata, LoadError> {
    let bad = |reason: String| LoadError::Shard { path: path.to_owned(), reason };
    let unreadable = |source: io::Error| LoadError::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|_| bad(format!("it has only {size} bytes")))?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST_HEADER || length > size.saturating_sub(8) {
        return Err(bad(format!("its header claims {length} bytes, the file has {size}")));
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header).map_err(unreadable)?;
    let header: Metadata =
        serde_json::from_slice(&header).map_err(|error| bad(error.to_string()))?;
    let expected = 8 + length + header.data_len() as u64;
    if size != expected {
        return Err(bad(format!("it has {size} bytes and should have {expected}")));
    }
    Ok(header)
}
