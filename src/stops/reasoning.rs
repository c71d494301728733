//! Thinking and answer, told apart in the raw text.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::transcript::Transcript;

/// Pairs that models think between.
const PAIRS: [(&str, &str); 5] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<longcat_think>", "</longcat_think>"),
    ("<|think:start|>", "<|think:end|>"),
    ("<|channel>", "<channel|>"),
];

/// The markers of Harmony, the format of gpt-oss.
const HARMONY: [&str; 5] = ["<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>"];

/// How a model sets its thinking apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "shape", rename_all = "snake_case")]
pub enum Dialect {
    /// Between two markers; a template may write the first one into the prompt.
    Delimited {
        /// Begins thinking.
        open: String,
        /// Ends it.
        close: String,
    },
    /// Each message names its channel, as in Harmony; the answer is in the channel `final`.
    Channels,
}

impl Dialect {
    /// The dialect of a vocabulary that `has` some tokens.
    pub fn of(has: impl Fn(&str) -> bool) -> Option<Self> {
        if HARMONY.into_iter().all(&has) {
            return Some(Self::Channels);
        }
        let (open, close) = PAIRS.into_iter().find(|(open, close)| has(open) && has(close))?;
        Some(Self::Delimited { open: open.to_owned(), close: close.to_owned() })
    }

    /// Whether `prompt` leaves thinking open, as some templates do.
    pub fn is_open_after(&self, prompt: &str) -> bool {
        match self {
            Self::Delimited { open, close } => {
                prompt.rfind(open.as_str()) > prompt.rfind(close.as_str())
            }
            Self::Channels => false,
        }
    }

    /// The markers that are its own and no leak.
    pub(super) fn is_own(&self, marker: &str) -> bool {
        match self {
            Self::Delimited { open, close } => marker == open || marker == close,
            Self::Channels => HARMONY.contains(&marker),
        }
    }

    /// The marker that ends thinking.
    pub(super) fn thinking_end(&self) -> &str {
        match self {
            Self::Delimited { close, .. } => close,
            Self::Channels => "<|end|>",
        }
    }
}

/// What a stretch of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the model thinks.
    Thinking,
    /// What it answers.
    Answer,
    /// What tells the two apart.
    Marker,
}

/// A stretch of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// What it is.
    pub part: Part,
    /// Its bytes.
    pub bytes: Range<usize>,
}

/// Thinking and answer, and how many tokens each took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// All of the text, in order.
    pub spans: Vec<Span>,
    /// Tokens of thinking, without its markers.
    pub thinking_tokens: u32,
    /// Tokens of the answer.
    pub answer_tokens: u32,
    /// The place of the first token that shows something of the answer; white space after thinking is not shown yet.
    pub first_answer_token: Option<u32>,
}

impl Parts {
    /// The parts of what is shown of `transcript`.
    pub fn of(transcript: &Transcript, dialect: Option<&Dialect>) -> Self {
        let text = transcript.visible();
        let spans = spans(&text, dialect, transcript.is_thinking_open);
        let starts = transcript.pieces.iter().scan(0, |end, piece| {
            let start = *end;
            *end += piece.len();
            Some(start)
        });
        let parts = starts.map(|start| part_at(&spans, start));
        let parts: Vec<Option<Part>> = parts.collect();
        let count = |part| {
            let tokens = parts.iter().filter(|other| **other == Some(part)).count();
            u32::try_from(tokens).unwrap_or(u32::MAX)
        };
        let first = spans.iter().find_map(|span| {
            let answer = text.get(span.bytes.clone()).filter(|_| span.part == Part::Answer)?;
            let blank = answer.find(|symbol: char| !symbol.is_whitespace())?;
            transcript.token_at(span.bytes.start + blank)
        });
        Self {
            thinking_tokens: count(Part::Thinking),
            answer_tokens: count(Part::Answer),
            first_answer_token: first.and_then(|at| u32::try_from(at).ok()),
            spans,
        }
    }
}

fn part_at(spans: &[Span], offset: usize) -> Option<Part> {
    spans.iter().find(|span| span.bytes.contains(&offset)).map(|span| span.part)
}

fn spans(text: &str, dialect: Option<&Dialect>, is_open: bool) -> Vec<Span> {
    let mut writer = Writer { text, spans: Vec::new(), at: 0 };
    match dialect {
        None => writer.take(text.len(), Part::Answer),
        Some(Dialect::Delimited { open, close }) => delimited(&mut writer, (open, close), is_open),
        Some(Dialect::Channels) => channels(&mut writer),
    }
    writer.spans
}

struct Writer<'a> {
    text: &'a str,
    spans: Vec<Span>,
    at: usize,
}

impl<'a> Writer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next `length` bytes are `part`.
    fn take(&mut self, length: usize, part: Part) {
        let end = self.at + length;
        match self.spans.last_mut() {
            _ if length == 0 => {}
            Some(last) if last.part == part => last.bytes.end = end,
            _ => self.spans.push(Span { part, bytes: self.at..end }),
        }
        self.at = end;
    }
}

/// Thinking lies between the markers. A closing one without an opening one ends what was thought from the beginning; an
/// opening one that is not closed begins thinking only where nothing was answered before it.
fn delimited(writer: &mut Writer<'_>, (open, close): (&str, &str), is_open: bool) {
    let mut is_thinking = is_open;
    loop {
        let rest = writer.rest();
        let (opens, closes) = (rest.find(open), rest.find(close));
        if is_thinking {
            writer.take(closes.unwrap_or(rest.len()), Part::Thinking);
            writer.take(closes.map_or(0, |_| close.len()), Part::Marker);
            if closes.is_none() {
                return;
            }
            is_thinking = false;
            continue;
        }
        let is_first = writer.spans.iter().all(|span| span.part != Part::Thinking);
        match (opens, closes) {
            (Some(at), _)
                if closes.is_some_and(|close| close > at)
                    || rest.split_at(at).0.trim().is_empty() =>
            {
                let before =
                    if rest.split_at(at).0.trim().is_empty() { Part::Marker } else { Part::Answer };
                writer.take(at, before);
                writer.take(open.len(), Part::Marker);
                is_thinking = true;
            }
            (_, Some(_)) if is_first => is_thinking = true,
            _ => return writer.take(rest.len(), Part::Answer),
        }
    }
}

/// Messages follow each other: a header, `<|message|>`, a text, a marker that ends it. Whatever follows the beginning of
/// the answer is answer, and so is the message of anyone but the assistant: a user sees it.
fn channels(writer: &mut Writer<'_>) {
    let [start, channel, message, ..] = HARMONY;
    if ![channel, message].iter().any(|marker| writer.text.contains(marker)) {
        return writer.take(writer.text.len(), Part::Answer);
    }
    loop {
        let rest = writer.rest();
        let Some(header) = rest.find(message) else {
            let part = if rest.trim_start().starts_with(['<']) || rest.is_empty() {
                Part::Marker
            } else {
                Part::Answer
            };
            return writer.take(rest.len(), part);
        };
        let head = rest.split_at(header).0;
        let role = head.strip_prefix(start).map(|head| head.split('<').next().unwrap_or_default());
        if role.is_some_and(|role| !role.trim().starts_with("assistant")) {
            return writer.take(rest.len(), Part::Answer);
        }
        let name = head.rsplit_once(channel).map_or("final", |(_, name)| name.trim());
        writer.take(header + message.len(), Part::Marker);
        if name.starts_with("final") {
            return writer.take(writer.rest().len(), Part::Answer);
        }
        let rest = writer.rest();
        let ends = ["<|end|>", "<|return|>", "<|call|>", start, channel];
        let end = ends.iter().filter_map(|end| Some((rest.find(end)?, *end))).min();
        writer.take(end.map_or(rest.len(), |(at, _)| at), Part::Thinking);
        let closed = end.filter(|(_, end)| ![start, channel].contains(end));
        writer.take(closed.map_or(0, |(_, end)| end.len()), Part::Marker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stops::Ending;

    fn think() -> Dialect {
        Dialect::of(|token| ["<think>", "</think>"].contains(&token)).unwrap()
    }

    fn harmony() -> Dialect {
        Dialect::of(|token| HARMONY.contains(&token)).unwrap()
    }

    /// The parts of `text`: thinking as `T`, the answer as `A`, markers as `.`.
    #[track_caller]
    fn case(dialect: &Dialect, is_open: bool, text: &str, expected: &[(char, &str)]) {
        let spans = spans(text, Some(dialect), is_open);
        let letters = spans.iter().map(|span| {
            let letter = match span.part {
                Part::Thinking => 'T',
                Part::Answer => 'A',
                Part::Marker => '.',
            };
            (letter, &text[span.bytes.clone()])
        });
        assert_eq!(letters.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn thinking_lies_between_its_markers() {
        let text = "<think>hm</think>\n\nYes.";
        case(
            &think(),
            false,
            text,
            &[('.', "<think>"), ('T', "hm"), ('.', "</think>"), ('A', "\n\nYes.")],
        );
        case(&think(), false, "\n<think>hm", &[('.', "\n<think>"), ('T', "hm")]);
        case(&think(), false, "Yes.", &[('A', "Yes.")]);
    }

    #[test]
    fn a_template_may_have_opened_it() {
        let parts = [('T', "hm"), ('.', "</think>"), ('A', "Yes.")];
        case(&think(), true, "hm</think>Yes.", &parts);
        case(&think(), true, "hm", &[('T', "hm")]);
        // Nobody opened it, and it is closed all the same.
        case(&think(), false, "hm</think>Yes.", &parts);
        assert!(think().is_open_after("user: Hi\nassistant: <think>\n"));
        assert!(!think().is_open_after("assistant: <think>\n\n</think>\n\n"));
        assert!(!think().is_open_after("assistant: "));
    }

    #[test]
    fn an_answer_may_speak_of_the_marker() {
        case(&think(), false, "Write <think> first.", &[('A', "Write <think> first.")]);
        let again = "<think>a</think>b<think>c</think>d";
        let parts = [
            ('.', "<think>"),
            ('T', "a"),
            ('.', "</think>"),
            ('A', "b"),
            ('.', "<think>"),
            ('T', "c"),
            ('.', "</think>"),
            ('A', "d"),
        ];
        case(&think(), false, again, &parts);
    }

    #[test]
    fn the_final_channel_is_the_answer() {
        let text = "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Yes.";
        let parts = [
            ('.', "<|channel|>analysis<|message|>"),
            ('T', "hm"),
            ('.', "<|end|><|start|>assistant<|channel|>final<|message|>"),
            ('A', "Yes."),
        ];
        case(&harmony(), false, text, &parts);
        case(&harmony(), false, "Yes.", &[('A', "Yes.")]);
        let cut = "<|channel|>analysis<|message|>hm<|end|><|start|>assis";
        case(&harmony(), false, cut, &[parts[0], parts[1], ('.', "<|end|><|start|>assis")]);
    }

    #[test]
    fn what_follows_the_answer_is_seen_and_so_is_the_message_of_a_user() {
        let text = "<|channel|>final<|message|>Yes.<|end|><|start|>user<|message|>Why?";
        let seen = "Yes.<|end|><|start|>user<|message|>Why?";
        case(&harmony(), false, text, &[('.', "<|channel|>final<|message|>"), ('A', seen)]);
        let text = "<|channel|>analysis<|message|>hm<|end|><|start|>user<|message|>Why?";
        let parts = [
            ('.', "<|channel|>analysis<|message|>"),
            ('T', "hm"),
            ('.', "<|end|>"),
            ('A', "<|start|>user<|message|>Why?"),
        ];
        case(&harmony(), false, text, &parts);
    }

    #[test]
    fn tokens_are_counted_apart_and_the_first_of_the_answer_is_told() {
        let pieces = ["<think>", "hm", ", ", "so", "</think>", "\n\n", "Yes", ".", "</s>"];
        let transcript = Transcript {
            ids: (0..9).collect(),
            pieces: pieces.map(str::to_owned).to_vec(),
            shown: pieces[..8].concat().len(),
            is_thinking_open: false,
            ending: Ending::StopToken { id: 8 },
        };
        let parts = Parts::of(&transcript, Some(&think()));
        // The line break after thinking is of the answer, and shows nothing.
        assert_eq!((parts.thinking_tokens, parts.answer_tokens), (3, 3));
        assert_eq!(parts.first_answer_token, Some(6));
        let plain = Parts::of(&transcript, None);
        assert_eq!(
            (plain.thinking_tokens, plain.answer_tokens, plain.first_answer_token),
            (0, 8, Some(0))
        );
    }

    #[test]
    fn a_token_that_ends_thinking_and_begins_the_answer_is_its_first() {
        let transcript = Transcript {
            ids: vec![1, 2, 3, 4],
            pieces: ["hm", "</thi", "nk>Yes", "."].map(str::to_owned).to_vec(),
            shown: "hm</think>Yes.".len(),
            is_thinking_open: true,
            ending: Ending::Length,
        };
        assert_eq!(Parts::of(&transcript, Some(&think())).first_answer_token, Some(2));
    }
}
