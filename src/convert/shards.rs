//! Weights on their way to disk, in files of at most five gibibytes.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use mlx_rs::Array;
use serde_json::{Map, Value, json};

use super::{ConvertError, unwritten};

/// Bytes that a file may hold; a larger tensor gets one of its own.
const LARGEST: u64 = 5 << 30;

/// What was written.
pub(super) struct Written {
    pub(super) bytes: u64,
    pub(super) shards: usize,
}

/// Evaluates and writes `tensors`, a file at a time, then the index that tells which is where.
pub(super) fn write(
    mut tensors: BTreeMap<String, Array>,
    parameters: u64,
    folder: &Path,
) -> Result<Written, ConvertError> {
    let sizes: Vec<(String, u64)> =
        tensors.iter().map(|(name, tensor)| (name.clone(), tensor.nbytes() as u64)).collect();
    let bytes = sizes.iter().map(|(_, size)| size).sum();
    let shards = split(&sizes, LARGEST);
    let metadata = HashMap::from([("format".to_owned(), "mlx".to_owned())]);
    let mut places = BTreeMap::new();
    for (index, names) in shards.iter().enumerate() {
        let file = file_name(index, shards.len());
        let path = folder.join(&file);
        // What is written leaves memory.
        let shard: Vec<(&String, Array)> =
            names.iter().filter_map(|name| Some((*name, tensors.remove(*name)?))).collect();
        let named = shard.iter().map(|(name, tensor)| (name.as_str(), tensor));
        Array::save_safetensors(named, &metadata, &path)
            .map_err(|error| ConvertError::Shard { path, reason: error.to_string() })?;
        places.extend(names.iter().map(|name| ((*name).clone(), json!(file))));
    }
    let index = json!({
        "metadata": {"total_size": bytes, "total_parameters": parameters},
        "weight_map": places.into_iter().collect::<Map<String, Value>>(),
    });
    let path = folder.join("model.safetensors.index.json");
    fs::write(&path, format!("{index:#}\n")).map_err(unwritten(&path))?;
    Ok(Written { bytes, shards: shards.len() })
}

fn file_name(index: usize, count: usize) -> String {
    if count > 1 {
        format!("model-{:05}-of-{count:05}.safetensors", index + 1)
    } else {
        "model.safetensors".to_owned()
    }
}

/// Names in the order given, in lists of at most `largest` bytes.
fn split(sizes: &[(String, u64)], largest: u64) -> Vec<Vec<&String>> {
    let mut shards: Vec<Vec<&String>> = Vec::new();
    let mut filled = 0;
    for (name, size) in sizes {
        match shards.last_mut() {
            Some(shard) if filled + size <= largest => {
                shard.push(name);
                filled += size;
            }
            _ => {
                shards.push(vec![name]);
                filled = *size;
            }
        }
    }
    shards
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_filled_before_the_next_begins() {
        let sizes = [("a", 3), ("b", 2), ("c", 1), ("d", 9), ("e", 1)];
        let sizes: Vec<_> = sizes.map(|(name, size)| (name.to_owned(), size)).into();
        let shards = split(&sizes, 5);
        assert_eq!(shards, [vec!["a", "b"], vec!["c"], vec!["d"], vec!["e"]]);
    }

    #[test]
    fn one_file_has_no_number() {
        assert_eq!(file_name(0, 1), "model.safetensors");
        assert_eq!(file_name(1, 12), "model-00002-of-00012.safetensors");
    }
}
