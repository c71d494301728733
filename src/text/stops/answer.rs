//! Where the answer begins, of a model that may think before.

use crate::{
    stops::{Ending, Parts, Transcript},
    text::{TextError, Tokenizer},
};

/// The place of the first token of `shown` that shows something of the answer to `prompt`; none where the model does not
/// think, or thinks until the end.
///
/// # Errors
///
/// When the tokenizer cannot decode the ids.
pub fn first_of_answer(
    tokenizer: &Tokenizer,
    prompt: &[u32],
    shown: &[u32],
) -> Result<Option<u32>, TextError> {
    let Some(dialect) = tokenizer.dialect() else {
        return Ok(None);
    };
    let is_thinking_open = dialect.is_open_after(&tokenizer.decode(prompt)?);
    let mut stream = tokenizer.stream();
    let mut pieces: Vec<String> =
        shown.iter().map(|&id| stream.push(id)).collect::<Result<_, _>>()?;
    let rest = stream.finish()?;
    if let Some(last) = pieces.last_mut() {
        last.push_str(&rest);
    }
    let transcript = Transcript {
        ids: shown.to_vec(),
        shown: pieces.iter().map(String::len).sum(),
        pieces,
        is_thinking_open,
        ending: Ending::Length,
    };
    Ok(Parts::of(&transcript, Some(&dialect)).first_answer_token)
}

#[cfg(test)]
mod tests {
    use tokenizers::AddedToken;

    use super::*;
    use crate::text::samples;

    /// Bytes, of which `b` has id `b + 3`; 262 and 263 open and close thinking.
    fn thinking() -> Tokenizer {
        let mut inner = samples::byte_level().inner;
        let markers = ["<think>", "</think>"].map(|token| AddedToken::from(token, false));
        inner.add_tokens(markers).unwrap();
        Tokenizer::from_parts(inner, samples::config()).unwrap()
    }

    #[test]
    fn it_begins_after_thinking_and_white_space() {
        let tokenizer = thinking();
        let (h, newline) = (u32::from(b'h') + 3, u32::from(b'\n') + 3);
        let first =
            |prompt: &[u32], shown: &[u32]| first_of_answer(&tokenizer, prompt, shown).unwrap();
        assert_eq!(first(&[h], &[262, h, h, 263, newline, h, h]), Some(5));
        // The prompt opened it.
        assert_eq!(first(&[h, 262, newline], &[h, h, 263, h]), Some(3));
        // The prompt opened and closed it: all is answer.
        assert_eq!(first(&[h, 262, newline, 263], &[h, h]), Some(0));
        assert_eq!(first(&[h, 262], &[h, h]), None);
    }

    #[test]
    fn a_model_that_does_not_think_has_none() {
        assert_eq!(first_of_answer(&samples::byte_level(), &[5], &[6, 7]).unwrap(), None);
    }
}
