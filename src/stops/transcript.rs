//! What a model answered, id by id.

use serde::{Deserialize, Serialize};

/// An answer, id by id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transcript {
    /// The ids, the one that ended it included.
    pub ids: Vec<u32>,
    /// What each id added to the text, special tokens spelled out. Of a character in several tokens, the last has it all.
    pub pieces: Vec<String>,
    /// Bytes of the text that a user sees: what ended the answer is not shown.
    pub shown: usize,
    /// Whether the prompt ended inside of thinking.
    pub is_thinking_open: bool,
    /// Why it ended.
    pub ending: Ending,
}

impl Transcript {
    /// The text with special tokens.
    pub fn raw(&self) -> String {
        self.pieces.concat()
    }

    /// The text as a user sees it.
    pub fn visible(&self) -> String {
        let mut text = self.raw();
        text.truncate(text.floor_char_boundary(self.shown));
        text
    }

    /// The place of the token that holds the byte at `offset` of the text.
    pub(super) fn token_at(&self, offset: usize) -> Option<usize> {
        let mut end = 0;
        self.pieces.iter().position(|piece| {
            end += piece.len();
            end > offset
        })
    }
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Ending {
    /// A stop token came.
    StopToken {
        /// Its id.
        id: u32,
    },
    /// A stop string came.
    StopString {
        /// The string.
        text: String,
    },
    /// The budget was spent.
    Length,
    /// It said the same again and again.
    RepetitionLoop {
        /// Tokens that are repeated.
        period: u32,
        /// How often they came.
        times: u32,
    },
}
