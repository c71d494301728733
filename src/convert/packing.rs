//! Which modules are packed, and how.

use super::exceptions::Exceptions;
use crate::checkpoint::{Mode, Quantization};

/// How weights are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Elements that share one scale.
    pub group_size: i32,
    /// Bits an element takes.
    pub bits: i32,
    /// The encoding.
    pub mode: Mode,
    /// What tells modules apart, in place of what the family excepts.
    pub recipe: Option<Recipe>,
}

/// Two widths for one model: the values, outputs and last layers that matter most take the larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// 2 bits, and 6 where it matters.
    Mixed2And6,
    /// 3 bits, and 4 where it matters.
    Mixed3And4,
    /// 3 bits, and 6 where it matters.
    Mixed3And6,
    /// 4 bits, and 6 where it matters.
    Mixed4And6,
}

impl Recipe {
    /// Bits of most modules, and of those that matter.
    const fn bits(self) -> (i32, i32) {
        match self {
            Self::Mixed2And6 => (2, 6),
            Self::Mixed3And4 => (3, 4),
            Self::Mixed3And6 => (3, 6),
            Self::Mixed4And6 => (4, 6),
        }
    }
}

impl Packing {
    /// The same for a module without exceptions.
    pub(super) fn general(self) -> Quantization {
        Quantization { group_size: self.group_size, bits: self.bits, mode: self.mode }
    }
}

/// How one module is to be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) how: Quantization,
    /// Whether and how the configuration has to name it.
    pub(super) entry: Entry,
}

/// How a configuration names a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Not at all where the whole model is packed so.
    General,
    /// With bits, group size and encoding.
    Full,
    /// With bits and group size; the encoding is then affine.
    Brief,
}

/// What is decided of every module of a model.
pub(super) struct Rule {
    packing: Packing,
    /// Where in a path the number of a layer stands, and how many layers there are.
    layers: Option<(usize, usize)>,
}

impl Rule {
    /// A rule for a model with these modules; none where a recipe does not suit them.
    pub(super) fn new<'a>(
        packing: Packing,
        modules: impl Iterator<Item = &'a str> + Clone,
    ) -> Option<Self> {
        if packing.recipe.is_none() {
            return Some(Self { packing, layers: None });
        }
        let first = modules.clone().find(|path| path.contains("down_proj"))?;
        let place = first.split('.').position(|part| number(part).is_some())?;
        let last = modules.filter_map(|path| path.split('.').nth(place).and_then(number));
        let count = last.max()?.saturating_add(1);
        Some(Self { packing, layers: Some((place, count)) })
    }

    /// How the module at `path` is packed; none where it stays dense.
    pub(super) fn of(&self, path: &str, exceptions: Exceptions) -> Option<Decision> {
        if exceptions.is_dense(path) {
            return None;
        }
        let general = self.packing.general();
        if let (Some(recipe), Some((place, count))) = (self.packing.recipe, self.layers) {
            let index = path.split('.').nth(place).and_then(number).unwrap_or(0);
            let (low, high) = recipe.bits();
            let bits = if matters(path, index, count) { high } else { low };
            return Some(Decision { how: Quantization { bits, ..general }, entry: Entry::Full });
        }
        let wide = Quantization { group_size: 64, bits: 8, mode: Mode::Affine };
        let (how, entry) =
            if exceptions.is_wide(path) { (wide, Entry::Brief) } else { (general, Entry::General) };
        Some(Decision { how, entry })
    }
}

fn number(part: &str) -> Option<usize> {
    part.parse().ok()
}

/// Whether a recipe gives the module at `path` in layer `index` of `count` the larger width.
fn matters(path: &str, index: usize, count: usize) -> bool {
    let eighth = count / 8;
    let is_outer = index < eighth || index >= 7 * count / 8;
    // Below the first eighth the layer is an outer one anyway.
    let is_third = index.checked_sub(eighth).is_some_and(|inner| inner % 3 == 2);
    let named = |parts: &[&str]| parts.iter().any(|part| path.contains(part));
    path.contains("lm_head")
        || (named(&["v_proj", "v_a_proj", "v_b_proj", "down_proj"]) && (is_outer || is_third))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKING: Packing = Packing { group_size: 64, bits: 4, mode: Mode::Affine, recipe: None };

    fn bits(rule: &Rule, path: &str, model_type: &str) -> Option<i32> {
        rule.of(path, Exceptions::of(model_type)).map(|decision| decision.how.bits)
    }

    #[test]
    fn a_router_is_packed_wider_than_the_rest() {
        let rule = Rule::new(PACKING, [].into_iter()).unwrap();
        assert_eq!(bits(&rule, "model.layers.0.mlp.gate", "qwen3_moe"), Some(8));
        assert_eq!(bits(&rule, "model.layers.0.mlp.gate", "llama"), Some(4));
    }

    #[test]
    fn a_recipe_gives_some_layers_more_bits() {
        // Of 16 layers: the first two, the last two, and of the rest 4, 7, 10 and 13.
        let modules: Vec<String> =
            (0..16).map(|layer| format!("model.layers.{layer}.mlp.down_proj")).collect();
        let packing = Packing { recipe: Some(Recipe::Mixed3And6), ..PACKING };
        let rule = Rule::new(packing, modules.iter().map(String::as_str)).unwrap();
        let wide: Vec<usize> =
            (0..16).filter(|layer| bits(&rule, &modules[*layer], "llama") == Some(6)).collect();
        assert_eq!(wide, [0, 1, 4, 7, 10, 13, 14, 15]);
        assert_eq!(bits(&rule, "model.layers.0.self_attn.q_proj", "llama"), Some(3));
        assert_eq!(bits(&rule, "lm_head", "llama"), Some(6));
        assert_eq!(bits(&rule, "model.embed_tokens", "llama"), Some(3));
        assert!(Rule::new(packing, ["lm_head"].into_iter()).is_none());
    }
}
