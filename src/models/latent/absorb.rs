//! Splits the projection that keys and values grow by into the matrices that absorbed attention keeps.
//!
//! Reference: `sanitize` of `mlx_lm.models.deepseek_v3`. A packed projection is unpacked, split, and packed again with
//! the bits and groups it had.

use mlx_rs::Array;

use super::Latent;
use crate::{
    checkpoint::{Checkpoint, LoadError},
    ffi::{self, MlxError, Packing},
    nn::parts,
};

/// Splits `kv_b_proj` of the attention at `path`, where the checkpoint still has it, into `embed_q` and
/// `unembed_out`.
///
/// # Errors
///
/// When it has another shape than `latent` says.
pub(in crate::models) fn absorb(
    checkpoint: &Checkpoint<'_>,
    path: &str,
    latent: &Latent,
) -> Result<(), LoadError> {
    let name = format!("{path}.kv_b_proj.weight");
    let Some(weight) = checkpoint.take(&name) else {
        return Ok(());
    };
    let part = |part: &str| checkpoint.take(&format!("{path}.kv_b_proj.{part}"));
    let packed = match (part("scales"), part("biases")) {
        (Some(scales), Some(biases)) => Some((scales, biases)),
        _ => None,
    };
    let (dense, packing) = match packed {
        None => (weight, None),
        Some((scales, biases)) => {
            let packing = Packing {
                group_size: latent.rank / scales.dim(-1),
                bits: weight.dim(-1) * 32 / latent.rank,
                mode: "affine",
            };
            let dense = ffi::dequantize(&weight, &scales, Some(&biases), packing);
            (dense.map_err(MlxError::from)?, Some(packing))
        }
    };
    let expected = [latent.heads * (latent.plain_dim + latent.value_dim), latent.rank];
    if dense.shape() != expected {
        return Err(LoadError::Shape {
            name,
            expected: expected.to_vec(),
            found: dense.shape().to_vec(),
        });
    }
    let (keys, values) = by_head(&dense, latent)?;
    insert(checkpoint, &format!("{path}.embed_q"), keys, packing)?;
    insert(checkpoint, &format!("{path}.unembed_out"), values, packing)
}

/// The matrices of each head: for keys `[heads, rank, plain_dim]`, for values `[heads, value_dim, rank]`.
fn by_head(dense: &Array, latent: &Latent) -> Result<(Array, Array), MlxError> {
    let heads = dense.reshape(&[latent.heads, -1, latent.rank])?;
    let [keys, values] = parts(&heads, &[latent.plain_dim], 1)?;
    Ok((keys.swap_axes(-1, -2)?.contiguous()?, values.contiguous()?))
}

fn insert(
    checkpoint: &Checkpoint<'_>,
    path: &str,
    dense: Array,
    packing: Option<Packing<'_>>,
) -> Result<(), LoadError> {
    let Some(packing) = packing else {
        checkpoint.insert(format!("{path}.weight"), dense);
        return Ok(());
    };
    let (weight, scales, biases) = ffi::quantize(&dense, packing).map_err(MlxError::from)?;
    checkpoint.insert(format!("{path}.weight"), weight);
    checkpoint.insert(format!("{path}.scales"), scales);
    if let Some(biases) = biases {
        checkpoint.insert(format!("{path}.biases"), biases);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use mlx_rs::Dtype;
    use serde_json::json;

    use super::*;
    use crate::{
        checkpoint::{Description, LoadOptions, Location},
        models::{latent::Form, recipe::QueryGrowth},
        nn::{Pairs, Rope, RopeScaling},
    };

    fn latent(rank: i32, dim: i32) -> Latent {
        Latent {
            heads: 2,
            query_rank: None,
            rank,
            plain_dim: dim,
            value_dim: dim,
            rope: Rope {
                dims: 2,
                theta: 1e4,
                pairs: Pairs::Interleaved,
                scaling: RopeScaling::None,
            },
            eps: 1e-6,
            scale: 1.0,
            form: Form::Absorbed,
            growth: QueryGrowth::None,
        }
    }

    /// What is left of `a.kv_b_proj` after it was split: `embed_q` and `unembed_out`, unpacked.
    fn split(parts: &[(&str, &Array)], latent: &Latent) -> (Array, Array) {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<String> =
            parts.iter().map(|(part, _)| format!("a.kv_b_proj.{part}")).collect();
        let tensors = names.iter().zip(parts);
        let tensors = tensors.map(|(name, (_, tensor))| (name.as_str(), *tensor));
        let file = folder.path().join("model.safetensors");
        Array::save_safetensors(tensors, None, file).unwrap();
        let config = json!({"model_type": "test"}).to_string();
        fs::write(folder.path().join("config.json"), config).unwrap();
        let location = Location::find(folder.path().to_str().unwrap(), None).unwrap();
        let description = Description::read(location).unwrap();
        let checkpoint = Checkpoint::open(&description, LoadOptions::default()).unwrap();
        absorb(&checkpoint, "a", latent).unwrap();
        let take = |module: &str| {
            let part = |part: &str| checkpoint.take(&format!("a.{module}.{part}"));
            let weight = part("weight").unwrap();
            let Some(scales) = part("scales") else {
                return weight;
            };
            let packing = Packing { group_size: 32, bits: 4, mode: "affine" };
            ffi::dequantize(&weight, &scales, part("biases").as_ref(), packing).unwrap()
        };
        let taken = (take("embed_q"), take("unembed_out"));
        assert_eq!(checkpoint.names(), Vec::<String>::new());
        taken
    }

    fn values(x: &Array) -> Vec<f32> {
        let x = x.as_dtype(Dtype::Float32).unwrap().contiguous().unwrap();
        x.try_as_slice::<f32>().unwrap().to_vec()
    }

    #[test]
    fn each_head_has_its_keys_turned_and_its_values_not() {
        let rows: Vec<f32> = (0..16u8).map(f32::from).collect();
        let weight = Array::from_slice(&rows, &[8, 2]);
        let (keys, kept) = split(&[("weight", &weight)], &latent(2, 2));
        assert_eq!(keys.shape(), [2, 2, 2]);
        assert_eq!(values(&keys), [0.0, 2.0, 1.0, 3.0, 8.0, 10.0, 9.0, 11.0]);
        assert_eq!(values(&kept), [4.0, 5.0, 6.0, 7.0, 12.0, 13.0, 14.0, 15.0]);
    }

    #[test]
    fn a_packed_projection_is_packed_again() {
        // Every 32 numbers along rows and columns hold 0 to 15, which four bits keep exactly.
        let numbers: Vec<f32> =
            (0..128 * 32u16).map(|i| f32::from((i / 32 * 5 + i % 32 * 3) % 16)).collect();
        let dense = Array::from_slice(&numbers, &[128, 32]);
        let packing = Packing { group_size: 32, bits: 4, mode: "affine" };
        let (weight, scales, biases) = ffi::quantize(&dense, packing).unwrap();
        let biases = biases.unwrap();
        let parts = [("weight", &weight), ("scales", &scales), ("biases", &biases)];
        let (keys, kept) = split(&parts, &latent(32, 32));
        assert_eq!((keys.shape(), kept.shape()), (&[2, 32, 32][..], &[2, 32, 32][..]));
        // Row 5, column 3 of the second head's keys is row 64 + 3, column 5 of the projection: 350 mod 16.
        assert_eq!(values(&keys)[1187..1188], [14.0]);
        // Row 5, column 3 of its values is row 96 + 5, column 3: 514 mod 16.
        assert_eq!(values(&kept)[1187..1188], [2.0]);
    }
}
