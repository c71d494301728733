//! The weights of a model by what they are for, by the names that tensors have.

use std::{cmp::Reverse, collections::BTreeMap};

use serde::Serialize;

use crate::checkpoint::{Description, Outline, Outlines, Quantization};

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Vectors of tokens or positions.
    Embedding,
    /// What mixes positions.
    Attention,
    /// What transforms each position, the same for all.
    FeedForward,
    /// The same, of which a token chooses some.
    Experts,
    /// Normalizations.
    Norm,
    /// The scores of tokens, where they are not the embedding.
    Head,
    /// Everything else.
    Other,
}

impl Class {
    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::Attention => "attention",
            Self::FeedForward => "feed-forward",
            Self::Experts => "experts",
            Self::Norm => "norms",
            Self::Head => "head",
            Self::Other => "other",
        }
    }
}

/// All weights of one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Weights {
    /// What they are for.
    pub class: Class,
    /// How many numbers they stand for.
    pub parameters: u64,
    /// Bytes in memory, scales and biases of packing included.
    pub bytes: u64,
    /// How they are stored, the commonest way first.
    pub packings: Vec<PackedAs>,
}

/// Weights of one class that are stored alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackedAs {
    /// Such as `4-bit affine, group 64` or `bfloat16`.
    pub how: String,
    /// How many tensors, those of packing not counted.
    pub tensors: u64,
    /// Their layers, such as `0-2, 27-29`; none outside of layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<String>,
}

/// What the tensor `name` is for.
pub(super) fn class(name: &str) -> Class {
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let module = name.rsplit('.').nth(1).unwrap_or(name);
    if module.contains("norm") || module.starts_with("ln_") {
        Class::Norm
    } else if has(&[".experts.", "switch_mlp"]) {
        Class::Experts
    } else if has(&["mlp", "feed_forward", "ffn", "block_sparse_moe", "moe"]) {
        Class::FeedForward
    } else if has(&["attn", "attention", "mixer", "mamba", ".conv"]) {
        Class::Attention
    } else if has(&["lm_head"]) || name.starts_with("output.") {
        Class::Head
    } else if has(&["embed", "wte", "wpe"]) {
        Class::Embedding
    } else {
        Class::Other
    }
}

/// The weights of every class that there is.
pub(super) fn classes(
    outlines: &Outlines,
    packing: impl Fn(&str) -> Option<Quantization>,
) -> Vec<Weights> {
    let mut classes: BTreeMap<Class, Sum> = BTreeMap::new();
    for (name, outline) in outlines {
        let sum = classes.entry(class(name)).or_default();
        sum.bytes += outline.bytes();
        let (path, leaf) = name.rsplit_once('.').unwrap_or(("", name));
        let is_scale =
            matches!(leaf, "scales" | "biases") && outlines.contains_key(&format!("{path}.weight"));
        if is_scale {
            continue;
        }
        let how = (leaf == "weight").then(|| packing(path)).flatten();
        sum.parameters += unpacked(outline, how);
        sum.layers_by_way.entry(words(outline, how)).or_default().push(layer(name));
    }
    let weights = classes.into_iter();
    weights.map(|(class, sum)| sum.weights(class)).collect()
}

/// What a class comes to.
#[derive(Default)]
struct Sum {
    parameters: u64,
    bytes: u64,
    /// The layer of every tensor, by how it is stored.
    layers_by_way: BTreeMap<String, Vec<Option<u32>>>,
}

impl Sum {
    fn weights(self, class: Class) -> Weights {
        let ways = self.layers_by_way.into_iter();
        let mut packings: Vec<_> = ways
            .map(|(how, layers)| PackedAs {
                how,
                tensors: layers.len() as u64,
                layers: ranges(layers.into_iter().flatten()),
            })
            .collect();
        packings.sort_by_key(|way| Reverse(way.tensors));
        Weights { class, parameters: self.parameters, bytes: self.bytes, packings }
    }
}

/// The parameters that a token uses: all, but of experts only as many as it chooses.
pub(super) fn active(
    weights: &[Weights],
    outlines: &Outlines,
    description: &Description,
) -> Option<u64> {
    let all: u64 = weights.iter().map(|class| class.parameters).sum();
    let experts = weights.iter().find(|class| class.class == Class::Experts);
    let Some(experts) = experts else {
        return Some(all);
    };
    let chosen =
        description.count(&["num_experts_per_tok", "num_experts_per_token", "moe_top_k"])?;
    let stacked = outlines.iter().filter(|(name, outline)| {
        class(name) == Class::Experts && name.ends_with(".weight") && outline.shape.len() == 3
    });
    let stacked = stacked.map(|(_, outline)| outline.shape.first().copied().unwrap_or(1));
    let count = stacked
        .max()
        .map(|count| u64::from(count.unsigned_abs()))
        .filter(|count| *count > 0)
        .or_else(|| description.count(&["num_experts", "num_local_experts", "n_routed_experts"]))?;
    Some(all - experts.parameters + experts.parameters / count * chosen.min(count))
}

/// How many numbers a tensor stands for.
fn unpacked(outline: &Outline, how: Option<Quantization>) -> u64 {
    match how {
        Some(how) => outline.count() * 32 / u64::from(how.bits.unsigned_abs()).max(1),
        None => outline.count(),
    }
}

fn words(outline: &Outline, how: Option<Quantization>) -> String {
    match (how, outline.element.float_name()) {
        (Some(how), _) => format!("{}-bit {}, group {}", how.bits, how.mode.name(), how.group_size),
        (None, Some(name)) => name.to_owned(),
        (None, None) => format!("{} bits", outline.element.bits()),
    }
}

/// The layer that a tensor belongs to: the first number in its name.
fn layer(name: &str) -> Option<u32> {
    name.split('.').find_map(|part| part.parse().ok())
}

/// Numbers as ranges: `0-2, 5`.
fn ranges(numbers: impl Iterator<Item = u32>) -> Option<String> {
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable();
    numbers.dedup();
    let runs = numbers.chunk_by(|a, b| a + 1 == *b);
    let words: Vec<String> = runs
        .filter_map(|run| match run {
            [] => None,
            [only] => Some(only.to_string()),
            [first, .., last] => Some(format!("{first}-{last}")),
        })
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Mode, Stored};

    #[test]
    fn names_tell_what_tensors_are_for() {
        for (name, expected) in [
            ("model.embed_tokens.weight", Class::Embedding),
            ("model.layers.0.self_attn.q_proj.weight", Class::Attention),
            ("model.layers.0.self_attn.q_norm.weight", Class::Norm),
            ("model.layers.0.mlp.gate_proj.scales", Class::FeedForward),
            ("model.layers.0.mlp.switch_mlp.up_proj.weight", Class::Experts),
            ("model.layers.0.block_sparse_moe.experts.3.w1.weight", Class::Experts),
            ("model.norm.weight", Class::Norm),
            ("lm_head.weight", Class::Head),
            ("backbone.D", Class::Other),
        ] {
            assert_eq!(class(name), expected, "{name}");
        }
    }

    #[test]
    fn packed_weights_are_counted_unpacked_and_weighed_packed() {
        let outline = |shape: &[i32], element| Outline { shape: shape.to_vec(), element };
        let outlines = Outlines::from([
            ("layers.3.mlp.up.weight".to_owned(), outline(&[2, 8], Stored::Word)),
            ("layers.3.mlp.up.scales".to_owned(), outline(&[2, 1], Stored::Float16)),
            ("layers.3.mlp.up.biases".to_owned(), outline(&[2, 1], Stored::Float16)),
            ("layers.4.mlp.up.weight".to_owned(), outline(&[2, 64], Stored::Float16)),
            ("layers.5.mlp.up.weight".to_owned(), outline(&[2, 64], Stored::Float16)),
        ]);
        let how = Quantization { group_size: 64, bits: 4, mode: Mode::Affine };
        let classes = classes(&outlines, |path| (path == "layers.3.mlp.up").then_some(how));
        let [feed_forward] = &classes[..] else { panic!("{classes:?}") };
        assert_eq!((feed_forward.parameters, feed_forward.bytes), (384, 64 + 8 + 512));
        let ways: Vec<_> = feed_forward
            .packings
            .iter()
            .map(|way| (way.how.as_str(), way.tensors, way.layers.as_deref()))
            .collect();
        assert_eq!(ways, [("float16", 2, Some("4-5")), ("4-bit affine, group 64", 1, Some("3"))]);
    }

    #[test]
    fn neighbours_are_told_as_ranges() {
        assert_eq!(ranges([7, 0, 2, 1, 7].into_iter()).unwrap(), "0-2, 7");
        assert_eq!(ranges([].into_iter()), None);
    }
}
