//! A model's family and variant, guessed from its name by mlx-knife's rules.
//!
//! Reports are grouped by these, so the rules are kept as they are, order and oddities included:
//! `llama` wins over everything (a `DeepSeek` distilled into Llama is a Llama), `dolphin` contains
//! `phi`, and a name that fits nothing is `unknown` with the whole name as its variant. What a
//! model really is stands in `metadata.mlxk_harness.model.model_type`.

/// A family with the variant within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Such as `phi-3`.
    pub name: &'static str,
    /// Such as `mini-4k-instruct`.
    pub variant: String,
}

/// Endings that say how a model is packed, not what it is.
const PACKINGS: [&str; 3] = ["-4bit", "-8bit", "-fp16"];
/// For the families whose rule knows nothing of half precision.
const PACKINGS_BUT_HALF: [&str; 2] = ["-4bit", "-8bit"];

impl Family {
    /// The family of a hub id, or of a folder's or file's base name.
    pub fn of(id: &str) -> Self {
        let name = id.rsplit('/').next().unwrap_or(id).to_lowercase();
        let after = |marker: &str| match name.split_once(marker) {
            Some((_, rest)) => rest.to_owned(),
            None => name.clone(),
        };
        let without_own = |family: &str| name.replace(&format!("{family}-"), "");
        if name.contains("llama") {
            return Self::new("llama", after("llama-"), &PACKINGS);
        }
        if name.contains("qwen") {
            return Self::new("qwen", after("qwen"), &PACKINGS);
        }
        if name.contains("phi") {
            return Self::phi(&name);
        }
        if name.contains("deepseek") {
            return Self::new("deepseek", without_own("deepseek"), &PACKINGS_BUT_HALF);
        }
        for family in ["mistral", "mixtral"] {
            if name.contains(family) {
                return Self::new(family, without_own(family), &PACKINGS_BUT_HALF);
            }
        }
        if name.contains("whisper") {
            return Self::new("whisper", without_own("whisper"), &PACKINGS);
        }
        if name.contains("pixtral") {
            return Self::new("pixtral", without_own("pixtral"), &PACKINGS_BUT_HALF);
        }
        Self::new("unknown", name, &PACKINGS_BUT_HALF)
    }

    fn phi(name: &str) -> Self {
        for family in ["phi-3.5", "phi-3", "phi-2"] {
            if name.contains(family) {
                let variant = match name.split_once(&format!("{family}-")) {
                    Some((_, rest)) => rest.to_owned(),
                    None => "base".to_owned(),
                };
                return Self::new(family, variant, &PACKINGS_BUT_HALF);
            }
        }
        Self::new("phi", name.to_owned(), &PACKINGS_BUT_HALF)
    }

    fn new(name: &'static str, variant: String, packings: &[&str]) -> Self {
        let variant =
            packings.iter().fold(variant, |variant, packing| variant.replace(packing, ""));
        Self { name, variant }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn case(id: &str, name: &str, variant: &str) {
        let family = Family::of(id);
        assert_eq!((family.name, family.variant.as_str()), (name, variant), "{id}");
    }

    #[test]
    fn names_in_published_reports_keep_their_family() {
        case("mlx-community/Llama-3.2-3B-Instruct-4bit", "llama", "3.2-3b-instruct");
        case("mlx-community/Qwen2.5-0.5B-Instruct-4bit", "qwen", "2.5-0.5b-instruct");
        case("mlx-community/Phi-3-mini-4k-instruct-4bit", "phi-3", "mini-4k-instruct");
        case("mlx-community/Phi-3.5-mini-instruct-4bit", "phi-3.5", "mini-instruct");
        case("mlx-community/Mixtral-8x7B-Instruct-v0.1-4bit", "mixtral", "8x7b-instruct-v0.1");
        case("mlx-community/whisper-large-v3-fp16", "whisper", "large-v3");
        case("mlx-community/pixtral-12b-8bit", "pixtral", "12b");
        case("mlx-community/gemma-3-270m-it-4bit", "unknown", "gemma-3-270m-it");
    }

    #[test]
    fn oddities_are_kept() {
        case("mlx-community/DeepSeek-R1-Distill-Llama-8B-4bit", "llama", "8b");
        case("mlx-community/DeepSeek-R1-Distill-Qwen-14B", "qwen", "-14b");
        case("DeepHermes-3-Mistral-24B-Preview-8bit", "mistral", "deephermes-3-24b-preview");
        case("dolphin-2.9", "phi", "dolphin-2.9");
        case("phi-2", "phi-2", "base");
        case("TinyLlama_v1.1", "llama", "tinyllama_v1.1");
        case("mistral-fp16", "mistral", "fp16");
        case("Codellama-7b-fp16", "llama", "7b");
    }
}
