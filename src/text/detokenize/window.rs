//! Decoding by looking at a few tokens at a time, for tokenizers of any kind.

use super::REPLACEMENT;
use crate::text::{TextError, tokenizer::decode};

/// Tokens that are decoded together at the most.
const LONGEST: usize = 64;

/// The last tokens of a sequence: some whose text was given, then some whose text is not certain.
///
/// The first kind is kept because the text of a token may depend on the one before it.
#[derive(Debug, Default)]
pub(super) struct Window {
    ids: Vec<u32>,
    given: usize,
    /// The text of the first `given` ids.
    text: String,
}

impl Window {
    /// Tokens that are kept.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn push(
        &mut self,
        tokenizer: &tokenizers::Tokenizer,
        id: u32,
    ) -> Result<String, TextError> {
        self.ids.push(id);
        let text = decode(tokenizer, &self.ids)?;
        let is_full = self.ids.len() >= LONGEST;
        let is_whole = !text.ends_with(REPLACEMENT) && text.len() > self.text.len();
        if !is_whole && !is_full {
            return Ok(String::new());
        }
        let segment = beyond(&self.text, &text);
        // A full window begins anew at its last token, whatever came before.
        let kept = if is_full { self.ids.len().saturating_sub(1) } else { self.given };
        self.ids.drain(..kept);
        self.given = self.ids.len();
        self.text = decode(tokenizer, &self.ids)?;
        Ok(segment)
    }

    pub(super) fn finish(self, tokenizer: &tokenizers::Tokenizer) -> Result<String, TextError> {
        Ok(beyond(&self.text, &decode(tokenizer, &self.ids)?))
    }
}

/// What `text` says after what it has in common with `start`.
fn beyond(start: &str, text: &str) -> String {
    let common: usize = start
        .chars()
        .zip(text.chars())
        .take_while(|(left, right)| left == right)
        .map(|(character, _)| character.len_utf8())
        .sum();
    text.get(common..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::text::samples;

    #[test]
    fn text_that_never_becomes_certain_is_given_after_a_while() {
        let tokenizer = samples::words(&json!({"type": "Fuse"}));
        // Id 10 is a token that spells the replacement character itself.
        let ids = [10; 200];
        let mut stream = tokenizer.stream();
        let lengths: Vec<usize> =
            ids.iter().map(|&id| stream.push(id).unwrap().chars().count()).collect();
        let given: usize = lengths.iter().sum();
        assert!((136..200).contains(&given), "{given}");
        assert!(lengths.iter().all(|&length| length <= 64));
        assert_eq!(given + stream.finish().unwrap().chars().count(), 200);
    }
}
