//! What a model took from a checkpoint: the tensors and modules that belong to it, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use mlx_rs::Array;

use super::{Checkpoint, Quantization};

/// What a model took from a checkpoint, under the names that the checkpoint's files use.
///
/// A tensor that the family only renamed has its old name back; one that it made out of others has the name that it
/// was given.
#[derive(Clone, Default)]
pub struct Inventory {
    /// Every tensor that was taken.
    pub tensors: BTreeMap<String, Array>,
    /// The modules that can be packed, and how each is packed.
    pub modules: BTreeMap<String, Option<Quantization>>,
    /// Old names of tensors that were renamed.
    renamed: BTreeMap<String, String>,
    /// Tensors that the family does without.
    dropped: BTreeMap<String, Array>,
}

impl Inventory {
    pub(super) fn note_renaming(&mut self, old: &str, new: &str) {
        let oldest = self.renamed.remove(old).unwrap_or_else(|| old.to_owned());
        self.renamed.insert(new.to_owned(), oldest);
    }

    pub(super) fn note_tensor(&mut self, name: &str, tensor: &Array) {
        let name = self.old_name(name).to_owned();
        self.tensors.insert(name, tensor.clone());
    }

    pub(super) fn note_module(&mut self, path: &str, how: Option<Quantization>) {
        let weight = format!("{path}.weight");
        let old = self.old_name(&weight);
        let path = old.strip_suffix(".weight").unwrap_or(path).to_owned();
        self.modules.insert(path, how);
    }

    pub(super) fn note_dropped(&mut self, name: &str, tensor: &Array) {
        self.dropped.insert(self.old_name(name).to_owned(), tensor.clone());
    }

    /// Gives every tensor and module the name that `new_name` answers.
    pub fn rename(&mut self, new_name: impl Fn(&str) -> String) {
        let tensors = std::mem::take(&mut self.tensors).into_iter();
        self.tensors = tensors.map(|(name, tensor)| (new_name(&name), tensor)).collect();
        let moved = |path: &str| {
            let weight = new_name(&format!("{path}.weight"));
            weight.strip_suffix(".weight").unwrap_or(&weight).to_owned()
        };
        let modules = std::mem::take(&mut self.modules).into_iter();
        self.modules = modules.map(|(path, how)| (moved(&path), how)).collect();
    }

    /// The names of the tensors that the family does without.
    pub fn dropped(self) -> BTreeSet<String> {
        self.dropped.into_keys().collect()
    }

    /// Takes back dropped tensors that are `wanted`, packed in `general` where they are, and tells how many numbers
    /// they stand for.
    pub fn keep_dropped(
        &mut self,
        general: Option<Quantization>,
        wanted: impl Fn(&str) -> bool,
    ) -> u64 {
        let mut count = 0;
        let dropped = std::mem::take(&mut self.dropped);
        let is_packed = |path: &str| dropped.contains_key(&format!("{path}.scales"));
        for (name, tensor) in dropped.iter().filter(|(name, _)| wanted(name)) {
            self.tensors.insert(name.clone(), tensor.clone());
            let path = name.strip_suffix(".weight");
            let how = path.filter(|path| is_packed(path)).and(general);
            if let Some(path) = path.filter(|_| tensor.ndim() > 1) {
                self.modules.insert(path.to_owned(), how);
            }
            let is_of_packing = [".scales", ".biases"].iter().any(|end| name.ends_with(end));
            if !is_of_packing {
                count += numbers(tensor, how);
            }
        }
        count
    }

    fn old_name<'a>(&'a self, name: &'a str) -> &'a str {
        self.renamed.get(name).map_or(name, String::as_str)
    }
}

/// How many numbers a weight stands for.
pub fn numbers(weight: &Array, how: Option<Quantization>) -> u64 {
    let elements = weight.size() as u64;
    how.map_or(elements, |how| elements * 32 / u64::from(how.bits.unsigned_abs().max(1)))
}

impl Checkpoint<'_> {
    /// The same checkpoint, which keeps count of what is taken: see [`super::Parameters::inventory`].
    #[must_use]
    pub fn recording(self) -> Self {
        self.parameters.borrow_mut().inventory = Some(Inventory::default());
        self
    }

    /// Notes in the inventory, where one is kept.
    pub(super) fn note(&self, note: impl FnOnce(&mut Inventory)) {
        if let Some(inventory) = &mut self.parameters.borrow_mut().inventory {
            note(inventory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_renamed_has_its_first_name_back() {
        let mut inventory = Inventory::default();
        inventory.note_renaming("a.w1.weight", "a.gate.weight");
        inventory.note_renaming("a.gate.weight", "b.gate.weight");
        let tensor = Array::from_slice(&[1i32], &[1]);
        inventory.note_tensor("b.gate.weight", &tensor);
        inventory.note_tensor("b.up.weight", &tensor);
        inventory.note_module("b.gate", None);
        assert!(inventory.tensors.keys().eq(["a.w1.weight", "b.up.weight"]));
        assert!(inventory.modules.keys().eq(["a.w1"]));
    }
}
