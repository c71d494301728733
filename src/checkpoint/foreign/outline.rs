//! What packing of other programs becomes, told from headers alone.

use super::{
    super::{Mode, Outline, Outlines, Stored},
    Method,
};

/// Elements of four bits in a word.
const PER_WORD: i32 = 8;

impl Method {
    /// What [`Self::adopt`] makes of the tensors that `outlines` tell of.
    pub(in super::super) fn adopt_outlines(self, outlines: &mut Outlines) {
        match self {
            Self::Same(_) => {}
            Self::Awq { .. } => {
                let mut float = None;
                each(outlines, ".qweight", |outlines, path, words| {
                    float = awq(outlines, path, &words).or(float);
                });
                let floats = |outline: &&mut Outline| outline.element.float_name().is_some();
                for outline in outlines.values_mut().filter(floats) {
                    outline.element = float.unwrap_or(outline.element);
                }
            }
            Self::Compressed(how) => each(outlines, ".weight_packed", |outlines, path, words| {
                compressed(outlines, path, words, how.mode);
            }),
            Self::Fp8(_) => each(outlines, "_scale_inv", |outlines, name, _| {
                if let Some(weight) = outlines.get_mut(name) {
                    weight.element = Stored::Bfloat16;
                }
            }),
        }
    }
}

/// Takes every tensor whose name ends so away, and hands it over with the path before.
fn each(outlines: &mut Outlines, end: &str, mut adopt: impl FnMut(&mut Outlines, &str, Outline)) {
    let paths: Vec<String> =
        outlines.keys().filter_map(|name| name.strip_suffix(end).map(str::to_owned)).collect();
    for path in paths {
        if let Some(outline) = outlines.remove(&format!("{path}{end}")) {
            adopt(outlines, &path, outline);
        }
    }
}

/// Answers the type of the scales.
fn awq(outlines: &mut Outlines, path: &str, words: &Outline) -> Option<Stored> {
    let mut scales = outlines.remove(&format!("{path}.scales"))?;
    let &[inputs, width] = &words.shape[..] else {
        return None;
    };
    outlines.remove(&format!("{path}.qzeros"));
    scales.shape.reverse();
    let weight =
        Outline { shape: vec![width * PER_WORD, inputs / PER_WORD], element: Stored::Word };
    outlines.insert(format!("{path}.weight"), weight);
    let element = scales.element;
    outlines.insert(format!("{path}.biases"), scales.clone());
    outlines.insert(format!("{path}.scales"), scales);
    Some(element)
}

/// Blocks of bytes, four by four to a word.
pub(super) fn in_words(blocks: &mut Outline) {
    if let (Stored::Byte, &[experts, rows, groups, bytes]) = (blocks.element, &blocks.shape[..]) {
        let shape = vec![experts, rows, groups * bytes / 4];
        *blocks = Outline { shape, element: Stored::Word };
    }
}

fn compressed(outlines: &mut Outlines, path: &str, mut words: Outline, mode: Mode) {
    outlines.remove(&format!("{path}.weight_shape"));
    if let Some(row) = words.shape.last_mut() {
        // Bytes are seen as words, four by four.
        *row = *row * i32::try_from(words.element.bits()).unwrap_or(32) / 32;
    }
    words.element = Stored::Word;
    outlines.insert(format!("{path}.weight"), words);
    if let Some(scales) = outlines.remove(&format!("{path}.weight_scale")) {
        if mode.has_biases() {
            outlines.insert(format!("{path}.biases"), scales.clone());
        }
        outlines.insert(format!("{path}.scales"), scales);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Quantization;

    fn outline(shape: &[i32], element: Stored) -> Outline {
        Outline { shape: shape.to_vec(), element }
    }

    #[test]
    fn what_is_repacked_is_told_as_it_will_be() {
        let mut outlines = Outlines::from([
            ("m.qweight".to_owned(), outline(&[64, 4], Stored::Other(32))),
            ("m.qzeros".to_owned(), outline(&[2, 4], Stored::Other(32))),
            ("m.scales".to_owned(), outline(&[2, 32], Stored::Float16)),
            ("norm.weight".to_owned(), outline(&[32], Stored::Float32)),
        ]);
        Method::Awq { group_size: 32 }.adopt_outlines(&mut outlines);
        assert!(outlines.keys().eq(["m.biases", "m.scales", "m.weight", "norm.weight"]));
        assert_eq!(outlines["norm.weight"].element, Stored::Float16);
        assert_eq!(outlines["m.weight"], outline(&[32, 8], Stored::Word));
        assert_eq!(outlines["m.scales"], outline(&[32, 2], Stored::Float16));
    }

    #[test]
    fn bytes_become_words_and_names_those_of_mlx() {
        let mut outlines = Outlines::from([
            ("m.weight_packed".to_owned(), outline(&[3, 32], Stored::Byte)),
            ("m.weight_scale".to_owned(), outline(&[3, 2], Stored::Byte)),
        ]);
        let how = Quantization { group_size: 32, bits: 4, mode: Mode::Mxfp4 };
        Method::Compressed(how).adopt_outlines(&mut outlines);
        assert!(outlines.keys().eq(["m.scales", "m.weight"]));
        assert_eq!(outlines["m.weight"], outline(&[3, 8], Stored::Word));
    }
}
