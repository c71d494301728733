//! How families of models write turns, for scripted streams: their end tokens with the ids they have in published models.

use crate::stops::{Dialect, Mark, Terms, Token};

/// How a family writes turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Family {
    /// The tokens that end something.
    ends: &'static [(u32, &'static str)],
    /// What the chat template writes after a turn, before the user's and before the assistant's.
    turns: [&'static str; 3],
    thinks: Thinks,
}

/// Whether and how a family thinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thinks {
    Never,
    /// Between `<think>` and `</think>`.
    Delimited,
    /// The same, and the template opens it.
    Opened,
    InChannels,
}

pub(super) const CHAT_ML: Family = Family {
    ends: &[(2, "<|im_end|>"), (3, "<|endoftext|>")],
    turns: ["<|im_end|>", "<|im_start|>user", "<|im_start|>assistant"],
    thinks: Thinks::Never,
};

pub(super) const OPENED: Family = Family { thinks: Thinks::Opened, ..CHAT_ML };

/// What ends thinking is among the ends where a configuration names it.
pub(super) const THINKING: Family = Family {
    ends: &[(2, "<|im_end|>"), (3, "<|endoftext|>"), (4, "</think>")],
    thinks: Thinks::Delimited,
    ..CHAT_ML
};

pub(super) const PHI_3: Family = Family {
    ends: &[(32_000, "<|endoftext|>"), (32_007, "<|end|>")],
    turns: ["<|end|>", "<|user|>", "<|assistant|>"],
    thinks: Thinks::Never,
};

pub(super) const GEMMA: Family = Family {
    ends: &[(1, "<eos>"), (106, "<end_of_turn>")],
    turns: ["<end_of_turn>", "<start_of_turn>user", "<start_of_turn>model"],
    thinks: Thinks::Never,
};

pub(super) const HARMONY: Family = Family {
    ends: &[
        (199_999, "<|endoftext|>"),
        (200_002, "<|return|>"),
        (200_007, "<|end|>"),
        (200_012, "<|call|>"),
    ],
    turns: ["<|end|>", "<|start|>user<|message|>", "<|start|>assistant"],
    thinks: Thinks::InChannels,
};

impl Family {
    /// What the files of a model would say that names the ends `stop`.
    pub(super) fn terms(self, stop: &[&str]) -> Terms {
        let token = |&(id, text): &(u32, &str)| Token { id, text: Some(text.to_owned()) };
        let id_of = |wanted: &str| self.ends.iter().find(|(_, text)| *text == wanted);
        let [end, user, assistant] = self.turns;
        let (open, close) = ("<think>".to_owned(), "</think>".to_owned());
        Terms {
            in_force: stop.iter().filter_map(|text| id_of(text)).map(token).collect(),
            ends: self.ends.iter().map(token).collect(),
            turn_end: Some(Mark { text: end.to_owned(), id: id_of(end).map(|(id, _)| *id) }),
            user_header: Some(user.to_owned()),
            assistant_header: Some(assistant.to_owned()),
            dialect: match self.thinks {
                Thinks::Never => None,
                Thinks::Delimited | Thinks::Opened => Some(Dialect::Delimited { open, close }),
                Thinks::InChannels => Some(Dialect::Channels),
            },
            is_gguf: false,
        }
    }

    /// Whether the prompt ends inside of thinking.
    pub(super) fn opens_thinking(self) -> bool {
        self.thinks == Thinks::Opened
    }
}
