//! Token streams that a scripted model says when it is asked where it stops.

use crate::stops::{Dialect, Mark, Rules, Terms, Token, Transcript, Watch};

/// A stream by its name: `scripted:says@NAME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its name.
    pub name: &'static str,
    /// What would be said if nothing stopped it, a token a piece.
    pieces: &'static [&'static str],
    /// The stop token of the configuration.
    stop: (u32, &'static str),
    /// Whether the model thinks between `<think>` and `</think>`, and whether the template opens it.
    thinks: Option<bool>,
}

/// The end of a turn by the template of every stream.
const END: (u32, &str) = (2, "<|im_end|>");

/// Another end, which some configurations name alone.
const OTHER: (u32, &str) = (3, "<|endoftext|>");

const STREAMS: &[Stream; 5] = &[
    Stream {
        name: "clean",
        pieces: &["Cats", " sleep", ".", "<|im_end|>", "\n", "More"],
        stop: END,
        thinks: None,
    },
    Stream {
        name: "past",
        pieces: &["Cats", " sleep", ".", "<|im_end|>", "\n", "More", " cats", "."],
        stop: OTHER,
        thinks: None,
    },
    Stream {
        name: "spelled",
        pieces: &["Cats", ".", "<", "|im", "_end", "|>", "\n", "More", "<|im_end|>"],
        stop: END,
        thinks: None,
    },
    Stream {
        name: "thinking",
        pieces: &["hm", ".", "</think>", "\n\n", "Cats", ".", "<|im_end|>"],
        stop: END,
        thinks: Some(true),
    },
    Stream { name: "loop", pieces: &["la"; 40], stop: END, thinks: None },
];

impl Default for Stream {
    /// A model that stops where it should.
    fn default() -> Self {
        let [clean, ..] = STREAMS;
        *clean
    }
}

impl Stream {
    /// The stream called `name`.
    pub fn named(name: &str) -> Option<Self> {
        STREAMS.iter().find(|stream| stream.name == name).copied()
    }

    /// What the model's files would say.
    pub fn terms(self) -> Terms {
        let token = |(id, text): (u32, &str)| Token { id, text: Some(text.to_owned()) };
        let (open, close) = ("<think>".to_owned(), "</think>".to_owned());
        Terms {
            in_force: vec![token(self.stop)],
            ends: vec![token(END), token(OTHER)],
            turn_end: Some(Mark { text: END.1.to_owned(), id: Some(END.0) }),
            user_header: Some("<|im_start|>user".to_owned()),
            assistant_header: Some("<|im_start|>assistant".to_owned()),
            dialect: self.thinks.map(|_| Dialect::Delimited { open, close }),
        }
    }

    /// What it answers under `rules`, in `max_tokens` tokens at the most.
    pub fn answer(self, rules: &Rules, max_tokens: u32) -> Transcript {
        let terms = self.terms();
        let mut watch = Watch::new(rules, terms.dialect.as_ref(), self.thinks.unwrap_or_default());
        for (piece, _) in self.pieces.iter().zip(0..max_tokens) {
            let known = terms.ends.iter().find(|token| token.text.as_deref() == Some(piece));
            // The same word has the same id.
            let other = 100 + piece.bytes().map(u32::from).sum::<u32>();
            if watch.push(known.map_or(other, |token| token.id), piece) {
                break;
            }
        }
        watch.finish("")
    }
}
