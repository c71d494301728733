//! What a model's files say of its turns, and the stop rules that an answer is made under.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::reasoning::Dialect;

/// A token by its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Token {
    /// Its id.
    pub id: u32,
    /// Its text, where there is a tokenizer that knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl Token {
    /// Its text, or its id where it has none.
    pub fn name(&self) -> String {
        self.text.clone().unwrap_or_else(|| format!("<id:{}>", self.id))
    }
}

/// A marker by its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// How it is written.
    pub text: String,
    /// The token that it is; none where it is spelled with several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
}

/// What a model's files say of its turns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The stop tokens in force.
    pub in_force: Vec<Token>,
    /// Tokens of the vocabulary that end turns in published models, and those in force.
    pub ends: Vec<Token>,
    /// What the chat template writes after the assistant's turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_end: Option<Mark>,
    /// What the chat template writes before the user's turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_header: Option<String>,
    /// What it writes before the assistant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assistant_header: Option<String>,
    /// How the model sets its thinking apart, where it can think.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
    /// Whether all that is one GGUF file, which has no `generation_config.json`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_gguf: bool,
}

impl Terms {
    /// The rules of the model's own configuration.
    pub fn own_rules(&self) -> Rules {
        Rules { tokens: self.in_force.clone(), ..Rules::default() }
    }

    /// The token of the vocabulary that is written `text` and ends turns.
    pub(super) fn end(&self, text: &str) -> Option<&Token> {
        self.ends.iter().find(|token| token.text.as_deref() == Some(text))
    }
}

/// What ends an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Tokens.
    pub tokens: Vec<Token>,
    /// Of these, those that end an answer and no thinking.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub only_in_answer: BTreeSet<u32>,
    /// Texts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strings: Vec<String>,
}

impl Rules {
    /// All as strings.
    pub fn names(&self) -> Vec<String> {
        self.tokens.iter().map(Token::name).chain(self.strings.iter().cloned()).collect()
    }

    pub(super) fn token(&self, id: u32) -> Option<&Token> {
        self.tokens.iter().find(|token| token.id == id)
    }

    /// Adds a token, unless it is there.
    pub(super) fn add(&mut self, token: &Token) {
        if self.token(token.id).is_none() {
            self.tokens.push(token.clone());
            self.tokens.sort();
        }
    }

    /// Whether `text` ends an answer, as a token or as a text.
    pub(super) fn has(&self, text: &str) -> bool {
        let is_token = self.tokens.iter().any(|token| token.text.as_deref() == Some(text));
        is_token || self.strings.iter().any(|string| string == text)
    }
}
