//! How texts are split before byte pairs are merged, by the name that a GGUF file gives the way.
//!
//! The expressions are those of the tokenizers that the names stand for; one after the other splits
//! what the one before it left.

use serde_json::{Value, json};

/// Runs of letters, digits and signs with a space before them: the way of GPT-2.
const WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// Digits one by one, line ends apart.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The same with digits by threes.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Words by their case.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A way of splitting, and what goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PreTokenizer {
    expressions: &'static [&'static str],
    /// Whether texts are first put into Unicode's composed form.
    composes: bool,
    /// Whether a part that is a token as it stands is not merged from smaller ones.
    pub(super) takes_whole_parts: bool,
    /// Whether texts begin with the token for it, where the file does not say.
    pub(super) begins_texts: bool,
}

const PLAIN: PreTokenizer = PreTokenizer {
    expressions: &[WORDS],
    composes: false,
    takes_whole_parts: false,
    begins_texts: false,
};

impl PreTokenizer {
    /// The way that `tokenizer.ggml.pre` calls `name`.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "gpt-2" | "mpt" => PLAIN,
            "smollm" | "starcoder" | "refact" | "command-r" => {
                Self { expressions: &[r"\p{N}", WORDS], ..PLAIN }
            }
            "qwen2" | "deepseek-r1-qwen" => Self { expressions: &[QWEN2], composes: true, ..PLAIN },
            "llama-bpe" | "llama3" | "llama-v3" => Self {
                expressions: &[LLAMA3],
                takes_whole_parts: true,
                begins_texts: true,
                ..PLAIN
            },
            "smaug-bpe" => Self { expressions: &[LLAMA3], ..PLAIN },
            "tekken" => Self {
                expressions: &[TEKKEN],
                takes_whole_parts: true,
                begins_texts: true,
                ..PLAIN
            },
            "falcon" => {
                Self { expressions: &[r"[\p{P}\$\+<=>\^~\|`]+", WORDS, "[0-9][0-9][0-9]"], ..PLAIN }
            }
            "deepseek-coder" => Self {
                expressions: &[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}"],
                ..PLAIN
            },
            "default" => Self {
                expressions: &[r"[\p{P}\$\+<=>\^~\|]+", WORDS, r"\p{N}+", "[0-9][0-9][0-9]"],
                ..PLAIN
            },
            _ => return None,
        })
    }

    /// The part of a `tokenizer.json` that changes texts.
    pub(super) fn normalizer(self) -> Value {
        if self.composes { json!({"type": "NFC"}) } else { Value::Null }
    }

    /// The part of a `tokenizer.json` that splits them and spells the parts in bytes.
    pub(super) fn pre_tokenizer(self) -> Value {
        let split = |expression: &&str| {
            json!({
                "type": "Split", "pattern": {"Regex": expression},
                "behavior": "Isolated", "invert": false,
            })
        };
        let mut steps: Vec<Value> = self.expressions.iter().map(split).collect();
        steps.push(byte_level());
        json!({"type": "Sequence", "pretokenizers": steps})
    }
}

/// Spells bytes in printable characters and back, and splits nothing.
pub(super) fn byte_level() -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false})
}

#[cfg(test)]
mod tests {
    use tokenizers::{
        OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer as _, PreTokenizerWrapper,
    };

    use super::*;

    #[track_caller]
    fn case(name: &str, text: &str, expected: &[&str]) {
        let way = PreTokenizer::named(name).unwrap().pre_tokenizer();
        let way: PreTokenizerWrapper = serde_json::from_value(way).unwrap();
        let mut parts = PreTokenizedString::from(text);
        way.pre_tokenize(&mut parts).unwrap();
        let parts = parts.get_splits(OffsetReferential::Original, OffsetType::Byte);
        let parts: Vec<&str> =
            parts.iter().map(|(_, (start, end), _)| &text[*start..*end]).collect();
        assert_eq!(parts, expected, "{name}");
    }

    #[test]
    fn digits_and_line_ends_are_split_as_the_names_say() {
        let text = "It's 1234\n\n x";
        case("gpt-2", text, &["It", "'s", " 1234", "\n\n", " x"]);
        case("smollm", text, &["It", "'s", " ", "1", "2", "3", "4", "\n\n", " x"]);
        case("qwen2", text, &["It", "'s", " ", "1", "2", "3", "4", "\n\n", " x"]);
        case("llama-bpe", text, &["It", "'s", " ", "123", "4", "\n\n", " x"]);
        case("default", text, &["It", "'", "s", " ", "123", "4", "\n\n", " x"]);
        case("tekken", "camelCase 12", &["camel", "Case", " ", "1", "2"]);
    }

    #[test]
    fn a_way_that_is_not_known_has_none() {
        assert_eq!(PreTokenizer::named("kimi-k2"), None);
    }
}
