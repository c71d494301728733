//! The audit of stop tokens: what each file of a model names, what its chat template writes, and which lacks what.
//!
//! It knows no weights. What it finds is handed to [`crate::stops`] as [`Terms`].

mod answer;
mod lacks;
mod sources;
mod turns;

use std::collections::BTreeSet;

use serde::Serialize;

use super::{TextError, Tokenizer, stop_ids};
use crate::{
    checkpoint::Description,
    stops::{Dialect, ENDS, Mark, Terms, Token},
};
pub use answer::first_of_answer;
pub use lacks::Lack;
pub use sources::Source;
use turns::Turns;

/// What the files of a model say of its stop tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// The stop tokens in force: the union of what is named.
    pub in_force: Vec<Token>,
    /// What each file names.
    pub sources: Vec<Source>,
    /// The tokens of the vocabulary that end a text or a turn, in this model or in others.
    pub tokens: Vec<EndToken>,
    /// What the chat template writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<Turns>,
    /// How the model sets its thinking apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Dialect>,
    /// Where the sources disagree.
    pub lacks: Vec<Lack>,
    /// Why there is no tokenizer or no template to look at, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A token that ends a text or a turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EndToken {
    /// The token.
    #[serde(flatten)]
    pub token: Token,
    /// Whether it ends answers.
    pub in_force: bool,
    /// How `tokenizer.json` holds it.
    pub held: Held,
    /// The files that name it.
    pub named_by: Vec<String>,
    /// Whether the chat template writes it after the assistant's turn.
    pub written_by_template: bool,
}

/// How a tokenizer holds a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// Added, and special.
    Special,
    /// Added, and not special.
    Added,
    /// A word like any other.
    Word,
    /// Not at all.
    Absent,
}

impl Held {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Special => "special",
            Self::Added => "added, not special",
            Self::Word => "a word of the vocabulary",
            Self::Absent => "no token",
        }
    }
}

impl Audit {
    /// Audits the model in `description`.
    ///
    /// # Errors
    ///
    /// When a file of its tokenizer that is there cannot be read as one.
    pub fn of(description: &Description) -> Result<Self, TextError> {
        let tokenizer = match description.gguf() {
            None => Tokenizer::from_folder(&description.location().path),
            Some(gguf) => Tokenizer::from_gguf(gguf),
        }?;
        let sources = sources::read(description, tokenizer.as_ref())?;
        let generation = description.generation_config();
        let ids = stop_ids(description.config(), generation, tokenizer.as_ref());
        Ok(Self::put_together(tokenizer.as_ref(), sources, &ids))
    }

    fn put_together(
        tokenizer: Option<&Tokenizer>,
        sources: Vec<Source>,
        in_force: &BTreeSet<u32>,
    ) -> Self {
        let text = |id| tokenizer.and_then(|tokenizer| tokenizer.token_text(id));
        let in_force: Vec<Token> =
            in_force.iter().map(|&id| Token { id, text: text(id) }).collect();
        let turns = tokenizer.map_or(Ok(None), turns::of);
        let (template, trouble) = match turns {
            Ok(template) => (template, None),
            Err(error) => (None, Some(format!("the chat template cannot be looked at: {error}"))),
        };
        let missing = match (tokenizer, &template, &trouble) {
            (None, ..) => Some("there is no tokenizer to look at".to_owned()),
            (Some(_), None, None) => Some("there is no chat template to look at".to_owned()),
            _ => None,
        };
        let mut audit = Self {
            tokens: Vec::new(),
            thinking: tokenizer.and_then(Tokenizer::dialect),
            lacks: Vec::new(),
            notes: trouble.into_iter().chain(missing).collect(),
            in_force,
            sources,
            template,
        };
        audit.tokens = audit.end_tokens(tokenizer);
        audit.lacks = lacks::of(&audit);
        audit
    }

    fn end_tokens(&self, tokenizer: Option<&Tokenizer>) -> Vec<EndToken> {
        let known = ENDS.iter().filter_map(|text| {
            Some(Token { id: tokenizer?.id_of(text)?, text: Some((*text).to_owned()) })
        });
        let named = self.sources.iter().flat_map(|source| source.tokens.iter().cloned());
        let template = self.template.iter().flat_map(Turns::tokens);
        let mut all: Vec<Token> =
            known.chain(named).chain(template).chain(self.in_force.clone()).collect();
        all.sort();
        all.dedup_by_key(|token| token.id);
        all.into_iter().map(|token| self.end_token(token, tokenizer)).collect()
    }

    fn end_token(&self, token: Token, tokenizer: Option<&Tokenizer>) -> EndToken {
        let names = |source: &&Source| source.tokens.iter().any(|other| other.id == token.id);
        EndToken {
            in_force: self.in_force.iter().any(|other| other.id == token.id),
            held: tokenizer.map_or(Held::Absent, |tokenizer| tokenizer.holds(token.id)),
            named_by: self.sources.iter().filter(names).map(|source| source.name.clone()).collect(),
            written_by_template: self
                .template
                .iter()
                .flat_map(Turns::tokens)
                .any(|it| it.id == token.id),
            token,
        }
    }

    /// What answers are judged by.
    pub fn terms(&self) -> Terms {
        let template = self.template.as_ref();
        let header =
            |header: fn(&Turns) -> &Option<String>| template.and_then(|it| header(it).clone());
        Terms {
            in_force: self.in_force.clone(),
            ends: self.tokens.iter().map(|end| end.token.clone()).collect(),
            turn_end: template.and_then(Turns::end).cloned(),
            user_header: header(|turns| &turns.user_header),
            assistant_header: header(|turns| &turns.assistant_header),
            dialect: self.thinking.clone(),
            is_gguf: false,
        }
    }
}

/// What answers of a model that stops at `in_force` are judged by.
pub fn terms(tokenizer: &Tokenizer, in_force: &BTreeSet<u32>) -> Terms {
    Audit::put_together(Some(tokenizer), Vec::new(), in_force).terms()
}

impl Tokenizer {
    /// How the model sets its thinking apart, as far as its vocabulary tells.
    pub fn dialect(&self) -> Option<Dialect> {
        Dialect::of(|token| self.id_of(token).is_some())
    }

    /// The id of a token by its text.
    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    fn holds(&self, id: u32) -> Held {
        match (self.inner.get_added_tokens_decoder().get(&id), self.token_text(id)) {
            (Some(token), _) if token.special => Held::Special,
            (Some(_), _) => Held::Added,
            (None, Some(_)) => Held::Word,
            (None, None) => Held::Absent,
        }
    }

    /// The marker written `text`.
    fn mark(&self, text: &str) -> Mark {
        Mark { text: text.to_owned(), id: self.id_of(text) }
    }
}
