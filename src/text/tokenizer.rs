//! The tokenizer of a model.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use tokenizers::AddedToken;

use super::{
    TextError,
    config::{TemplateSource, TokenizerConfig},
    detokenize::{Detokenizer, Style},
    guard::guarded,
    template::{ChatTemplate, TemplateError},
};
use crate::{checkpoint::gguf::Gguf, files};

/// Whether a text gets the tokens that begin and end one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecialTokens {
    /// As the tokenizer has it.
    Add,
    /// The text is taken as it is.
    Leave,
}

/// The tokenizer of a model.
#[derive(Debug)]
pub struct Tokenizer {
    pub(super) inner: tokenizers::Tokenizer,
    pub(super) config: TokenizerConfig,
    pub(super) template: Option<Result<ChatTemplate, TemplateError>>,
    style: Style,
    id_bound: u32,
    core_bound: u32,
}

impl Tokenizer {
    /// Reads the tokenizer in `folder`, if it holds a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// When a file that is there cannot be read.
    pub fn from_folder(folder: &Path) -> Result<Option<Self>, TextError> {
        let path = folder.join("tokenizer.json");
        let bytes = match files::read(&path, files::LONGEST_TOKENIZER) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(TextError::Read { path, source }),
        };
        let inner = guarded(|| tokenizers::Tokenizer::from_bytes(&bytes))
            .map_err(|source| TextError::Tokenizer { path, source })?;
        Self::from_parts(inner, TokenizerConfig::from_folder(folder)?).map(Some)
    }

    /// Takes the tokenizer of a GGUF file, if it has one.
    ///
    /// # Errors
    ///
    /// When it is of a kind that is not read.
    pub fn from_gguf(gguf: &Gguf) -> Result<Option<Self>, TextError> {
        let Some(parts) = gguf.tokenizer()? else {
            return Ok(None);
        };
        let chat_template = parts.chat_template.map(|source| TemplateSource::Default {
            origin: "tokenizer.chat_template".to_owned(),
            source,
        });
        let config = TokenizerConfig {
            special_tokens: parts.special_tokens,
            added_tokens: BTreeMap::new(),
            chat_template: chat_template.unwrap_or_default(),
        };
        Self::from_parts(parts.tokenizer, config).map(Some)
    }

    /// Puts a tokenizer together with what is known of it.
    ///
    /// # Errors
    ///
    /// When the two disagree on the id of a token.
    pub fn from_parts(
        mut inner: tokenizers::Tokenizer,
        config: TokenizerConfig,
    ) -> Result<Self, TextError> {
        // These two shape batches for training; a prompt is neither cut nor filled.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|source| TextError::Encode { source })?;
        add_tokens(&mut inner, &config)?;
        let words = inner.get_vocab(false).into_values();
        let added = inner.get_added_tokens_decoder().into_keys();
        let named = [config.bos(), config.eos()].into_iter().flatten();
        let named = named.filter_map(|token| inner.token_to_id(token));
        let core_bound = bound(words.chain(named));
        let template = match &config.chat_template {
            TemplateSource::Default { origin, source } => Some(ChatTemplate::new(origin, source)),
            TemplateSource::Absent | TemplateSource::Named(_) => None,
        };
        Ok(Self {
            style: Style::of(&inner),
            id_bound: core_bound.max(bound(added)),
            core_bound,
            inner,
            config,
            template,
        })
    }

    /// The ids of `text`.
    ///
    /// # Errors
    ///
    /// When the tokenizer cannot encode it.
    pub fn encode(&self, text: &str, special_tokens: SpecialTokens) -> Result<Vec<u32>, TextError> {
        guarded(|| self.inner.encode_fast(text, special_tokens == SpecialTokens::Add))
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|source| TextError::Encode { source })
    }

    /// The ids of a prompt: special tokens are added unless it already begins with the first of them.
    ///
    /// # Errors
    ///
    /// When the tokenizer cannot encode it.
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>, TextError> {
        let begun = self.bos_token().is_some_and(|bos| text.starts_with(bos));
        self.encode(text, if begun { SpecialTokens::Leave } else { SpecialTokens::Add })
    }

    /// The text of `ids`, special tokens included. Ids without a token have none.
    ///
    /// # Errors
    ///
    /// When the tokenizer cannot decode them.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TextError> {
        decode(&self.inner, ids)
    }

    /// The token that has `id`, as the vocabulary spells it.
    pub fn token_text(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// One more than the largest id, counting added tokens.
    pub const fn id_bound(&self) -> u32 {
        self.id_bound
    }

    /// One more than the largest id that ordinary text is made of: of the vocabulary proper, and of
    /// the tokens that begin and end a text.
    ///
    /// A model may have no rows for other added tokens: Gemma 3 without eyes has none for its picture.
    pub const fn core_bound(&self) -> u32 {
        self.core_bound
    }

    /// The token that begins a text.
    pub fn bos_token(&self) -> Option<&str> {
        self.config.bos()
    }

    /// Ids of the token that ends a text.
    pub fn eos_ids(&self) -> BTreeSet<u32> {
        self.config.eos().and_then(|token| self.inner.token_to_id(token)).into_iter().collect()
    }

    /// Decodes a sequence that is still being generated.
    pub fn stream(&self) -> Detokenizer<'_> {
        Detokenizer::new(&self.inner, self.style.clone())
    }
}

/// The text of `ids`, special tokens included.
pub(super) fn decode(inner: &tokenizers::Tokenizer, ids: &[u32]) -> Result<String, TextError> {
    // Some decoders cannot bear to be given nothing.
    if ids.iter().all(|&id| inner.id_to_token(id).is_none()) {
        return Ok(String::new());
    }
    guarded(|| inner.decode(ids, false)).map_err(|source| TextError::Decode { source })
}

fn bound(ids: impl Iterator<Item = u32>) -> u32 {
    ids.max().map_or(0, |largest| largest.saturating_add(1))
}

/// Teaches the tokenizer the tokens that must be taken whole.
fn add_tokens(
    inner: &mut tokenizers::Tokenizer,
    config: &TokenizerConfig,
) -> Result<(), TextError> {
    let known = inner.get_added_tokens_decoder();
    for (&declared, token) in &config.added_tokens {
        if known.get(&declared).is_some_and(|known| known.content == token.content) {
            continue;
        }
        add_token(inner, token)?;
        let given = inner.token_to_id(&token.content).unwrap_or(declared);
        if given != declared {
            return Err(TextError::AddedToken { token: token.content.clone(), declared, given });
        }
    }
    for content in config.special_tokens.values() {
        let known = |id: &u32| inner.get_added_tokens_decoder().contains_key(id);
        // A token that is nowhere in the vocabulary would get an id that no model has a row for.
        if inner.token_to_id(content).is_some_and(|id| !known(&id)) {
            add_token(inner, &AddedToken::from(content, true))?;
        }
    }
    Ok(())
}

fn add_token(inner: &mut tokenizers::Tokenizer, token: &AddedToken) -> Result<(), TextError> {
    let is_special = token.special;
    let token = [token.clone()];
    let added = if is_special {
        guarded(|| inner.add_special_tokens(token))
    } else {
        guarded(|| inner.add_tokens(token))
    };
    added.map(drop).map_err(|source| TextError::Encode { source })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::text::samples;

    #[test]
    fn a_prompt_that_begins_with_bos_gets_no_second_one() {
        let tokenizer = samples::byte_level_wrapped();
        // Bytes follow three special tokens, and `h e` is merged into id 259.
        assert_eq!(tokenizer.encode_prompt("he").unwrap(), [0, 259, 1]);
        assert_eq!(tokenizer.encode_prompt("<s>he").unwrap(), [0, 259]);
        assert_eq!(tokenizer.encode("<s>he", SpecialTokens::Add).unwrap(), [0, 0, 259, 1]);
        assert_eq!(tokenizer.encode("he", SpecialTokens::Leave).unwrap(), [259]);
    }

    #[test]
    fn special_tokens_are_decoded_like_others() {
        let tokenizer = samples::byte_level();
        assert_eq!(tokenizer.decode(&[0, 260, 1, 9999]).unwrap(), "<s>hel</s>");
        assert_eq!(tokenizer.decode(&[9999]).unwrap(), "");
        assert_eq!(tokenizer.token_text(261).unwrap(), "Ġh");
        assert_eq!(tokenizer.token_text(262), None);
        assert_eq!(tokenizer.id_bound(), 262);
    }

    #[test]
    fn a_named_token_is_taken_whole_even_if_the_file_does_not_say_so() {
        let mut config = samples::config();
        config.special_tokens.insert("eos_token".to_owned(), "hel".to_owned());
        config.special_tokens.insert("pad_token".to_owned(), "<nowhere>".to_owned());
        let tokenizer = Tokenizer::from_parts(samples::byte_level().inner, config).unwrap();
        assert_eq!(tokenizer.encode("xhelx", SpecialTokens::Leave).unwrap()[1], 260);
        assert_eq!(tokenizer.eos_ids(), BTreeSet::from([260]));
        assert_eq!(tokenizer.id_bound(), 262);
    }

    #[test]
    fn a_declared_token_must_get_the_id_it_declares() {
        let mut config = samples::config();
        config.added_tokens.insert(262, AddedToken::from("<new>", true));
        let tokenizer = Tokenizer::from_parts(samples::byte_level().inner, config.clone()).unwrap();
        assert_eq!(tokenizer.encode("<new>", SpecialTokens::Leave).unwrap(), [262]);
        config.added_tokens.insert(300, AddedToken::from("<far>", true));
        let error = Tokenizer::from_parts(samples::byte_level().inner, config).unwrap_err();
        assert_eq!(error.to_string(), "token `<far>` should have id 300, but gets 263");
    }

    #[test]
    fn padding_and_truncation_of_the_file_are_passed_over() {
        let mut inner = samples::byte_level().inner;
        let cut = tokenizers::TruncationParams { max_length: 2, ..Default::default() };
        inner.with_truncation(Some(cut)).unwrap();
        inner.with_padding(Some(tokenizers::PaddingParams::default()));
        let tokenizer = Tokenizer::from_parts(inner, samples::config()).unwrap();
        assert_eq!(tokenizer.encode("xxxxx", SpecialTokens::Leave).unwrap().len(), 5);
    }

    #[test]
    fn a_folder_without_a_tokenizer_has_none_and_one_with_a_broken_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Tokenizer::from_folder(folder.path()).unwrap().is_none());
        std::fs::write(folder.path().join("tokenizer.json"), json!({"model": 1}).to_string())
            .unwrap();
        assert_eq!(
            Tokenizer::from_folder(folder.path()).unwrap_err().kind(),
            "tokenizer_malformed"
        );
    }

    #[test]
    fn added_tokens_beyond_the_words_do_not_count_as_words() {
        let mut config = samples::config();
        config.added_tokens.insert(262, AddedToken::from("<picture>", true));
        let tokenizer = Tokenizer::from_parts(samples::byte_level().inner, config).unwrap();
        assert_eq!((tokenizer.id_bound(), tokenizer.core_bound()), (263, 262));
    }
}
