//! The tokens of a GGUF file, in the order of their ids.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{
    metadata::{Metadata, MetadataError, needed},
    tokenizer::TokenizerError,
};

/// The keys that name tokens which end an answer, and the short name of each: the end of a text, of a turn and of a
/// message.
///
/// All three are in force, as in llama.cpp. mlx-lm reads no GGUF file, so there is nothing else to be equal to. What
/// llama.cpp takes for an end by its spelling alone is in no key, and not in force: the audit of stop tokens tells it.
pub(super) const ENDS: [(&str, &str); 3] = [
    ("tokenizer.ggml.eos_token_id", "eos"),
    ("tokenizer.ggml.eot_token_id", "eot"),
    ("tokenizer.ggml.eom_token_id", "eom"),
];

/// What a token is, by the number that GGUF files give the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

impl Kind {
    fn from_number(number: u64) -> Self {
        match number {
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => Self::Normal,
        }
    }
}

/// The tokens of a file, in the order of their ids.
pub(super) struct Tokens<'a> {
    pub(super) texts: Vec<&'a str>,
    pub(super) kinds: Vec<Kind>,
}

impl<'a> Tokens<'a> {
    pub(super) fn read(metadata: &'a Metadata) -> Result<Self, TokenizerError> {
        let key = "tokenizer.ggml.tokens";
        let texts = needed(metadata.texts(key)?, key)?;
        let key = "tokenizer.ggml.token_type";
        let kinds = match metadata.counts(key)? {
            Some(numbers) => numbers.into_iter().map(Kind::from_number).collect(),
            None => vec![Kind::Normal; texts.len()],
        };
        check_length(key, kinds.len(), texts.len())?;
        Ok(Self { texts, kinds })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &'a str, Kind)> {
        let kinds = self.kinds.iter().copied();
        self.texts.iter().copied().zip(kinds).enumerate().map(|(id, (text, kind))| (id, text, kind))
    }

    /// Ids by text, and the tokens that are taken whole wherever they stand.
    ///
    /// Behind the last proper token, rows that fill up the matrix (`[PAD151665]`) are left out, and
    /// special tokens are added instead of being part of the vocabulary.
    pub(super) fn split(&self) -> (HashMap<&'a str, usize>, Vec<Value>) {
        let is_proper = |kind: &Kind| matches!(kind, Kind::Normal | Kind::Byte);
        let last = self.kinds.iter().rposition(is_proper).unwrap_or(0);
        let mut vocabulary = HashMap::new();
        let mut added = Vec::new();
        for (id, text, kind) in self.iter() {
            let is_filler = kind == Kind::Unused || text == format!("[PAD{id}]");
            if id > last && is_filler {
                continue;
            }
            let is_added = matches!(kind, Kind::Control | Kind::Unknown | Kind::UserDefined);
            if is_added {
                added.push(added_token(id, text, kind));
            }
            if id <= last || !is_added {
                vocabulary.insert(text, id);
            }
        }
        (vocabulary, added)
    }
}

fn added_token(id: usize, text: &str, kind: Kind) -> Value {
    json!({
        "id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": kind != Kind::UserDefined,
    })
}

/// The id of a special token, such as `bos` or `unknown`.
pub(super) fn token_id(metadata: &Metadata, name: &str) -> Result<Option<u64>, MetadataError> {
    let id = metadata.count(&token_key(name))?;
    // Files say that there is none by leaving the key out, or by the largest number.
    Ok(id.filter(|&id| id != u64::from(u32::MAX)))
}

/// The key that holds it.
pub(super) fn token_key(name: &str) -> String {
    format!("tokenizer.ggml.{name}_token_id")
}

/// Checks that a list has an item for every token.
pub(super) fn check_length(
    key: &'static str,
    found: usize,
    tokens: usize,
) -> Result<(), TokenizerError> {
    if found == tokens {
        return Ok(());
    }
    Err(TokenizerError::Length { key, found, tokens })
}
