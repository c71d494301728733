//! Prompts of an exact number of tokens, the chat template included.
//!
//! A text is found whose tokens are exactly as many as is asked; that takes some dozen encodings and belongs to no
//! request. Turning the text into ids, which does, is then done once more for each of them.

use jiff::civil::{DateTime, date};

use super::{ChatOptions, Message, TextError, Tokenizer};
use crate::plan::Passages;

/// What is put behind a text that cannot be cut to the exact length.
const FILLERS: [&str; 4] = [".", " a", " the", "\n"];

/// Characters that are given up to make room for a filler, at the most, and fillers that are put there.
const TRIES: usize = 4;

/// Bytes of text that a token takes, more or less: where a search begins.
const USUAL: usize = 5;

/// Bytes that a token may take before the text is taken for one that this tokenizer makes nothing of.
const LONGEST: usize = 1 << 10;

/// The date that templates print: the same for every prompt of a size, or each day would have its own.
fn day() -> DateTime {
    date(2026, 1, 1).at(12, 0, 0, 0)
}

/// A text that becomes an exact number of ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExactPrompt {
    text: String,
    form: Form,
}

/// How the text becomes ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// It is what a user says, written out by the chat template.
    Turn,
    /// It is begun as the tokenizer begins a text, and cut after so many ids.
    Plain { length: usize },
}

/// What is asked of a prompt.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The texts that it is cut from.
    pub passages: &'a Passages,
    /// Which of the prompts: it begins with the text of this number.
    pub index: u32,
    /// Its ids, all of them.
    pub length: usize,
}

impl ExactPrompt {
    /// A turn of a user, of exactly `wanted.length` ids together with what the chat template writes around it.
    ///
    /// The template is told a fixed date.
    ///
    /// # Errors
    ///
    /// [`TextError::TooShort`] where the template leaves no room for a word, [`TextError::NoExactText`] where no text comes to that
    /// length, and what the template and the tokenizer refuse.
    pub fn turn(tokenizer: &Tokenizer, wanted: Wanted<'_>) -> Result<Self, TextError> {
        let text = exact(wanted, |text| turn_ids(tokenizer, text).map(|ids| ids.len()))?;
        Ok(Self { text, form: Form::Turn })
    }

    /// Tries the chat template on something short.
    ///
    /// # Errors
    ///
    /// When it is of no use for any turn.
    pub fn try_turn(tokenizer: &Tokenizer) -> Result<(), TextError> {
        turn_ids(tokenizer, "Hello").map(drop)
    }

    /// Plain text of exactly `wanted.length` ids, for models without a chat template.
    ///
    /// # Errors
    ///
    /// When the tokenizer cannot encode the text or makes nothing of it.
    pub fn plain(tokenizer: &Tokenizer, wanted: Wanted<'_>) -> Result<Self, TextError> {
        // So that a closing special token is cut off.
        let enough = wanted.length.saturating_add(16);
        let mut bytes = enough.saturating_mul(USUAL);
        loop {
            let text = wanted.passages.stretch(wanted.index, bytes);
            let text = upto(&text, bytes);
            if tokenizer.encode_prompt(text)?.len() >= enough {
                let form = Form::Plain { length: wanted.length };
                return Ok(Self { text: text.to_owned(), form });
            }
            bytes = longer(bytes, enough).ok_or(TextError::NoIds)?;
        }
    }

    /// The ids.
    ///
    /// # Errors
    ///
    /// None that finding the text did not meet before.
    pub fn ids(&self, tokenizer: &Tokenizer) -> Result<Vec<u32>, TextError> {
        match self.form {
            Form::Turn => turn_ids(tokenizer, &self.text),
            Form::Plain { length } => {
                let mut ids = tokenizer.encode_prompt(&self.text)?;
                ids.truncate(length);
                Ok(ids)
            }
        }
    }
}

fn turn_ids(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, TextError> {
    let options = ChatOptions { enable_thinking: None, now: day() };
    tokenizer.chat_ids(&[Message::user(text)], options)
}

/// The beginning of `text` that has at most `bytes` bytes.
fn upto(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

/// Twice `bytes`, where that is still a text of `tokens`.
fn longer(bytes: usize, tokens: usize) -> Option<usize> {
    (bytes / LONGEST <= tokens).then(|| bytes.saturating_mul(2))
}

/// The beginning of a text of which `count` finds exactly the ids that are wanted.
fn exact(
    wanted: Wanted<'_>,
    count: impl Fn(&str) -> Result<usize, TextError>,
) -> Result<String, TextError> {
    let Wanted { passages, index, length } = wanted;
    let mut bytes = length.saturating_add(16).saturating_mul(USUAL);
    let text = loop {
        let text = passages.stretch(index, bytes);
        if count(&text)? > length {
            break text;
        }
        bytes = longer(text.len(), length).ok_or(TextError::NoExactText { length })?;
    };
    let ends = || text.char_indices().map(|(at, symbol)| at + symbol.len_utf8());
    let ends: Vec<usize> = ends().collect();
    let beginning = |symbols: usize| {
        let end = symbols.checked_sub(1).and_then(|last| ends.get(last)).copied();
        upto(&text, end.unwrap_or(0))
    };
    let minimum = count(beginning(1))?;
    if minimum > length {
        return Err(TextError::TooShort { length, minimum });
    }
    // A character more seldom means a token less, so halving leads close by.
    let (mut low, mut high) = (1, ends.len());
    while high - low > 1 {
        let middle = low.midpoint(high);
        match count(beginning(middle))? {
            found if found == length => return Ok(beginning(middle).to_owned()),
            found if found < length => low = middle,
            _ => high = middle,
        }
    }
    fill(|fewer| beginning(low.saturating_sub(fewer).max(1)), length, count)
}

/// A beginning with something behind it, where no beginning alone will do.
fn fill<'a>(
    beginning: impl Fn(usize) -> &'a str,
    length: usize,
    count: impl Fn(&str) -> Result<usize, TextError>,
) -> Result<String, TextError> {
    for fewer in 0..TRIES {
        if count(beginning(fewer))? == length {
            return Ok(beginning(fewer).to_owned());
        }
        for filler in FILLERS {
            for times in 1..=TRIES {
                let text = format!("{}{}", beginning(fewer), filler.repeat(times));
                if count(&text)? == length {
                    return Ok(text);
                }
            }
        }
    }
    Err(TextError::NoExactText { length })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{
        config::{TemplateSource, TokenizerConfig},
        samples,
    };

    /// Seven ids around what is said: `<s>`, `[`, `]`, `a`, `n`, `s`, and `:`.
    const AROUND: &str =
        "{{ bos_token }}[{% for m in messages %}{{ m.content | trim }}{% endfor %}]ans:";

    fn with_template(source: &str) -> Tokenizer {
        let chat_template =
            TemplateSource::Default { origin: "test".to_owned(), source: source.to_owned() };
        let config = TokenizerConfig { chat_template, ..samples::config() };
        Tokenizer::from_parts(samples::byte_level().inner, config).unwrap()
    }

    fn wanted(passages: &Passages, index: u32, length: usize) -> Wanted<'_> {
        Wanted { passages, index, length }
    }

    #[test]
    fn a_turn_has_exactly_the_length_asked_for() {
        let tokenizer = with_template(AROUND);
        let shipped = Passages::shipped();
        for length in [8, 9, 10, 100, 2431, 2432, 30_000] {
            for index in 0..4 {
                let prompt =
                    ExactPrompt::turn(&tokenizer, wanted(&shipped, index, length)).unwrap();
                let ids = prompt.ids(&tokenizer).unwrap();
                assert_eq!(ids.len(), length, "prompt {index}");
                assert_eq!(tokenizer.decode(&ids[..2]).unwrap(), "<s>[");
                assert_eq!(tokenizer.decode(&ids[length - 5..]).unwrap(), "]ans:");
            }
        }
    }

    #[test]
    fn a_length_that_the_template_takes_alone_is_refused_with_the_least_that_is_not() {
        let tokenizer = with_template(AROUND);
        let shipped = Passages::shipped();
        let error = ExactPrompt::turn(&tokenizer, wanted(&shipped, 0, 7)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the chat template needs a prompt of 8 tokens or more, not 7"
        );
        assert!(ExactPrompt::turn(&tokenizer, wanted(&shipped, 0, 8)).is_ok());
    }

    #[test]
    fn a_text_that_jumps_over_the_length_is_filled() {
        let tokenizer = with_template(AROUND);
        // Four bytes each, with a space between: cut anywhere, the text has an odd number of ids or one of few others.
        let passages = Passages::of_text(&"😀".repeat(40).replace("😀", "😀😀 ")).unwrap();
        for length in 11..60 {
            let prompt = ExactPrompt::turn(&tokenizer, wanted(&passages, 0, length)).unwrap();
            assert_eq!(prompt.ids(&tokenizer).unwrap().len(), length);
        }
    }

    #[test]
    fn a_template_that_drops_what_is_said_has_no_exact_prompt() {
        let tokenizer = with_template("{{ bos_token }}hello");
        let error = ExactPrompt::turn(&tokenizer, wanted(&Passages::shipped(), 0, 9)).unwrap_err();
        assert_eq!(error.to_string(), "no prompt was found that has exactly 9 tokens");
    }

    #[test]
    fn the_template_is_told_the_same_day_every_day() {
        let tokenizer = with_template("{{ strftime_now('%d %b %Y') }}: {{ messages[0].content }}");
        let prompt = ExactPrompt::turn(&tokenizer, wanted(&Passages::shipped(), 0, 40)).unwrap();
        let text = tokenizer.decode(&prompt.ids(&tokenizer).unwrap()).unwrap();
        assert!(text.starts_with("01 Jan 2026: The harbour"), "{text}");
    }

    #[test]
    fn plain_text_has_exactly_the_length_asked_for_and_does_not_end() {
        let tokenizer = samples::byte_level_wrapped();
        let shipped = Passages::shipped();
        for length in [0, 1, 2, 17, 2430, 2431, 5000] {
            let prompt = ExactPrompt::plain(&tokenizer, wanted(&shipped, 3, length)).unwrap();
            let ids = prompt.ids(&tokenizer).unwrap();
            assert_eq!(ids.len(), length);
            assert!(!ids.contains(&1), "a prompt of {length} ids ends as if it were over");
            assert_eq!(ids.first().copied(), (length > 0).then_some(0));
        }
    }

    #[test]
    fn a_longer_prompt_goes_on_where_a_shorter_one_ends() {
        let tokenizer = samples::byte_fallback();
        let shipped = Passages::shipped();
        let ids = |length| {
            let prompt = ExactPrompt::plain(&tokenizer, wanted(&shipped, 0, length)).unwrap();
            prompt.ids(&tokenizer).unwrap()
        };
        assert_eq!(ids(100), ids(4000)[..100]);
    }

    #[test]
    fn a_tokenizer_that_makes_nothing_of_the_text_is_an_error() {
        let mut inner = samples::byte_level().inner;
        let none: tokenizers::NormalizerWrapper = serde_json::from_value(
            serde_json::json!({"type": "Replace", "pattern": {"Regex": "[^h]"}, "content": ""}),
        )
        .unwrap();
        inner.with_normalizer(Some(none)).unwrap();
        inner.with_pre_tokenizer(None::<tokenizers::PreTokenizerWrapper>);
        let tokenizer = Tokenizer::from_parts(inner, samples::config()).unwrap();
        let nothing = Passages::of_text("a b c d").unwrap();
        let error = ExactPrompt::plain(&tokenizer, wanted(&nothing, 0, 1)).unwrap_err();
        assert_eq!(error.kind(), "tokenizer_empty");
    }
}
