//! Text of a sequence that is still being generated, at a constant cost a token.
//!
//! The segments of a sequence put together are what the tokenizer makes of the whole sequence, with
//! special tokens. `mlx-lm` differs in four places that are not copied: it drops a leading space that
//! the tokenizer keeps, prints `!` for ids that have no token, spells byte 0 as `Ā`, and turns bytes
//! into text before the bytes after them can spoil it.

mod style;
mod window;

pub(super) use style::Style;

use super::TextError;
use window::Window;

/// The character that stands for bytes which are no text.
const REPLACEMENT: char = '\u{FFFD}';

/// Decodes a sequence that is still being generated.
///
/// Nothing is printed of a character before it is whole.
#[derive(Debug)]
pub struct Detokenizer<'a> {
    tokenizer: &'a tokenizers::Tokenizer,
    state: State,
    work: usize,
}

#[derive(Debug)]
enum State {
    /// Bytes that may be the beginning of a character: at most three.
    ByteLevel(Vec<u8>),
    ByteFallback {
        space: (String, String),
        cut: Option<(char, usize)>,
        /// A run of byte tokens: it is text if all of it is, else all of it is none.
        run: Vec<u8>,
    },
    Other(Window),
}

impl<'a> Detokenizer<'a> {
    pub(super) fn new(tokenizer: &'a tokenizers::Tokenizer, style: Style) -> Self {
        let state = match style {
            Style::ByteLevel => State::ByteLevel(Vec::new()),
            Style::ByteFallback { space, cut } => {
                State::ByteFallback { space, cut, run: Vec::new() }
            }
            Style::Other => State::Other(Window::default()),
        };
        Self { tokenizer, state, work: 0 }
    }

    /// Takes the next id and gives the text that is now certain, which may be none.
    ///
    /// # Errors
    ///
    /// When the tokenizer cannot decode the id.
    pub fn push(&mut self, id: u32) -> Result<String, TextError> {
        let Some(token) = self.tokenizer.id_to_token(id) else {
            return Ok(String::new());
        };
        if let State::Other(window) = &mut self.state {
            self.work += window.len() + 1;
            return window.push(self.tokenizer, id);
        }
        Ok(match &mut self.state {
            State::ByteLevel(bytes) => {
                append_bytes(&token, bytes);
                self.work += bytes.len();
                take_text(bytes)
            }
            State::ByteFallback { space: (sign, replacement), cut, run } => {
                self.work += token.len();
                let token = token.replace(sign.as_str(), replacement);
                if let Some(byte) = byte_of(&token) {
                    run.push(byte);
                    return Ok(String::new());
                }
                self.work += run.len();
                let mut text = take_run(run);
                text.push_str(&token);
                cut_start(text, cut)
            }
            State::Other(_) => String::new(),
        })
    }

    /// Work done until now: bytes of tokens that were looked at, or tokens that were decoded where the kind of tokenizer is
    /// not known.
    pub fn work(&self) -> usize {
        self.work
    }

    /// Gives what is left at the end of the sequence.
    ///
    /// # Errors
    ///
    /// When the tokenizer cannot decode it.
    pub fn finish(self) -> Result<String, TextError> {
        match self.state {
            State::ByteLevel(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            State::ByteFallback { mut run, mut cut, .. } => {
                Ok(cut_start(take_run(&mut run), &mut cut))
            }
            State::Other(window) => window.finish(self.tokenizer),
        }
    }
}

/// The bytes of a byte-level token; a token in other characters stands for itself.
fn append_bytes(token: &str, bytes: &mut Vec<u8>) {
    let spelled: Option<Vec<u8>> = token.chars().map(spelled_byte).collect();
    bytes.extend(spelled.unwrap_or_else(|| token.as_bytes().to_vec()));
}

/// The byte that a character spells: itself where that is printable, else by the order of the others.
fn spelled_byte(character: char) -> Option<u8> {
    match character {
        '!'..='~' | '¡'..='¬' | '®'..='ÿ' => u8::try_from(character).ok(),
        'Ā'..='Ġ' => u8::try_from(u32::from(character) - 0x100).ok(),
        'ġ'..='ł' => u8::try_from(u32::from(character) - 0x121 + 0x7f).ok(),
        'Ń' => Some(0xad),
        _ => None,
    }
}

/// Takes all that is certain: everything but the beginning of a character.
fn take_text(bytes: &mut Vec<u8>) -> String {
    let mut text = String::new();
    let mut left = bytes.len();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        left -= chunk.valid().len();
        if left == chunk.invalid().len() && is_beginning(chunk.invalid()) {
            break;
        }
        if !chunk.invalid().is_empty() {
            text.push(REPLACEMENT);
        }
        left -= chunk.invalid().len();
    }
    bytes.drain(..bytes.len() - left);
    text
}

/// Whether `bytes` lack nothing but others after them to be a character.
fn is_beginning(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// The byte of a token such as `<0x0A>`.
fn byte_of(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

fn take_run(run: &mut Vec<u8>) -> String {
    let length = run.len();
    String::from_utf8(std::mem::take(run))
        .unwrap_or_else(|_| REPLACEMENT.to_string().repeat(length))
}

/// Cuts what is still to be cut off the beginning.
fn cut_start(text: String, cut: &mut Option<(char, usize)>) -> String {
    let Some((content, left)) = cut else {
        return text;
    };
    let mut rest = text.as_str();
    while *left > 0
        && let Some(shorter) = rest.strip_prefix(*content)
    {
        rest = shorter;
        *left -= 1;
    }
    let rest = rest.to_owned();
    if !rest.is_empty() {
        *cut = None;
    }
    rest
}

#[cfg(test)]
mod splits;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::text::{Tokenizer, samples};

    fn segments(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
        let mut stream = tokenizer.stream();
        let mut segments: Vec<String> = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
        segments.push(stream.finish().unwrap());
        segments
    }

    #[track_caller]
    fn case(tokenizer: &Tokenizer, ids: &[u32], expected: &[&str]) {
        assert_eq!(segments(tokenizer, ids), expected);
        assert_eq!(expected.concat(), tokenizer.decode(ids).unwrap());
    }

    #[test]
    fn a_character_of_four_bytes_comes_whole() {
        // F0 9F 99 82 is a smile; byte `b` has id `b + 3`.
        case(&samples::byte_level(), &[0xf3, 0xa2, 0x9c, 0x85, 259], &["", "", "", "🙂", "he", ""]);
        case(
            &samples::byte_fallback(),
            &[0xf3, 0xa2, 0x9c, 0x85, 260],
            &["", "", "", "", "🙂a", ""],
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_as_soon_as_that_is_certain() {
        // E5 8F begins a character that `h` breaks off; a lone 8F begins none.
        case(
            &samples::byte_level(),
            &[0xe8, 0x92, 259, 0x92],
            &["", "", "\u{FFFD}he", "\u{FFFD}", ""],
        );
        case(&samples::byte_level(), &[259, 0xe8], &["he", "", "\u{FFFD}"]);
    }

    #[test]
    fn a_run_of_byte_tokens_is_text_as_a_whole_or_not_at_all() {
        // E5 8F AB is a character; with FF after it all four bytes are replaced.
        case(&samples::byte_fallback(), &[0xe8, 0x92, 0xae, 260], &["", "", "", "叫a", ""]);
        let replaced = "\u{FFFD}".repeat(4);
        case(&samples::byte_fallback(), &[0xe8, 0x92, 0xae, 0x102], &["", "", "", "", &replaced]);
    }

    #[test]
    fn special_tokens_are_spelled_out() {
        case(&samples::byte_level(), &[0, 261, 2, 1], &["<s>", " h", "<é▁>", "</s>", ""]);
        case(&samples::byte_fallback(), &[0, 262, 2], &["<s>", " a", "<é >", ""]);
    }

    #[test]
    fn one_space_is_cut_off_the_beginning_where_the_decoder_says_so() {
        case(&samples::byte_fallback(), &[259, 259, 262], &["", " ", " a", ""]);
        case(&samples::byte_fallback(), &[260, 259], &["a", " ", ""]);
    }

    #[test]
    fn ids_without_a_token_have_no_text() {
        case(&samples::byte_level(), &[259, 70_000, 259], &["he", "", "he", ""]);
    }

    #[test]
    fn the_stand_ins_of_bytes_are_those_of_gpt_2() {
        let case = |character, byte| assert_eq!(spelled_byte(character), Some(byte));
        // Of GPT-2's vocabulary: space, newline, delete, 0x80, no-break space, soft hyphen.
        case('Ġ', 0x20);
        case('Ċ', 0x0a);
        case('ġ', 0x7f);
        case('Ģ', 0x80);
        case('ł', 0xa0);
        case('Ń', 0xad);
        assert_eq!(spelled_byte(' '), None);
        assert_eq!(spelled_byte('ń'), None);
    }

    fn any_kind() -> Vec<Tokenizer> {
        vec![
            samples::byte_level(),
            samples::byte_fallback(),
            samples::words(
                &json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}),
            ),
            samples::words(&json!({"type": "WordPiece", "prefix": "##", "cleanup": true})),
            samples::words(&json!({"type": "BPEDecoder", "suffix": "</w>"})),
            samples::words(&json!(null)),
        ]
    }

    proptest! {
        #[test]
        fn segments_together_are_what_the_tokenizer_makes_of_all(ids in prop::collection::vec(0u32..265, 0..40)) {
            for tokenizer in any_kind() {
                // Small vocabularies get ids they have, so that the draw is not mostly of nothing.
                let ids: Vec<u32> = ids.iter().map(|id| id % (tokenizer.id_bound() + 1)).collect();
                prop_assert_eq!(segments(&tokenizer, &ids).concat(), tokenizer.decode(&ids).unwrap());
            }
        }

        #[test]
        fn no_segment_tears_a_character(text in ".{0,20}") {
            for tokenizer in [samples::byte_level(), samples::byte_fallback()] {
                let ids = tokenizer.encode(&text, crate::text::SpecialTokens::Leave).unwrap();
                let torn = segments(&tokenizer, &ids).iter().any(|segment| segment.contains(REPLACEMENT));
                prop_assert_eq!(torn, text.contains(REPLACEMENT));
            }
        }
    }
}
