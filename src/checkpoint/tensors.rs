//! The tensor tree: a constructor walks it as one walks folders, and takes each tensor once.

use std::{collections::BTreeMap, fmt::Display};

use mlx_rs::{Array, Dtype};

use super::{Checkpoint, Inventory, LoadError, Quantization};
use crate::{ffi::MlxError, plan::ElementType};

/// What a model was made of, still to be evaluated.
#[derive(Clone, Default)]
pub struct Parameters {
    /// Every array that the model holds.
    pub arrays: Vec<Array>,
    /// How many numbers they stand for; packed ones are counted unpacked, scales and biases of packing not at all.
    pub count: u64,
    /// What was taken, where the checkpoint was told to keep count of it.
    pub inventory: Option<Inventory>,
}

impl Parameters {
    /// Bytes of all arrays.
    pub fn bytes(&self) -> u64 {
        self.arrays.iter().map(|array| array.nbytes() as u64).sum()
    }
}

/// A place in the tensor tree, such as `model.layers.3.mlp`.
#[derive(Clone)]
pub struct Scope<'a> {
    checkpoint: &'a Checkpoint<'a>,
    path: String,
}

impl<'a> Scope<'a> {
    pub(super) fn new(checkpoint: &'a Checkpoint<'a>) -> Self {
        Self { checkpoint, path: String::new() }
    }

    /// The scope below this one.
    #[must_use]
    pub fn at(&self, name: impl Display) -> Self {
        Self { checkpoint: self.checkpoint, path: self.full(name) }
    }

    /// Takes the tensor `name`, which has to have this shape.
    ///
    /// # Errors
    ///
    /// When there is none here, or it has another shape.
    pub fn take_shaped(&self, name: &str, shape: &[i32]) -> Result<Array, LoadError> {
        self.take_shaped_if_present(name, shape)?
            .ok_or_else(|| LoadError::Missing { name: self.full(name) })
    }

    /// Takes the tensor `name`, which has to have this shape, and notes that the model holds it as it is.
    ///
    /// # Errors
    ///
    /// When there is none here, or it has another shape.
    pub fn take_recorded(&self, name: &str, shape: &[i32]) -> Result<Array, LoadError> {
        let tensor = self.take_shaped(name, shape)?;
        self.record(&tensor, tensor.size());
        Ok(tensor)
    }

    /// Takes the tensor `name` where there is one; it has to have this shape.
    ///
    /// # Errors
    ///
    /// When it has another shape.
    pub fn take_shaped_if_present(
        &self,
        name: &str,
        shape: &[i32],
    ) -> Result<Option<Array>, LoadError> {
        let name = self.full(name);
        let Some(tensor) = self.checkpoint.tensors.borrow_mut().remove(&name) else {
            return Ok(None);
        };
        if tensor.shape() != shape {
            return Err(LoadError::Shape {
                name,
                expected: shape.to_vec(),
                found: tensor.shape().to_vec(),
            });
        }
        self.checkpoint.note(|inventory| inventory.note_tensor(&name, &tensor));
        Ok(Some(tensor))
    }

    /// How the matrix here is packed, whose rows have `inputs` elements; none where it is dense.
    ///
    /// # Errors
    ///
    /// When its tensors fit no encoding.
    pub fn quantization(&self, inputs: i32) -> Result<Option<Quantization>, LoadError> {
        let tensors = self.checkpoint.tensors.borrow();
        let how = self.checkpoint.quantizations.borrow().of_module(&self.path, inputs, &tensors)?;
        self.checkpoint.note(|inventory| inventory.note_module(&self.path, how));
        Ok(how)
    }

    /// Notes that the model holds `array`, which stands for `count` parameters.
    pub fn record(&self, array: &Array, count: usize) {
        let mut parameters = self.checkpoint.parameters.borrow_mut();
        parameters.arrays.push(array.clone());
        parameters.count += count as u64;
    }

    fn full(&self, name: impl Display) -> String {
        match self.path.as_str() {
            "" => name.to_string(),
            path => format!("{path}.{name}"),
        }
    }
}

/// Casts every floating-point tensor to `element`, scales and biases of packed weights included.
pub(super) fn cast(
    tensors: &mut BTreeMap<String, Array>,
    element: ElementType,
) -> Result<(), LoadError> {
    for tensor in tensors.values_mut() {
        if matches!(tensor.dtype(), Dtype::Float32 | Dtype::Float16 | Dtype::Bfloat16) {
            *tensor = tensor.as_dtype(element.into()).map_err(MlxError::from)?;
        }
    }
    Ok(())
}
