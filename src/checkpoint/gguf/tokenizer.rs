//! The tokenizer in a GGUF file, told as a `tokenizer.json`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use thiserror::Error;

use super::{
    metadata::{Metadata, MetadataError, needed},
    pre_tokenizer::{PreTokenizer, byte_level},
    sentence_piece,
    tokens::{Tokens, check_length, token_id, token_key},
};

/// Why the tokenizer in a file is of no use.
#[derive(Debug, Error)]
pub enum TokenizerError {
    /// A key is missing or of another kind.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A list has not as many items as there are tokens.
    #[error("key `{key}` has {found} items for {tokens} tokens")]
    Length {
        /// The key of the list.
        key: &'static str,
        /// Its length.
        found: usize,
        /// The number of tokens.
        tokens: usize,
    },
    /// The tokenizer works in a way that is not read.
    #[error("tokenizer model `{name}` is not read from GGUF files, only `gpt2` and `llama`")]
    Model {
        /// The way, as `tokenizer.ggml.model` has it.
        name: String,
    },
    /// Texts are split in a way that is not read.
    #[error("pre-tokenizer `{name}` is not known")]
    PreTokenizer {
        /// The way, as `tokenizer.ggml.pre` has it.
        name: String,
    },
    /// A special token lies beyond the tokens.
    #[error("key `{key}` names token {id}, but there are {tokens} tokens")]
    Token {
        /// The key.
        key: String,
        /// What it holds.
        id: u64,
        /// The number of tokens.
        tokens: usize,
    },
    /// The parts do not make a tokenizer.
    #[error("the file's tokens and merges make no tokenizer")]
    Parts {
        /// What is wrong with them.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A tokenizer, and what is known of it.
#[derive(Debug)]
pub struct TokenizerParts {
    /// The tokenizer.
    pub tokenizer: tokenizers::Tokenizer,
    /// Special tokens by the names that templates use, such as `bos_token`.
    pub special_tokens: BTreeMap<String, String>,
    /// The chat template.
    pub chat_template: Option<String>,
}

/// The tokenizer that `metadata` describes; none where it describes none.
pub(super) fn tokenizer(metadata: &Metadata) -> Result<Option<TokenizerParts>, TokenizerError> {
    let Some(model) = metadata.text("tokenizer.ggml.model")? else {
        return Ok(None);
    };
    let tokens = Tokens::read(metadata)?;
    let (mut file, begins_texts) = match model {
        "gpt2" => byte_pairs(metadata, &tokens)?,
        "llama" => {
            let scores = sentence_piece_scores(metadata, tokens.texts.len())?;
            let begins = metadata.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
            let space =
                if begins { sentence_piece::Space::First } else { sentence_piece::Space::Between };
            (sentence_piece::parts(&tokens, &scores, space), true)
        }
        name => {
            return Err(TokenizerError::Model { name: name.to_owned() });
        }
    };
    let special_tokens = special_tokens(metadata, &tokens)?;
    file.insert("version".to_owned(), json!("1.0"));
    let wrapping = wrapping(metadata, begins_texts, &special_tokens)?;
    file.insert("post_processor".to_owned(), wrapping.unwrap_or_default());
    let tokenizer =
        Value::from(file).to_string().parse().map_err(|source| TokenizerError::Parts { source })?;
    Ok(Some(TokenizerParts {
        tokenizer,
        special_tokens: special_tokens.into_iter().map(|(name, (_, text))| (name, text)).collect(),
        chat_template: metadata.text("tokenizer.chat_template")?.map(str::to_owned),
    }))
}

/// Pairs of bytes merged into tokens, and whether texts begin with the token for it by default.
fn byte_pairs(
    metadata: &Metadata,
    tokens: &Tokens<'_>,
) -> Result<(Map<String, Value>, bool), TokenizerError> {
    let name = metadata.text("tokenizer.ggml.pre")?.unwrap_or("default");
    let way = PreTokenizer::named(name)
        .ok_or_else(|| TokenizerError::PreTokenizer { name: name.to_owned() })?;
    let key = "tokenizer.ggml.merges";
    let merges = needed(metadata.texts(key)?, key)?;
    let (vocabulary, added) = tokens.split();
    let parts = json!({
        "added_tokens": added,
        "normalizer": way.normalizer(),
        "pre_tokenizer": way.pre_tokenizer(),
        "decoder": byte_level(),
        "model": {
            "type": "BPE", "vocab": vocabulary, "merges": merges,
            "ignore_merges": way.takes_whole_parts,
        },
    });
    Ok((into_map(parts), way.begins_texts))
}

fn sentence_piece_scores(metadata: &Metadata, tokens: usize) -> Result<Vec<f32>, TokenizerError> {
    let key = "tokenizer.ggml.scores";
    let scores = needed(metadata.singles(key)?, key)?;
    check_length(key, scores.len(), tokens)?;
    Ok(scores)
}

pub(super) fn into_map(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

/// Ids and texts of the special tokens, by the names that templates use.
fn special_tokens(
    metadata: &Metadata,
    tokens: &Tokens<'_>,
) -> Result<BTreeMap<String, (u64, String)>, TokenizerError> {
    let names = [("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")];
    let mut found = BTreeMap::new();
    for (name, in_file) in names {
        let Some(id) = token_id(metadata, in_file)? else {
            continue;
        };
        let text = usize::try_from(id).ok().and_then(|id| tokens.texts.get(id));
        let Some(text) = text else {
            return Err(TokenizerError::Token {
                key: token_key(in_file),
                id,
                tokens: tokens.texts.len(),
            });
        };
        found.insert(format!("{name}_token"), (id, (*text).to_owned()));
    }
    Ok(found)
}

/// The part of a `tokenizer.json` that puts the tokens around a text which begin and end one.
fn wrapping(
    metadata: &Metadata,
    begins_texts: bool,
    special_tokens: &BTreeMap<String, (u64, String)>,
) -> Result<Option<Value>, TokenizerError> {
    let asked = |key, default| Ok::<_, MetadataError>(metadata.flag(key)?.unwrap_or(default));
    let token = |name, is_asked: bool| special_tokens.get(name).filter(|_| is_asked);
    let first = token("bos_token", asked("tokenizer.ggml.add_bos_token", begins_texts)?);
    let last = token("eos_token", asked("tokenizer.ggml.add_eos_token", false)?);
    if first.is_none() && last.is_none() {
        return Ok(None);
    }
    let piece = |(_, text): &(u64, String)| json!({"SpecialToken": {"id": text, "type_id": 0}});
    let sequence = |name: &str| json!({"Sequence": {"id": name, "type_id": 0}});
    let around = |middle: &[&str]| {
        let middle = middle.iter().map(|name| sequence(name));
        first.map(piece).into_iter().chain(middle).chain(last.map(piece)).collect::<Vec<_>>()
    };
    let entry = |(id, text): &(u64, String)| {
        (text.clone(), json!({"id": text, "ids": [id], "tokens": [text]}))
    };
    let entries: Map<String, Value> = [first, last].into_iter().flatten().map(entry).collect();
    Ok(Some(json!({
        "type": "TemplateProcessing", "single": around(&["A"]), "pair": around(&["A", "B"]),
        "special_tokens": entries,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::gguf::{header::Header, sample::Sample};

    fn read(sample: &Sample) -> Result<Option<TokenizerParts>, TokenizerError> {
        let bytes = sample.bytes();
        tokenizer(&Header::read(bytes.as_slice(), bytes.len() as u64).unwrap().metadata)
    }

    fn byte_pairs() -> Sample {
        Sample::default()
            .text("tokenizer.ggml.model", "gpt2")
            .texts(
                "tokenizer.ggml.tokens",
                &["<s>", "</s>", "a", "b", "ab", "<x>", "[PAD6]", "[PAD7]"],
            )
            .integers("tokenizer.ggml.token_type", &[3, 3, 1, 1, 1, 4, 5, 4])
            .texts("tokenizer.ggml.merges", &["a b"])
            .count("tokenizer.ggml.bos_token_id", 0)
            .count("tokenizer.ggml.eos_token_id", 1)
    }

    fn ids(sample: &Sample, text: &str) -> Vec<u32> {
        let parts = read(sample).unwrap().unwrap();
        parts.tokenizer.encode(text, true).unwrap().get_ids().to_vec()
    }

    #[test]
    fn byte_pairs_are_merged_and_special_tokens_taken_whole() {
        assert_eq!(ids(&byte_pairs(), "abb<x>a</s>"), [4, 3, 5, 2, 1]);
    }

    #[test]
    fn rows_that_fill_up_the_matrix_are_no_tokens() {
        let tokenizer = read(&byte_pairs()).unwrap().unwrap().tokenizer;
        assert_eq!((tokenizer.id_to_token(6), tokenizer.id_to_token(7)), (None, None));
        assert_eq!(tokenizer.get_vocab_size(true), 6);
    }

    #[test]
    fn a_text_begins_and_ends_as_the_file_says() {
        let bos = "tokenizer.ggml.add_bos_token";
        assert_eq!(ids(&byte_pairs().flag(bos, true), "a"), [0, 2]);
        let both = byte_pairs().flag(bos, true).flag("tokenizer.ggml.add_eos_token", true);
        assert_eq!(ids(&both, "a"), [0, 2, 1]);
        // Llama 3 begins texts without saying so.
        let llama3 = |sample: Sample| sample.text("tokenizer.ggml.pre", "llama-bpe");
        assert_eq!(ids(&llama3(byte_pairs()), "a"), [0, 2]);
        assert_eq!(ids(&llama3(byte_pairs().flag(bos, false)), "a"), [2]);
    }

    #[test]
    fn pieces_fall_back_to_bytes() {
        let pieces = |space| {
            Sample::default()
                .text("tokenizer.ggml.model", "llama")
                .texts(
                    "tokenizer.ggml.tokens",
                    &["<unk>", "<s>", "<0xC3>", "<0xA9>", "▁", "a", "▁a"],
                )
                .integers("tokenizer.ggml.token_type", &[2, 3, 6, 6, 1, 1, 1])
                .singles("tokenizer.ggml.scores", &[0.0, 0.0, 0.0, 0.0, -1.0, -2.0, -3.0])
                .count("tokenizer.ggml.bos_token_id", 1)
                .flag("tokenizer.ggml.add_space_prefix", space)
        };
        assert_eq!(ids(&pieces(true), "a aé"), [1, 6, 6, 2, 3]);
        assert_eq!(ids(&pieces(false), "a aé"), [1, 5, 6, 2, 3]);
    }

    #[test]
    fn names_and_the_template_are_handed_over() {
        let parts =
            read(&byte_pairs().text("tokenizer.chat_template", "{{ x }}")).unwrap().unwrap();
        let tokens = [("bos_token", "<s>"), ("eos_token", "</s>")];
        assert_eq!(
            parts.special_tokens,
            tokens.map(|(name, text)| (name.to_owned(), text.to_owned())).into()
        );
        assert_eq!(parts.chat_template.as_deref(), Some("{{ x }}"));
    }

    #[test]
    fn a_file_without_a_tokenizer_has_none() {
        assert!(read(&Sample::default()).unwrap().is_none());
    }

    #[track_caller]
    fn refused(sample: &Sample, expected: &str) {
        assert_eq!(read(sample).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_is_not_read_is_refused_by_name() {
        refused(
            &byte_pairs().text("tokenizer.ggml.pre", "kimi-k2"),
            "pre-tokenizer `kimi-k2` is not known",
        );
        refused(
            &Sample::default()
                .text("tokenizer.ggml.model", "bert")
                .texts("tokenizer.ggml.tokens", &[]),
            "tokenizer model `bert` is not read from GGUF files, only `gpt2` and `llama`",
        );
        refused(
            &Sample::default().text("tokenizer.ggml.model", "gpt2"),
            "key `tokenizer.ggml.tokens` is missing",
        );
        refused(
            &byte_pairs().count("tokenizer.ggml.padding_token_id", 8),
            "key `tokenizer.ggml.padding_token_id` names token 8, but there are 8 tokens",
        );
        let short = Sample::default()
            .text("tokenizer.ggml.model", "gpt2")
            .texts("tokenizer.ggml.tokens", &["a"])
            .integers("tokenizer.ggml.token_type", &[]);
        refused(&short, "key `tokenizer.ggml.token_type` has 0 items for 1 tokens");
    }
}
