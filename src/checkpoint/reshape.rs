//! How a family brings tensors of foreign exporters into its own names and shapes, before any is taken.
//!
//! A *module* here is the path that its tensors share: `weight`, `bias`, and of packed ones `scales` and `biases`.
//! Whatever is done to a module is done to all of them, so that packed checkpoints follow. A bare tensor is a module
//! too: its name is the path. Nothing is evaluated: the new tensors are views, or graphs until the model is.

use std::collections::BTreeMap;

use mlx_rs::{Array, ops::stack};

use super::{Checkpoint, LoadError, outline};
use crate::ffi::MlxError;

type Tensors = BTreeMap<String, Array>;

/// What may follow the path of a module.
pub(super) const PARTS: [&str; 5] = ["", ".weight", ".scales", ".biases", ".bias"];

impl Checkpoint<'_> {
    /// Every tensor's name, sorted.
    pub fn names(&self) -> Vec<String> {
        let (tensors, outlines) = (self.tensors.borrow(), self.outlines.borrow());
        tensors.keys().chain(outlines.keys()).cloned().collect()
    }

    /// The shape of the tensor `name`, where there is one.
    pub fn shape(&self, name: &str) -> Option<Vec<i32>> {
        let (tensors, outlines) = (self.tensors.borrow(), self.outlines.borrow());
        let outline = outlines.get(name).map(|outline| outline.shape.clone());
        tensors.get(name).map(|tensor| tensor.shape().to_vec()).or(outline)
    }

    /// Gives every tensor the name that `new_name` answers; one for which it answers nothing keeps its own.
    ///
    /// What the configuration says of how a module is packed goes with its weight.
    pub fn rename(&self, new_name: impl Fn(&str) -> Option<String>) {
        self.quantizations.borrow_mut().rename(&new_name);
        for (old, new) in self.names().iter().filter_map(|old| Some((old, new_name(old)?))) {
            self.note(|inventory| inventory.note_renaming(old, &new));
        }
        self.tensors.replace(renamed(self.tensors.take(), &new_name));
        self.outlines.replace(renamed(self.outlines.take(), &new_name));
    }

    /// Replaces each part of a name by the one beside it, wherever it occurs and in this order.
    pub fn rename_parts(&self, parts: &[(&str, &str)]) {
        self.rename(|name| {
            let replace = |name: String, (part, by): &(&str, &str)| name.replace(part, by);
            Some(parts.iter().fold(name.to_owned(), replace))
        });
    }

    /// Removes the tensor `name` and hands it over, where there is one.
    pub fn take(&self, name: &str) -> Option<Array> {
        self.tensors.borrow_mut().remove(name)
    }

    /// Adds a tensor, in place of one of the same name.
    pub fn insert(&self, name: impl Into<String>, tensor: Array) {
        self.tensors.borrow_mut().insert(name.into(), tensor);
    }

    /// Replaces the tensor `name`, where there is one, by what `change` makes of it.
    ///
    /// # Errors
    ///
    /// When `change` fails.
    pub fn transform(
        &self,
        name: &str,
        change: impl FnOnce(Array) -> Result<Array, MlxError>,
    ) -> Result<(), LoadError> {
        if let Some(tensor) = self.take(name) {
            self.insert(name, change(tensor)?);
        }
        Ok(())
    }

    /// Stacks the modules `from`, all of one shape, along a new first axis into the module `into`.
    ///
    /// Nothing happens where the checkpoint lacks the first of them.
    ///
    /// # Errors
    ///
    /// When it holds the first but lacks another, or when their shapes differ.
    pub fn stack(
        &self,
        from: impl IntoIterator<Item = String>,
        into: &str,
    ) -> Result<(), LoadError> {
        let from: Vec<String> = from.into_iter().collect();
        outline::stack(&mut self.outlines.borrow_mut(), &from, into);
        stacked(&mut self.tensors.borrow_mut(), &from, into)
    }

    /// Splits the module `from` along `axis` into modules of the given paths and sizes.
    ///
    /// `axis` counts from the front, so that it is the same for a weight and its bias: 0 for the outputs of a
    /// projection, 1 for those of stacked experts. Nothing happens where the checkpoint lacks the module.
    ///
    /// # Errors
    ///
    /// When the sizes do not add up to what the module has.
    pub fn split(&self, from: &str, axis: i32, into: &[(String, i32)]) -> Result<(), LoadError> {
        outline::split(&mut self.outlines.borrow_mut(), from, axis, into);
        split(&mut self.tensors.borrow_mut(), from, axis, into)
    }
}

fn renamed<T>(
    held: BTreeMap<String, T>,
    new_name: impl Fn(&str) -> Option<String>,
) -> BTreeMap<String, T> {
    let held = held.into_iter();
    held.map(|(name, tensor)| (new_name(&name).unwrap_or(name), tensor)).collect()
}

fn stacked(tensors: &mut Tensors, from: &[String], into: &str) -> Result<(), LoadError> {
    let Some(first) = from.first() else {
        return Ok(());
    };
    for part in PARTS {
        if !tensors.contains_key(&format!("{first}{part}")) {
            continue;
        }
        let mut take = |path: &String| {
            let name = format!("{path}{part}");
            tensors.remove(&name).ok_or(LoadError::Missing { name })
        };
        let taken = from.iter().map(&mut take).collect::<Result<Vec<_>, _>>()?;
        let whole = stack(&taken, 0).map_err(MlxError::from)?;
        tensors.insert(format!("{into}{part}"), whole);
    }
    Ok(())
}

fn split(
    tensors: &mut Tensors,
    from: &str,
    axis: i32,
    into: &[(String, i32)],
) -> Result<(), LoadError> {
    let total: i32 = into.iter().map(|(_, size)| size).sum();
    let ends: Vec<i32> = into
        .iter()
        .scan(0, |end, (_, size)| {
            *end += size;
            Some(*end)
        })
        .take(into.len().saturating_sub(1))
        .collect();
    for part in PARTS {
        let name = format!("{from}{part}");
        let Some(whole) = tensors.remove(&name) else {
            continue;
        };
        let sizes = whole.shape().iter().zip(0..);
        let expected: Vec<i32> =
            sizes.map(|(size, at)| if at == axis { total } else { *size }).collect();
        if axis < 0 || expected != whole.shape() {
            return Err(LoadError::Shape { name, expected, found: whole.shape().to_vec() });
        }
        let pieces = whole.split_at_indices(&ends, axis).map_err(MlxError::from)?;
        for ((path, _), piece) in into.iter().zip(pieces) {
            tensors.insert(format!("{path}{part}"), piece);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(named: &[(&str, &[i32])]) -> Tensors {
        named
            .iter()
            .map(|(name, shape)| {
                let size = shape.iter().product::<i32>();
                let values: Vec<i32> = (0..size).collect();
                ((*name).to_owned(), Array::from_slice(&values, shape))
            })
            .collect()
    }

    fn names(tensors: &Tensors) -> Vec<&str> {
        tensors.keys().map(String::as_str).collect()
    }

    #[test]
    fn scales_follow_the_experts_they_belong_to() {
        let mut tensors = tensors(&[
            ("e.0.up.scales", &[2, 1]),
            ("e.0.up.weight", &[2, 3]),
            ("e.1.up.scales", &[2, 1]),
            ("e.1.up.weight", &[2, 3]),
        ]);
        let from = ["e.0.up".to_owned(), "e.1.up".to_owned()];
        stacked(&mut tensors, &from, "all.up").unwrap();
        assert_eq!(names(&tensors), ["all.up.scales", "all.up.weight"]);
        assert_eq!(tensors["all.up.weight"].shape(), [2, 2, 3]);
        assert_eq!(tensors["all.up.scales"].shape(), [2, 2, 1]);
    }

    #[test]
    fn a_missing_expert_is_named() {
        let mut tensors = tensors(&[("e.0.up.weight", &[2, 3])]);
        let from = ["e.0.up".to_owned(), "e.1.up".to_owned()];
        let error = stacked(&mut tensors, &from, "all.up").unwrap_err();
        assert_eq!(error.to_string(), "tensor `e.1.up.weight` is missing");
    }

    #[test]
    fn a_fused_projection_falls_into_its_parts() {
        let mut tensors = tensors(&[("qkv.bias", &[4]), ("qkv.weight", &[4, 2])]);
        let into = [("q".to_owned(), 1), ("k".to_owned(), 3)];
        split(&mut tensors, "qkv", 0, &into).unwrap();
        assert_eq!(names(&tensors), ["k.bias", "k.weight", "q.bias", "q.weight"]);
        let rows = tensors["k.weight"].contiguous().unwrap();
        assert_eq!(rows.try_as_slice::<i32>().unwrap(), [2, 3, 4, 5, 6, 7]);
        assert_eq!(tensors["q.bias"].shape(), [1]);
    }

    #[test]
    fn parts_have_to_add_up() {
        let mut tensors = tensors(&[("qkv.weight", &[4, 2])]);
        let into = [("q".to_owned(), 1), ("k".to_owned(), 2)];
        let error = split(&mut tensors, "qkv", 0, &into).unwrap_err();
        assert_eq!(error.to_string(), "tensor `qkv.weight` is [4, 2] and should be [3, 2]");
    }
}
