//! How weights are packed: one rule for the model, with exceptions a module.
//!
//! Reference: `mlx_lm.utils.load_model`, class predicate of `nn.quantize`. A module named in the
//! configuration has what is written there; any other is packed if it has scales, and how is read off the
//! shapes of its tensors.

use std::collections::BTreeMap;

use mlx_rs::{Array, Dtype, error::Exception};
use serde_json::{Map, Value};

use super::{LoadError, Outlines, foreign::Method, outline};
use crate::ffi::{self, MlxError, Packing};

/// How one matrix is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantization {
    /// Elements that share one scale.
    pub group_size: i32,
    /// Bits an element takes.
    pub bits: i32,
    /// The encoding.
    pub mode: Mode,
}

/// An encoding of MLX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `q · scale + bias`, scales and biases in floating point.
    Affine,
    /// Four-bit floats with a power of two for every 32 (OCP microscaling).
    Mxfp4,
    /// Eight-bit floats with a power of two for every 32.
    Mxfp8,
    /// Four-bit floats with an eight-bit float for every 16 (NVIDIA).
    Nvfp4,
}

impl Mode {
    /// MLX's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Affine => "affine",
            Self::Mxfp4 => "mxfp4",
            Self::Mxfp8 => "mxfp8",
            Self::Nvfp4 => "nvfp4",
        }
    }

    /// Whether packed weights come with biases.
    pub fn has_biases(self) -> bool {
        matches!(self, Self::Affine)
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Affine, Self::Mxfp4, Self::Mxfp8, Self::Nvfp4]
            .into_iter()
            .find(|mode| mode.name() == name)
    }

    /// Group size and bits where the configuration names only the mode.
    pub fn defaults(self) -> (i32, i32) {
        match self {
            Self::Affine => (64, 4),
            Self::Mxfp4 => (32, 4),
            Self::Mxfp8 => (32, 8),
            Self::Nvfp4 => (16, 4),
        }
    }
}

impl Quantization {
    /// The same for the C interface.
    pub fn packing(&self) -> Packing<'static> {
        Packing { group_size: self.group_size, bits: self.bits, mode: self.mode.name() }
    }

    /// The dense form of packed rows.
    ///
    /// # Errors
    ///
    /// When MLX refuses.
    pub fn dequantize(
        &self,
        weight: &Array,
        scales: &Array,
        biases: Option<&Array>,
    ) -> Result<Array, Exception> {
        match self.mode {
            Mode::Affine => {
                mlx_rs::ops::dequantize(weight, scales, biases, self.group_size, self.bits)
            }
            Mode::Mxfp4 | Mode::Mxfp8 | Mode::Nvfp4 => {
                ffi::dequantize(weight, scales, biases, self.packing())
            }
        }
    }

    fn parse(entry: &Map<String, Value>) -> Result<Self, LoadError> {
        let mode = match entry.get("mode") {
            None | Some(Value::Null) => Mode::Affine,
            Some(name) => name
                .as_str()
                .and_then(Mode::from_name)
                .ok_or_else(|| unsupported(format!("quantization mode `{name}`")))?,
        };
        let defaults = mode.defaults();
        let number = |key: &str, default| match entry.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => value
                .as_i64()
                .and_then(|value| i32::try_from(value).ok())
                .filter(|value| *value > 0)
                .ok_or_else(|| unsupported(format!("quantization `{key}` of `{value}`"))),
        };
        Ok(Self {
            group_size: number("group_size", defaults.0)?,
            bits: number("bits", defaults.1)?,
            mode,
        })
    }

    /// Reads group size and bits off the shapes of a packed matrix with `inputs` elements a row.
    fn infer(path: &str, inputs: i32, weight: &Array, scales: &Array) -> Result<Self, LoadError> {
        let (words, groups) = (weight.dim(-1), scales.dim(-1));
        let odd =
            || unsupported(format!("packing of `{path}` ({words} words, {groups} groups a row)"));
        let row = i64::from(words) * 32;
        if groups < 1 || inputs < 1 || inputs % groups != 0 || row % i64::from(inputs) != 0 {
            return Err(odd());
        }
        let group_size = inputs / groups;
        let bits = i32::try_from(row / i64::from(inputs)).map_err(|_| odd())?;
        let mode = match (scales.dtype(), bits, group_size) {
            (Dtype::Uint8, 4, 16) => Mode::Nvfp4,
            (Dtype::Uint8, 4, 32) => Mode::Mxfp4,
            (Dtype::Uint8, 8, 32) => Mode::Mxfp8,
            (Dtype::Uint8, ..) => return Err(odd()),
            _ => Mode::Affine,
        };
        Ok(Self { group_size, bits, mode })
    }
}

/// The quantization of a whole checkpoint.
#[derive(Clone, Debug, Default)]
pub(super) struct Quantizations {
    general: Option<Quantization>,
    /// Modules that differ; `None` where one is dense.
    modules: BTreeMap<String, Option<Quantization>>,
}

impl Quantizations {
    /// Reads `quantization` of a configuration.
    pub(super) fn of(config: &Value) -> Result<Self, LoadError> {
        let Some(Value::Object(entries)) = config.get("quantization") else {
            let method = Method::of(config)?;
            return Ok(Self {
                general: method.and_then(Method::general),
                modules: BTreeMap::new(),
            });
        };
        let mut modules = BTreeMap::new();
        for (path, entry) in entries {
            if let Value::Object(entry) = entry {
                modules.insert(path.clone(), Some(Quantization::parse(entry)?));
            } else if *entry == Value::Bool(false) {
                modules.insert(path.clone(), None);
            }
        }
        Ok(Self { general: Some(Quantization::parse(entries)?), modules })
    }

    /// How the matrix at `path` is packed, whose rows have `inputs` elements.
    pub(super) fn of_module(
        &self,
        path: &str,
        inputs: i32,
        tensors: &BTreeMap<String, Array>,
    ) -> Result<Option<Quantization>, LoadError> {
        if self.general.is_none() {
            return Ok(None);
        }
        if let Some(own) = self.modules.get(path) {
            return Ok(*own);
        }
        let (weight, scales) = (format!("{path}.weight"), format!("{path}.scales"));
        match (tensors.get(&weight), tensors.get(&scales)) {
            (Some(weight), Some(scales)) => {
                Quantization::infer(path, inputs, weight, scales).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// How the matrix at `path` is packed, of which only headers were read.
    pub(super) fn of_outline(&self, path: &str, outlines: &Outlines) -> Option<Quantization> {
        let own = match self.modules.get(path) {
            None => outline::Entry::None,
            Some(None) => outline::Entry::Dense,
            Some(Some(how)) => outline::Entry::Packed(*how),
        };
        outline::packing(self.general, own, outlines, path)
    }

    /// Moves what is said of a module to where `new_name` puts its weight.
    pub(super) fn rename(&mut self, new_name: impl Fn(&str) -> Option<String>) {
        let moved = |path: String| {
            let weight = new_name(&format!("{path}.weight"));
            weight.and_then(|name| name.strip_suffix(".weight").map(str::to_owned)).unwrap_or(path)
        };
        let modules = std::mem::take(&mut self.modules).into_iter();
        self.modules = modules.map(|(path, own)| (moved(path), own)).collect();
    }

    /// Makes every packed matrix of `tensors` dense, and forgets that any was packed.
    pub(super) fn dequantize(
        &mut self,
        tensors: &mut BTreeMap<String, Array>,
    ) -> Result<(), LoadError> {
        let Self { general: Some(general), modules } = std::mem::take(self) else {
            return Ok(());
        };
        let paths: Vec<String> = tensors
            .keys()
            .filter_map(|name| name.strip_suffix(".scales").map(str::to_owned))
            .collect();
        for path in paths {
            let Some(how) = modules.get(&path).copied().unwrap_or(Some(general)) else {
                continue;
            };
            let mut part = |name: &str| tensors.remove(&format!("{path}.{name}"));
            let (Some(weight), Some(scales)) = (part("weight"), part("scales")) else {
                return Err(LoadError::Missing { name: format!("{path}.weight") });
            };
            let biases = part("biases");
            let dense =
                how.dequantize(&weight, &scales, biases.as_ref()).map_err(MlxError::from)?;
            tensors.insert(format!("{path}.weight"), dense);
        }
        Ok(())
    }

    /// How a module is packed that nothing else is said of.
    pub(super) fn general(&self) -> Option<Quantization> {
        self.general
    }

    /// In words, such as `4-bit affine, group 64`; none where nothing is packed.
    pub(super) fn describe(&self) -> Option<String> {
        let Quantization { group_size, bits, mode } = self.general?;
        let mixed = self.modules.values().any(|own| *own != self.general);
        let mixed = if mixed { ", mixed" } else { "" };
        Some(format!("{bits}-bit {}, group {group_size}{mixed}", mode.name()))
    }
}

fn unsupported(what: String) -> LoadError {
    LoadError::Unsupported { what }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tensors(words: i32, groups: i32) -> BTreeMap<String, Array> {
        [("m.weight", words, Dtype::Uint32), ("m.scales", groups, Dtype::Float32)]
            .into_iter()
            .map(|(name, width, dtype)| {
                (name.to_owned(), mlx_rs::ops::zeros_dtype(&[2, width], dtype).unwrap())
            })
            .collect()
    }

    #[test]
    fn a_module_with_scales_is_read_off_its_shapes() {
        let all =
            Quantizations::of(&json!({"quantization": {"group_size": 64, "bits": 4}})).unwrap();
        // 256 elements a row: 64 words of 8 bits each four, 8 groups of 32.
        let found = all.of_module("m", 256, &tensors(64, 8)).unwrap();
        assert_eq!(found, Some(Quantization { group_size: 32, bits: 8, mode: Mode::Affine }));
        assert_eq!(all.of_module("n", 256, &tensors(64, 8)).unwrap(), None);
        assert!(all.of_module("m", 256, &tensors(64, 7)).is_err());
    }

    #[test]
    fn an_entry_for_a_module_wins() {
        let all = Quantizations::of(&json!({"quantization": {
            "group_size": 64, "bits": 4, "m": {"group_size": 32, "bits": 8}, "d": false,
        }}))
        .unwrap();
        let found = all.of_module("m", 256, &BTreeMap::new()).unwrap().unwrap();
        assert_eq!((found.group_size, found.bits), (32, 8));
        assert_eq!(all.of_module("d", 256, &tensors(64, 8)).unwrap(), None);
        assert_eq!(all.describe().unwrap(), "4-bit affine, group 64, mixed");
    }

    #[test]
    fn an_entry_follows_its_module() {
        let mut all = Quantizations::of(&json!({"quantization": {
            "group_size": 64, "bits": 4, "moe.gate": {"group_size": 64, "bits": 8},
        }}))
        .unwrap();
        all.rename(|name| name.strip_prefix("moe.").map(|rest| format!("mlp.{rest}")));
        let none = BTreeMap::new();
        assert_eq!(all.of_module("moe.gate", 256, &none).unwrap(), None);
        let found = all.of_module("mlp.gate", 256, &none).unwrap().unwrap();
        assert_eq!(found.bits, 8);
    }

    #[test]
    fn a_foreign_method_is_refused_by_name() {
        let error = Quantizations::of(&json!({"quantization_config": {"quant_method": "bitnet"}}));
        assert!(error.unwrap_err().to_string().contains("bitnet"));
    }
}
