//! The shards of a model folder, checked before MLX sees them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use mlx_rs::Array;
use safetensors::{Dtype, tensor::Metadata};

use super::{LoadError, Outline, Outlines, Stored};
use crate::files::{HeaderError, header};

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

/// The header of a shard that is sound.
fn check(path: &Path) -> Result<Metadata, LoadError> {
    header(path).map_err(|error| {
        let path = path.to_owned();
        match error {
            HeaderError::Unreadable(source) => LoadError::Read { path, source },
            HeaderError::Unsound(reason) => LoadError::Shard { path, reason },
        }
    })
}
