//! The text of an answer as a user sees it while it is written: cut at a stop string.

use super::{Detokenizer, TextError, Tokenizer};
use crate::stops::StopStrings;

/// Decodes an answer id by id and looks for stop strings on the way.
///
/// No text is decoded twice for that, and only what may still become a stop string is held back. As with mlx-lm's server,
/// neither the string nor what follows it is shown.
#[derive(Debug)]
pub struct VisibleText<'a> {
    stream: Detokenizer<'a>,
    strings: StopStrings,
    stopped: Option<usize>,
}

impl<'a> VisibleText<'a> {
    /// An answer that any of `strings` ends; empty ones are passed over.
    pub fn new(tokenizer: &'a Tokenizer, strings: &[String]) -> Self {
        let strings = StopStrings::new(strings.iter().map(String::as_str));
        Self { stream: tokenizer.stream(), strings, stopped: None }
    }

    /// Takes the next id and gives the text that is now certain to be shown, which may be none.
    ///
    /// # Errors
    ///
    /// When the tokenizer cannot decode the id.
    pub fn push(&mut self, id: u32) -> Result<String, TextError> {
        let piece = self.stream.push(id)?;
        if self.stopped.is_some() {
            return Ok(String::new());
        }
        let (text, hit) = self.strings.push(&piece);
        self.stopped = hit.map(|hit| hit.index);
        Ok(text)
    }

    /// The place of the stop string that came, in the list.
    pub fn stopped(&self) -> Option<usize> {
        self.stopped
    }

    /// Gives what is left to be shown at the end of the answer, and the place of the stop string that came.
    ///
    /// # Errors
    ///
    /// When the tokenizer cannot decode it.
    pub fn finish(self) -> Result<(String, Option<usize>), TextError> {
        let Self { stream, mut strings, stopped } = self;
        if stopped.is_some() {
            return Ok((String::new(), stopped));
        }
        let (mut text, hit) = strings.push(&stream.finish()?);
        text.push_str(&strings.finish());
        Ok((text, hit.map(|hit| hit.index)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::{SpecialTokens, samples};

    /// What is shown after each id of `text`, a token a byte, and at the end; and the string that came.
    fn shown(tokenizer: &Tokenizer, strings: &[&str], text: &str) -> (Vec<String>, Option<usize>) {
        let strings: Vec<String> = strings.iter().map(|text| (*text).to_owned()).collect();
        let mut visible = VisibleText::new(tokenizer, &strings);
        let mut texts = Vec::new();
        for byte in text.bytes() {
            texts.push(visible.push(u32::from(byte) + 3).unwrap());
            if visible.stopped().is_some() {
                break;
            }
        }
        let (rest, stopped) = visible.finish().unwrap();
        texts.push(rest);
        (texts, stopped)
    }

    #[track_caller]
    fn case(strings: &[&str], text: &str, expected: &[&str], stopped: Option<usize>) {
        let (texts, found) = shown(&samples::byte_level(), strings, text);
        assert_eq!(
            (texts.iter().map(String::as_str).collect::<Vec<_>>(), found),
            (expected.to_vec(), stopped)
        );
    }

    #[test]
    fn a_string_over_several_tokens_ends_the_text_and_is_not_shown() {
        case(&["no", "END"], "a END b", &["a", " ", "", "", "", ""], Some(1));
        case(&["END"], "a EN", &["a", " ", "", "", "EN"], None);
    }

    #[test]
    fn a_token_that_cannot_be_part_of_one_is_shown_at_once() {
        case(&["END"], "aEb", &["a", "", "Eb", ""], None);
        case(&[], "aEb", &["a", "E", "b", ""], None);
    }

    #[test]
    fn a_character_of_several_tokens_is_matched_once_it_is_whole() {
        case(&["é"], "aéb", &["a", "", "", ""], Some(0));
        // Bytes of a tokenizer that gives runs of them as a whole are text only at the end.
        let (texts, stopped) = shown(&samples::byte_fallback(), &["é!"], "aé!b");
        assert_eq!((texts.concat().as_str(), stopped), ("a", Some(0)));
    }

    #[test]
    fn a_stop_token_that_is_spelled_is_matched_as_text() {
        let tokenizer = samples::byte_level();
        let mut visible = VisibleText::new(&tokenizer, &["</s>".to_owned()]);
        assert_eq!(visible.push(u32::from(b'a') + 3).unwrap(), "a");
        assert_eq!((visible.push(1).unwrap().as_str(), visible.stopped()), ("", Some(0)));
    }

    proptest! {
        #[test]
        fn without_the_string_all_is_shown_and_with_it_all_before(text in "[abé ]{0,24}", string in "[abé]{1,3}") {
            for tokenizer in [samples::byte_level(), samples::byte_fallback()] {
                let ids = tokenizer.encode(&text, SpecialTokens::Leave).unwrap();
                let whole = tokenizer.decode(&ids).unwrap();
                let mut visible = VisibleText::new(&tokenizer, std::slice::from_ref(&string));
                let mut shown = String::new();
                for id in ids {
                    shown.push_str(&visible.push(id).unwrap());
                }
                let (rest, stopped) = visible.finish().unwrap();
                shown.push_str(&rest);
                let at = whole.find(&string);
                prop_assert_eq!(&shown, &whole[..at.unwrap_or(whole.len())]);
                prop_assert_eq!(stopped.is_some(), at.is_some());
            }
        }
    }
}
