//! What a chat template writes around turns, found by having it write some.

use serde::Serialize;

use crate::{
    stops::{Dialect, Mark, Token},
    text::{ChatOptions, Message, SpecialTokens, TextError, Tokenizer},
};

/// What is said in the chat that is written: words that no template has.
const QUESTION: &str = "Qwhatisasked";
const ANSWER: &str = "Qwhatisanswered";
const AGAIN: &str = "Qwhatisaskedagain";

/// What a chat template writes around turns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Turns {
    /// After the assistant's turn, where the user's follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_between: Option<Mark>,
    /// After the assistant's last turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_last: Option<Mark>,
    /// Before the user's turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_header: Option<String>,
    /// Before the assistant's turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assistant_header: Option<String>,
    /// Whether the prompt ends inside of thinking.
    pub opens_thinking: bool,
}

impl Turns {
    /// What ends a turn: before another turn, or else at the end.
    pub(super) fn end(&self) -> Option<&Mark> {
        self.end_between.as_ref().or(self.end_last.as_ref())
    }

    /// The tokens that it ends turns with.
    pub(super) fn tokens(&self) -> impl Iterator<Item = Token> {
        let marks = [&self.end_between, &self.end_last].into_iter().flatten();
        marks.filter_map(|mark| Some(Token { id: mark.id?, text: Some(mark.text.clone()) }))
    }
}

/// What the template of `tokenizer` writes; none where there is none.
pub(super) fn of(tokenizer: &Tokenizer) -> Result<Option<Turns>, TextError> {
    if !tokenizer.has_chat_template() {
        return Ok(None);
    }
    let options =
        ChatOptions { enable_thinking: None, now: jiff::civil::date(2026, 1, 1).at(0, 0, 0, 0) };
    let answer = Message { role: "assistant".to_owned(), content: ANSWER.to_owned() };
    let chat = [Message::user(QUESTION), answer, Message::user(AGAIN)];
    let write = |said: &[Message], goes_on| tokenizer.write_chat(said, options, goes_on);
    let [question, answer, _] = &chat;
    let asked = write(std::slice::from_ref(question), true)?;
    let closed = write(&[question.clone(), answer.clone()], false)?;
    let between = write(&chat, true)?;
    let between =
        after(&between, ANSWER).and_then(|rest| rest.split_once(AGAIN)).map(|(text, _)| text);
    let opening = after(&asked, QUESTION);
    let end_between = between.and_then(|text| first_mark(tokenizer, text));
    let end_last = after(&closed, ANSWER).and_then(|text| first_mark(tokenizer, text));
    let dialect = tokenizer.dialect();
    let end = end_between.as_ref();
    Ok(Some(Turns {
        user_header: between.and_then(|text| header(tokenizer, text, end, None)),
        assistant_header: opening.and_then(|text| header(tokenizer, text, end, dialect.as_ref())),
        opens_thinking: dialect.is_some_and(|dialect| dialect.is_open_after(&asked)),
        end_between,
        end_last,
    }))
}

/// What stands after the last `word`.
fn after<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.rsplit_once(word).map(|(_, rest)| rest)
}

/// The marker that `text` begins with: a token that is taken whole, or something in brackets.
fn first_mark(tokenizer: &Tokenizer, text: &str) -> Option<Mark> {
    let text = text.trim_start();
    let ids = tokenizer.encode(text, SpecialTokens::Leave).ok()?;
    let added = tokenizer.inner.get_added_tokens_decoder();
    // Some tokenizers put a space before a text that has none.
    let first = ids.into_iter().find(|&id| {
        tokenizer.token_text(id).is_none_or(|word| !word.trim_matches(['▁', ' ']).is_empty())
    });
    let token =
        first.and_then(|id| added.get(&id)).filter(|token| text.starts_with(&token.content));
    if let Some(token) = token {
        return Some(tokenizer.mark(&token.content));
    }
    let close = match text.chars().next()? {
        '<' => '>',
        '[' => ']',
        _ => return None,
    };
    let end = text.find(close)?;
    text.get(..=end).map(|text| tokenizer.mark(text))
}

/// What is left of `text` without the end of the turn before it and the token that begins texts, up to where thinking is
/// written.
fn header(
    tokenizer: &Tokenizer,
    text: &str,
    end: Option<&Mark>,
    dialect: Option<&Dialect>,
) -> Option<String> {
    let text = text.trim();
    let without = |text: &str, marker: Option<&str>| {
        text.strip_prefix(marker?)
            .map(|rest| rest.trim().to_owned())
            .filter(|rest| !rest.is_empty())
    };
    // An end that is the header of the next turn is kept, and so is a first token that begins each turn.
    let text = text.trim();
    let text = without(text, end.map(|mark| mark.text.as_str())).unwrap_or_else(|| text.to_owned());
    let begun = without(&text, tokenizer.bos_token()).filter(|rest| rest.starts_with(['<', '[']));
    let text = begun.unwrap_or(text);
    let text = match dialect {
        Some(Dialect::Delimited { open, .. }) => {
            text.split(open.as_str()).next().unwrap_or(&text).trim()
        }
        Some(Dialect::Channels) | None => text.as_str(),
    };
    (!text.is_empty()).then(|| text.to_owned())
}
