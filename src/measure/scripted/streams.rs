//! Token streams that a scripted model says when it is asked where it stops.

use super::turns::{CHAT_ML, Family, GEMMA, HARMONY, OPENED, PHI_3, THINKING};
use crate::stops::{Rules, Terms, Transcript, Watch};

/// A stream by its name: `scripted:says@NAME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its name.
    pub name: &'static str,
    /// What would be said if nothing stopped it, a token a piece.
    pieces: &'static [&'static str],
    /// The stop tokens of the configuration.
    stop: &'static [&'static str],
    /// How the model writes turns.
    family: Family,
}

const fn says(
    name: &'static str,
    family: Family,
    stop: &'static [&'static str],
    pieces: &'static [&'static str],
) -> Stream {
    Stream { name, pieces, stop, family }
}

/// What the configurations of ChatML name.
const END: &[&str] = &["<|im_end|>"];
const OTHER: &[&str] = &["<|endoftext|>"];

/// What gpt-oss says until its answer is complete.
macro_rules! harmony {
    ($($rest:literal),*) => {
        &[
            "<|channel|>", "analysis", "<|message|>", "hm", "<|end|>", "<|start|>", "assistant", "<|channel|>", "final",
            "<|message|>", "Cats", ".", $($rest),*
        ]
    };
}

#[rustfmt::skip]
const STREAMS: &[Stream; 16] = &[
    says("clean", CHAT_ML, END, &["Cats", " sleep", ".", "<|im_end|>", "\n", "More"]),
    // It goes on after the end of its turn, which is not configured: with more text, or for the user.
    says("past", CHAT_ML, OTHER, &["Cats", " sleep", ".", "<|im_end|>", "\n", "More", " cats", "."]),
    says("turn", CHAT_ML, OTHER, &["Cats", ".", "<|im_end|>", "\n", "<|im_start|>", "user", "\n", "Hi"]),
    says("user", CHAT_ML, END, &["Hello", "!", "\n", "User", ":", " Hi", "<|im_end|>"]),
    // Ends spelled as ordinary text: its own, and the one of another model in a second spelling.
    says("spelled", CHAT_ML, END, &["Cats", ".", "<", "|im", "_end", "|>", "\n", "More", "<|im_end|>"]),
    says("other-spelling", CHAT_ML, END,
         &["Cats", ".", "<|end", "_of", "_sentence", "|>", "\n", "More", "<|im_end|>"]),
    // Nothing is configured; nothing is said; the same is said again and again.
    says("endless", CHAT_ML, &[], &["Cats", ".", "<|im_end|>", "\n", "More"]),
    says("silent", CHAT_ML, END, &["<|im_end|>", "More"]),
    says("loop", CHAT_ML, END, &["la"; 40]),
    says("two-ends", PHI_3, OTHER, &["Cats", ".", "<|end|>", "<|assistant|>", "More", "<|endoftext|>"]),
    says("gemma", GEMMA, &["<eos>"], &["Cats", ".", "<end_of_turn>", "\n", "<end_of_turn>", "\n"]),
    // Thinking, opened by the template; and ended by a token that is configured to end answers.
    says("thinking", OPENED, END, &["hm", ".", "</think>", "\n\n", "Cats", ".", "<|im_end|>"]),
    says("thinking-ends", THINKING, &["<|im_end|>", "</think>"],
         &["<think>", "hm", "</think>", "Cats", ".", "<|im_end|>"]),
    says("harmony", HARMONY, &["<|return|>"], harmony!["<|return|>", "More"]),
    says("harmony-past", HARMONY, &["<|return|>"],
         harmony!["<|end|>", "<|start|>", "assistant", "<|channel|>", "final", "<|message|>", "Dogs"]),
    // `<|end|>` ends every message, also the one that is thought.
    says("harmony-ends", HARMONY, &["<|return|>", "<|end|>"], harmony!["<|return|>"]),
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
        self.family.terms(self.stop)
    }

    /// What it answers under `rules`, in `max_tokens` tokens at the most.
    pub fn answer(self, rules: &Rules, max_tokens: u32) -> Transcript {
        let terms = self.terms();
        let is_open = self.family.opens_thinking();
        let mut watch = Watch::new(rules, terms.dialect.as_ref(), is_open);
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
