//! What the headers of a checkpoint say of its tensors: shapes and types, as they would be in memory.

use std::{cell::Ref, collections::BTreeMap};

use mlx_rs::{Dtype, ops::zeros_dtype};

use super::{
    Checkpoint, Description, LoadError, Mode, Quantization, quantization::Quantizations,
    reshape::PARTS, safetensors,
};
use crate::ffi::MlxError;

/// A tensor of which only the header was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Elements along each axis; packed words count as elements.
    pub shape: Vec<i32>,
    /// What an element is.
    pub element: Stored,
}

/// What an element of a stored tensor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stored {
    /// A float of 32 bits.
    Float32,
    /// A float of 16 bits, IEEE.
    Float16,
    /// A float of 16 bits, cut from 32.
    Bfloat16,
    /// A word of 32 bits, into which elements may be packed.
    Word,
    /// A byte, which may be the scale of a packed group.
    Byte,
    /// Anything else, of so many bits.
    Other(u32),
}

impl Stored {
    /// Bits it takes.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Float32 | Self::Word => 32,
            Self::Float16 | Self::Bfloat16 => 16,
            Self::Byte => 8,
            Self::Other(bits) => bits,
        }
    }

    const fn dtype(self) -> Dtype {
        match self {
            Self::Float32 => Dtype::Float32,
            Self::Float16 => Dtype::Float16,
            Self::Bfloat16 => Dtype::Bfloat16,
            Self::Word => Dtype::Uint32,
            Self::Byte => Dtype::Uint8,
            Self::Other(bits) => match bits {
                64 => Dtype::Int64,
                32 => Dtype::Int32,
                16 => Dtype::Int16,
                _ => Dtype::Int8,
            },
        }
    }

    /// Its name, where it is a float that a model computes in.
    pub const fn float_name(self) -> Option<&'static str> {
        match self {
            Self::Float32 => Some("float32"),
            Self::Float16 => Some("float16"),
            Self::Bfloat16 => Some("bfloat16"),
            Self::Word | Self::Byte | Self::Other(_) => None,
        }
    }
}

impl Outline {
    /// How many elements it has.
    pub fn count(&self) -> u64 {
        let sides = self.shape.iter().map(|&side| side.unsigned_abs());
        sides.map(u64::from).product()
    }

    /// Bytes it takes in memory.
    pub fn bytes(&self) -> u64 {
        (self.count() * u64::from(self.element.bits())).div_ceil(8)
    }

    /// Elements of a row.
    pub fn row(&self) -> i32 {
        self.shape.last().copied().unwrap_or(1)
    }
}

/// Outlines by the name of their tensors.
pub type Outlines = BTreeMap<String, Outline>;

impl Description {
    /// What the headers say of every tensor; no weight is read.
    ///
    /// # Errors
    ///
    /// When a shard is unreadable or cut.
    pub fn outlines(&self) -> Result<Outlines, LoadError> {
        match self.gguf() {
            Some(gguf) => Ok(gguf.outlines()),
            None => safetensors::outlines(&self.location().path),
        }
    }
}

impl<'a> Checkpoint<'a> {
    /// A checkpoint that knows its tensors' names and shapes, but has none to hand out.
    ///
    /// A family can say what it would make of it. MLX is not touched.
    ///
    /// # Errors
    ///
    /// When a shard is unreadable or cut.
    pub fn outlined(description: &'a Description) -> Result<Self, LoadError> {
        let mut outlines = description.outlines()?;
        // A method that is not read leaves them as they are; what is in the way is said when a model is loaded.
        if let Ok(Some(method)) = description.foreign_method() {
            method.adopt_outlines(&mut outlines);
        }
        Ok(Self {
            outlines: outlines.into(),
            // How a foreign method packs does not show in outlines.
            quantizations: Quantizations::of(description.config()).unwrap_or_default().into(),
            ..Self::empty(description)
        })
    }

    /// A checkpoint of tensors that have their shape and type, and are nothing but zeros if they are ever evaluated.
    ///
    /// A model can be made of it, and asked for shapes.
    ///
    /// # Errors
    ///
    /// When a shard is unreadable or cut.
    pub fn sketched(description: &'a Description) -> Result<Self, LoadError> {
        let sketch = Self::outlined(description)?;
        let outlines = sketch.outlines.take();
        let tensors = outlines.into_iter().map(|(name, outline)| {
            let zeros = zeros_dtype(&outline.shape, outline.element.dtype());
            Ok((name, zeros.map_err(MlxError::from)?))
        });
        let tensors = tensors.collect::<Result<_, LoadError>>()?;
        sketch.tensors.replace(tensors);
        Ok(sketch)
    }

    /// How the matrix at `path` is packed, as far as headers tell; none where it is dense.
    pub fn packing(&self, path: &str) -> Option<Quantization> {
        self.quantizations.borrow().of_outline(path, &self.outlines.borrow())
    }

    /// The outlines that are left, under the names that the family gave them.
    pub fn outlines(&self) -> Ref<'_, Outlines> {
        self.outlines.borrow()
    }
}

/// What stacking modules does to their outlines.
pub(super) fn stack(outlines: &mut Outlines, from: &[String], into: &str) {
    for part in PARTS {
        let taken = from.iter().filter_map(|path| outlines.remove(&format!("{path}{part}")));
        let taken: Vec<_> = taken.collect();
        if let Some(first) = taken.first() {
            let count = i32::try_from(taken.len()).unwrap_or(i32::MAX);
            let mut whole = first.clone();
            whole.shape.insert(0, count);
            outlines.insert(format!("{into}{part}"), whole);
        }
    }
}

/// What splitting a module does to its outlines.
pub(super) fn split(outlines: &mut Outlines, from: &str, axis: i32, into: &[(String, i32)]) {
    for part in PARTS {
        let Some(whole) = outlines.remove(&format!("{from}{part}")) else {
            continue;
        };
        for (path, size) in into {
            let mut piece = whole.clone();
            let side = usize::try_from(axis).ok();
            if let Some(side) = side.and_then(|axis| piece.shape.get_mut(axis)) {
                *side = *size;
            }
            outlines.insert(format!("{path}{part}"), piece);
        }
    }
}

/// What a configuration says of one module.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entry {
    /// Nothing.
    None,
    /// That it is dense.
    Dense,
    /// How it is packed.
    Packed(Quantization),
}

/// How the matrix at `path` is packed, by its own entry of the configuration or by what its tensors allow; none
/// where it is dense.
pub(super) fn packing(
    general: Option<Quantization>,
    own: Entry,
    outlines: &Outlines,
    path: &str,
) -> Option<Quantization> {
    let weight = outlines.get(&format!("{path}.weight"))?;
    let scales = outlines.get(&format!("{path}.scales"))?;
    match own {
        Entry::Packed(own) => return Some(own),
        Entry::Dense => return None,
        Entry::None => {}
    }
    let (words, groups) = (weight.row(), scales.row());
    if weight.element != Stored::Word || groups <= 0 || words * 32 % groups != 0 {
        return None;
    }
    // Bits of a group: of the encodings without biases it tells the two numbers apart, of affine it does not.
    let group_bits = words * 32 / groups;
    let (group_size, bits, mode) = match (scales.element, group_bits) {
        (Stored::Byte, 64) => (16, 4, Mode::Nvfp4),
        (Stored::Byte, 128) => (32, 4, Mode::Mxfp4),
        (Stored::Byte, 256) => (32, 8, Mode::Mxfp8),
        (Stored::Byte, _) => return None,
        _ => match general {
            Some(how) if how.group_size > 0 && group_bits % how.group_size == 0 => {
                (how.group_size, group_bits / how.group_size, Mode::Affine)
            }
            _ => return None,
        },
    };
    Some(Quantization { group_size, bits, mode })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(words: i32, groups: i32, scales: Stored) -> Outlines {
        let outline = |row, element| Outline { shape: vec![3, row], element };
        [
            ("m.weight".to_owned(), outline(words, Stored::Word)),
            ("m.scales".to_owned(), outline(groups, scales)),
        ]
        .into()
    }

    #[test]
    fn packing_is_read_off_the_shapes() {
        let general = Quantization { group_size: 64, bits: 4, mode: Mode::Affine };
        let found = |outlines: &Outlines| packing(Some(general), Entry::None, outlines, "m");
        // 256 elements a row: 32 words of 4 bits each eight, 4 groups of 64.
        assert_eq!(found(&matrix(32, 4, Stored::Float16)), Some(general));
        // The same row in 6 bits.
        let six = found(&matrix(48, 4, Stored::Float16)).unwrap();
        assert_eq!((six.group_size, six.bits), (64, 6));
        let floats = found(&matrix(32, 8, Stored::Byte)).unwrap();
        assert_eq!((floats.group_size, floats.mode), (32, Mode::Mxfp4));
        assert_eq!(
            packing(Some(general), Entry::Dense, &matrix(32, 4, Stored::Float16), "m"),
            None
        );
        assert_eq!(packing(Some(general), Entry::None, &matrix(32, 4, Stored::Float16), "n"), None);
    }

    #[test]
    fn bytes_follow_shape_and_type() {
        let outline = Outline { shape: vec![3, 5], element: Stored::Bfloat16 };
        assert_eq!((outline.count(), outline.bytes()), (15, 30));
        let odd = Outline { shape: vec![3], element: Stored::Other(4) };
        assert_eq!(odd.bytes(), 2);
    }
}
