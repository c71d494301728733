//! What is done to the tensors of a model on the way from one folder to another.

use std::collections::BTreeMap;

use mlx_rs::{Array, Dtype};

use super::{
    ConvertError, Packing,
    exceptions::Exceptions,
    files::WrittenConfig,
    packing::{Entry, Rule},
};
use crate::{
    checkpoint::{Inventory, Quantization},
    ffi::{self, MlxError},
    plan::ElementType,
};

/// A model on its way.
pub(super) struct Work {
    pub(super) config: WrittenConfig,
    pub(super) exceptions: Exceptions,
    pub(super) inventory: Inventory,
}

impl Work {
    /// Casts every float that a family does not keep as it is.
    pub(super) fn cast(&mut self, dtype: Option<ElementType>) -> Result<(), ConvertError> {
        let Some(dtype) = dtype.map(Dtype::from) else {
            return Ok(());
        };
        for (name, tensor) in &mut self.inventory.tensors {
            let is_float =
                matches!(tensor.dtype(), Dtype::Float32 | Dtype::Float16 | Dtype::Bfloat16);
            if is_float && !self.exceptions.is_exact(name) {
                *tensor = tensor.as_dtype(dtype).map_err(failed(name))?;
            }
        }
        Ok(())
    }

    /// Makes every packed module dense.
    pub(super) fn dequantize(&mut self) -> Result<(), ConvertError> {
        for (path, how) in &mut self.inventory.modules {
            let Some(packed) = how.take() else { continue };
            let (name, [weight, scales, biases]) = parts(&mut self.inventory.tensors, path);
            let (Some(weight), Some(scales)) = (weight, scales) else {
                continue;
            };
            let dense =
                packed.dequantize(&weight, &scales, biases.as_ref()).map_err(failed(&name))?;
            self.inventory.tensors.insert(name, dense);
        }
        self.config.forget_packing();
        Ok(())
    }

    /// Packs every module that can be packed and is not.
    pub(super) fn pack(&mut self, packing: Packing) -> Result<(), ConvertError> {
        let modules = &self.inventory.modules;
        let rule = Rule::new(packing, modules.keys().map(String::as_str))
            .ok_or(ConvertError::NoDownProjection)?;
        let is_whole = self.config.begin_packing(packing.general());
        let mut packed = 0;
        for (path, how) in &mut self.inventory.modules {
            let name = format!("{path}.weight");
            let Some(weight) = self.inventory.tensors.get(&name) else {
                continue;
            };
            if how.is_some() || weight.dim(-1) % packing.group_size != 0 {
                continue;
            }
            let Some(own) = rule.of(path, self.exceptions) else {
                continue;
            };
            let entry = match own.entry {
                Entry::General if !is_whole => Entry::Full,
                entry @ (Entry::General | Entry::Full | Entry::Brief) => entry,
            };
            self.config.note_module(path, own.how, entry);
            pack_module(&mut self.inventory.tensors, path, own.how)?;
            *how = Some(own.how);
            packed += 1;
        }
        if packed == 0 {
            return Err(ConvertError::NothingToPack { group_size: packing.group_size });
        }
        Ok(())
    }
}

fn pack_module(
    tensors: &mut BTreeMap<String, Array>,
    path: &str,
    how: Quantization,
) -> Result<(), ConvertError> {
    let (name, [Some(dense), ..]) = parts(tensors, path) else {
        return Ok(());
    };
    let (weight, scales, biases) = ffi::quantize(&dense, how.packing()).map_err(failed(&name))?;
    tensors.insert(name, weight);
    tensors.insert(format!("{path}.scales"), scales);
    if let Some(biases) = biases {
        tensors.insert(format!("{path}.biases"), biases);
    }
    Ok(())
}

/// Removes weight, scales and biases of the module at `path`, and tells the name of its weight.
fn parts(tensors: &mut BTreeMap<String, Array>, path: &str) -> (String, [Option<Array>; 3]) {
    let name = format!("{path}.weight");
    let parts =
        ["weight", "scales", "biases"].map(|part| tensors.remove(&format!("{path}.{part}")));
    (name, parts)
}

pub(super) fn failed<E: Into<MlxError>>(name: &str) -> impl FnOnce(E) -> ConvertError {
    let name = name.to_owned();
    move |error| ConvertError::Tensor { name, source: error.into() }
}
