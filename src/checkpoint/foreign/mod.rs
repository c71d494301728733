//! Packed checkpoints of other programs, brought into MLX's encodings while they are opened.
//!
//! Reference: `mlx_lm.utils.load_model`, and `sanitize` of the families that unpack fp8 or packed integers.

mod awq;
mod fp8;
mod outline;

use std::collections::BTreeMap;

use mlx_rs::{Array, Dtype};
use serde_json::Value;

use super::{Checkpoint, LoadError, Mode, Quantization};
use crate::ffi::MlxError;
use fp8::Scales;

type Tensors = BTreeMap<String, Array>;

/// How another program has packed the weights of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// In an encoding that MLX has too, under MLX's names.
    Same(Quantization),
    /// `AutoAWQ`, or GPTQ laid out like it: four bits, outputs interleaved.
    Awq {
        /// Elements that share one scale.
        group_size: i32,
    },
    /// `compressed-tensors`: encodings of MLX under other names.
    Compressed(Quantization),
    /// Eight-bit floats with scales.
    Fp8(Scales),
}

impl Method {
    /// Reads `quantization_config`; none where nothing is packed.
    pub(super) fn of(config: &Value) -> Result<Option<Self>, LoadError> {
        let Some(settings) = config.get("quantization_config") else {
            return Ok(None);
        };
        let Some(method) = settings.get("quant_method") else {
            // ModelOpt's own file, which mlx-lm fails on, names no method.
            let is_modelopt = settings.pointer("/quantization/quant_algo").is_some();
            return if is_modelopt { modelopt(settings).map(Some) } else { Ok(None) };
        };
        let same = |mode| Ok(Some(Self::Same(general(mode, None))));
        match method.as_str().unwrap_or_default() {
            "mxfp4" => same(Mode::Mxfp4),
            "mxfp8" => same(Mode::Mxfp8),
            "fp8" => fp8(settings, scales_of(config)).map(Some),
            "compressed-tensors" => compressed(settings).map(Some),
            "modelopt" => modelopt(settings).map(Some),
            "awq" | "gptq" => awq_settings(settings).map(Some),
            _ => Err(unsupported(format!("`quant_method` `{method}`"))),
        }
    }

    /// How a module is packed that nothing else is said of, once the checkpoint is open.
    pub(super) fn general(self) -> Option<Quantization> {
        match self {
            Self::Same(how) | Self::Compressed(how) => Some(how),
            Self::Awq { group_size } => {
                Some(Quantization { group_size, bits: 4, mode: Mode::Affine })
            }
            Self::Fp8(_) => None,
        }
    }

    /// Brings `tensors` into MLX's encodings and names.
    pub(super) fn adopt(self, tensors: &mut Tensors) -> Result<(), LoadError> {
        refuse_second_scales(tensors)?;
        match self {
            Self::Same(_) => Ok(()),
            Self::Awq { .. } => awq::repack(tensors),
            Self::Compressed(how) => adopt_compressed(tensors, how),
            Self::Fp8(scales) => fp8::dequantize(tensors, scales),
        }
    }
}

impl Checkpoint<'_> {
    /// Makes eight-bit floats with a scale for every square of 128, `weight_scale_inv`, bfloat16: for families whose
    /// checkpoints may not say so.
    ///
    /// # Errors
    ///
    /// When scales come without a weight, or do not cover it.
    pub fn unpack_blocks(&self) -> Result<(), LoadError> {
        fp8::dequantize(&mut self.tensors.borrow_mut(), Scales::OfSquares)
    }

    /// The same for families that also read a scale for a whole matrix, or for each of stacked ones.
    ///
    /// # Errors
    ///
    /// When scales come without a weight, or do not fit it.
    pub fn unpack_scaled(&self) -> Result<(), LoadError> {
        fp8::dequantize(&mut self.tensors.borrow_mut(), Scales::Any)
    }

    /// Sees the tensor `name` as the words that MLX packs into, `[experts, rows, 4 · groups]`, where it is blocks of
    /// bytes, `[experts, rows, groups, 16]`; any other stays as it is.
    ///
    /// # Errors
    ///
    /// When MLX refuses.
    pub fn adopt_blocks(&self, name: &str) -> Result<(), LoadError> {
        if let Some(outline) = self.outlines.borrow_mut().get_mut(name) {
            outline::in_words(outline);
        }
        self.transform(name, in_words)
    }

    /// Renames four-bit integers around 8, `weight_packed` with `weight_scale`, to what they are: MLX's own packing
    /// with a bias of `-8 · scale`.
    ///
    /// # Errors
    ///
    /// When a part is missing.
    pub fn adopt_packed_integers(&self) -> Result<(), LoadError> {
        let how = general(Mode::Affine, Some(32));
        adopt_compressed(&mut self.tensors.borrow_mut(), how)
    }
}

fn in_words(tensor: Array) -> Result<Array, MlxError> {
    if tensor.dtype() == Dtype::Uint8 && tensor.ndim() == 4 {
        Ok(tensor.view_dtype(Dtype::Uint32)?.flatten(-2, -1)?)
    } else {
        Ok(tensor)
    }
}

fn general(mode: Mode, group_size: Option<i32>) -> Quantization {
    let (default, bits) = mode.defaults();
    Quantization { group_size: group_size.unwrap_or(default), bits, mode }
}

fn number(settings: &Value, key: &str) -> Option<i32> {
    settings.get(key)?.as_i64().and_then(|value| i32::try_from(value).ok())
}

fn awq_settings(settings: &Value) -> Result<Method, LoadError> {
    let bits = number(settings, "bits").unwrap_or(4);
    if bits != 4 {
        return Err(unsupported(format!("AWQ or GPTQ with {bits} bits")));
    }
    let group_size = number(settings, "group_size").unwrap_or(128);
    Ok(Method::Awq { group_size })
}

fn compressed(settings: &Value) -> Result<Method, LoadError> {
    let format = settings.get("format").and_then(Value::as_str).unwrap_or_default();
    let bits = || {
        let groups = settings.get("config_groups")?.as_object()?.values();
        let bits = groups.filter_map(|group| number(group.get("weights")?, "num_bits"));
        bits.into_iter().find(|bits| *bits != 4)
    };
    let how = match format {
        "nvfp4-pack-quantized" => general(Mode::Nvfp4, None),
        "mxfp4-pack-quantized" => general(Mode::Mxfp4, None),
        "pack-quantized" => match bits() {
            None => general(Mode::Affine, Some(32)),
            Some(bits) => {
                return Err(unsupported(format!(
                    "`compressed-tensors` in `pack-quantized` with {bits} bits"
                )));
            }
        },
        _ => {
            return Err(unsupported(format!("`compressed-tensors` in format `{format}`")));
        }
    };
    Ok(Method::Compressed(how))
}

fn modelopt(settings: &Value) -> Result<Method, LoadError> {
    // A file of its own nests what `config.json` does not.
    let settings = settings.get("quantization").unwrap_or(settings);
    match settings.get("quant_algo").and_then(Value::as_str) {
        Some("NVFP4") => {
            let how = general(Mode::Nvfp4, number(settings, "group_size"));
            Ok(Method::Same(how))
        }
        algorithm => Err(unsupported(format!(
            "`modelopt` with `quant_algo` `{}`",
            algorithm.unwrap_or("null")
        ))),
    }
}

/// What scales the reference reads: only of a Mistral 4 more than one kind.
fn scales_of(config: &Value) -> Scales {
    let text = config.get("text_config").unwrap_or(config);
    let is_mistral4 = text.get("model_type").is_some_and(|name| name == "mistral4");
    if is_mistral4 { Scales::Any } else { Scales::OfSquares }
}

fn fp8(settings: &Value, scales: Scales) -> Result<Method, LoadError> {
    let block = settings.get("weight_block_size").filter(|block| !block.is_null());
    let is_block = |side: i32| block == Some(&serde_json::json!([side, side]));
    let format = settings.get("scale_fmt").and_then(Value::as_str);
    if format == Some("ue8m0") && is_block(32) {
        Ok(Method::Same(general(Mode::Mxfp8, None)))
    } else if block.is_none() || is_block(128) {
        Ok(Method::Fp8(scales))
    } else {
        Err(unsupported("`fp8` in blocks of another size than 128".to_owned()))
    }
}

/// Refuses scales of whole tensors beside those of groups: MLX's layers hold no such scale, and without it every
/// number would be off.
fn refuse_second_scales(tensors: &Tensors) -> Result<(), LoadError> {
    let second = [".weight_global_scale", ".weight_scale_2"];
    let found = tensors.keys().find(|name| second.iter().any(|end| name.ends_with(end)));
    match found {
        Some(name) => Err(unsupported(format!("a scale for the whole of a tensor, `{name}`"))),
        None => Ok(()),
    }
}

/// Gives packed words, scales and biases the names that MLX has for them.
fn adopt_compressed(tensors: &mut Tensors, how: Quantization) -> Result<(), LoadError> {
    let paths: Vec<String> = tensors
        .keys()
        .filter_map(|name| name.strip_suffix(".weight_packed").map(str::to_owned))
        .collect();
    for path in paths {
        let mut take = |part: &str| {
            let name = format!("{path}.{part}");
            tensors.remove(&name).ok_or(LoadError::Missing { name })
        };
        let (words, scales) = (take("weight_packed")?, take("weight_scale")?);
        tensors.remove(&format!("{path}.weight_shape"));
        let words = words.view_dtype(Dtype::Uint32).map_err(MlxError::from)?;
        if how.mode.has_biases() {
            // Elements are signed: the smallest is -8.
            let lowest = Array::from_slice(&[-8i32], &[]);
            let biases = lowest.multiply(&scales).map_err(MlxError::from)?;
            tensors.insert(format!("{path}.biases"), biases);
        }
        tensors.insert(format!("{path}.weight"), words);
        tensors.insert(format!("{path}.scales"), scales);
    }
    Ok(())
}

fn unsupported(what: String) -> LoadError {
    LoadError::Unsupported { what }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn method(settings: &Value) -> Result<Option<Method>, LoadError> {
        Method::of(&json!({"quantization_config": settings}))
    }

    #[track_caller]
    fn packed(settings: &Value, group_size: i32, bits: i32, mode: Mode) {
        let how = method(settings).unwrap().unwrap().general().unwrap();
        assert_eq!((how.group_size, how.bits, how.mode), (group_size, bits, mode));
    }

    #[track_caller]
    fn refused(settings: &Value, part: &str) {
        let error = method(settings).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn methods_are_told_by_their_settings() {
        packed(&json!({"quant_method": "awq"}), 128, 4, Mode::Affine);
        packed(&json!({"quant_method": "gptq", "bits": 4, "group_size": 64}), 64, 4, Mode::Affine);
        packed(&json!({"quant_method": "mxfp4"}), 32, 4, Mode::Mxfp4);
        let compressed = |format| json!({"quant_method": "compressed-tensors", "format": format});
        packed(&compressed("pack-quantized"), 32, 4, Mode::Affine);
        packed(&compressed("nvfp4-pack-quantized"), 16, 4, Mode::Nvfp4);
        packed(&compressed("mxfp4-pack-quantized"), 32, 4, Mode::Mxfp4);
        let nested = json!({"quant_method": "modelopt", "quantization": {"quant_algo": "NVFP4"}});
        packed(&nested, 16, 4, Mode::Nvfp4);
        let unnamed =
            json!({"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4"}});
        packed(&unnamed, 16, 4, Mode::Nvfp4);
        packed(
            &json!({"quant_method": "fp8", "scale_fmt": "ue8m0", "weight_block_size": [32, 32]}),
            32,
            8,
            Mode::Mxfp8,
        );
        let blocks = json!({"quant_method": "fp8", "weight_block_size": [128, 128]});
        assert_eq!(method(&blocks).unwrap(), Some(Method::Fp8(Scales::OfSquares)));
        let unsaid = json!({"quant_method": "fp8", "weight_block_size": null});
        assert_eq!(method(&unsaid).unwrap(), Some(Method::Fp8(Scales::OfSquares)));
        assert_eq!(Method::of(&json!({})).unwrap(), None);
    }

    #[test]
    fn what_is_not_read_is_refused_by_name() {
        refused(&json!({"quant_method": "bitsandbytes"}), "bitsandbytes");
        refused(&json!({"quant_method": "awq", "bits": 8}), "8 bits");
        refused(
            &json!({"quant_method": "compressed-tensors", "format": "float-quantized"}),
            "`float-quantized`",
        );
        refused(
            &json!({"quant_method": "compressed-tensors", "format": "pack-quantized",
                "config_groups": {"group_0": {"weights": {"num_bits": 8}}}}),
            "8 bits",
        );
        refused(&json!({"quant_method": "modelopt", "quant_algo": "FP8"}), "`FP8`");
        refused(&json!({"quantization": {"quant_algo": "FP8"}}), "`FP8`");
        refused(&json!({"quant_method": "fp8", "weight_block_size": [64, 64]}), "another size");
    }

    #[test]
    fn packed_integers_begin_eight_below_zero() {
        let scales = Array::from_slice(&[0.5f32], &[1, 1]);
        let mut tensors = Tensors::from([
            ("m.weight_packed".to_owned(), Array::from_slice(&[0x7654_3210i32], &[1, 1])),
            ("m.weight_scale".to_owned(), scales),
            ("m.weight_shape".to_owned(), Array::from_slice(&[1i64, 8], &[2])),
        ]);
        adopt_compressed(&mut tensors, general(Mode::Affine, Some(32))).unwrap();
        assert!(tensors.keys().eq(["m.biases", "m.scales", "m.weight"]));
        let biases = tensors["m.biases"].try_as_slice::<f32>().unwrap();
        assert_eq!(biases, [-4.0]);
        let words = tensors["m.weight"].try_as_slice::<u32>().unwrap();
        assert_eq!(words, [0x7654_3210]);
    }

    #[test]
    fn a_scale_for_a_whole_tensor_is_refused() {
        let mut tensors = Tensors::from([(
            "m.weight_global_scale".to_owned(),
            Array::from_slice(&[0.5f32], &[1]),
        )]);
        let how = Method::Compressed(general(Mode::Nvfp4, None));
        let error = how.adopt(&mut tensors).unwrap_err().to_string();
        assert!(error.contains("`m.weight_global_scale`"), "{error}");
    }

    #[test]
    fn blocks_of_bytes_become_words() {
        let mut bytes = [0u8; 32];
        (bytes[0], bytes[5], bytes[31]) = (1, 2, 3);
        let blocks = Array::from_slice(&bytes, &[1, 1, 2, 16]);
        let words = in_words(blocks).unwrap();
        assert_eq!(words.shape(), [1, 1, 8]);
        let expected = [1, 0x200, 0, 0, 0, 0, 0, 0x0300_0000];
        assert_eq!(words.try_as_slice::<u32>().unwrap(), expected);
    }
}
