//! Ids and text: the tokenizer of a model, its chat template, and the ids that stop it.

mod chat;
pub mod config;
mod detokenize;
mod exact;
mod guard;
mod prompt;
#[cfg(test)]
mod samples;
mod stop;
pub mod stops;
pub mod template;
mod tokenizer;
mod visible;

pub use chat::{ChatOptions, Message};
pub use detokenize::Detokenizer;
pub use exact::{ExactPrompt, Wanted};
pub use prompt::{check_ids, is_usable, random_ids};
pub use stop::stop_ids;
pub use tokenizer::{SpecialTokens, Tokenizer};
pub use visible::VisibleText;

use std::{error::Error, io, path::PathBuf};

use thiserror::Error;

use crate::checkpoint::gguf::GgufError;
use template::TemplateError;

/// Why ids and text could not be had.
#[derive(Debug, Error)]
pub enum TextError {
    /// A file that is there cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is not JSON.
    #[error("`{path}` is not JSON")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it goes wrong.
        source: serde_json::Error,
    },
    /// A file is JSON, but not the kind that was to be expected.
    #[error("`{path}` does not hold a JSON object")]
    NotAnObject {
        /// The file.
        path: PathBuf,
    },
    /// A `tokenizer.json` is none.
    #[error("`{path}` is not a tokenizer")]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The tokenizer in a GGUF file is of no use.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// A token would get another id than its configuration says.
    #[error("token `{token}` should have id {declared}, but gets {given}")]
    AddedToken {
        /// The token.
        token: String,
        /// Its id by `added_tokens_decoder`.
        declared: u32,
        /// The id that the tokenizer gives it.
        given: u32,
    },
    /// A text has no ids.
    #[error("cannot encode the text")]
    Encode {
        /// What the tokenizer says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Ids have no text.
    #[error("cannot decode the ids")]
    Decode {
        /// What the tokenizer says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A prompt was asked of a tokenizer that makes nothing of English.
    #[error("the tokenizer makes no ids of English text")]
    NoIds,
    /// The chat template alone takes more ids than a prompt was to have.
    #[error("the chat template needs a prompt of {minimum} tokens or more, not {length}")]
    TooShort {
        /// The ids that were asked for.
        length: usize,
        /// The fewest that there can be.
        minimum: usize,
    },
    /// No text was found that has as many ids as were asked for.
    #[error("no prompt was found that has exactly {length} tokens")]
    NoExactText {
        /// The ids that were asked for.
        length: usize,
    },
    /// A chat was asked of a model that has no template for one.
    #[error("the model has no chat template")]
    NoChatTemplate,
    /// A model has templates, but none for a plain chat.
    #[error("of the chat templates {names:?} none is called `default`")]
    NoDefaultTemplate {
        /// Their names.
        names: Vec<String>,
    },
    /// The chat template gives no text.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// An id that the model has no row for.
    #[error("id {id} lies beyond the model's vocabulary of {vocabulary}")]
    BeyondVocabulary {
        /// The first such id.
        id: u32,
        /// Rows of the model's embedding.
        vocabulary: u32,
    },
}

impl TextError {
    /// A stable name for machines.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Read { .. } => "tokenizer_unreadable",
            Self::Json { .. } | Self::NotAnObject { .. } | Self::Tokenizer { .. } => {
                "tokenizer_malformed"
            }
            Self::Gguf(error) => error.kind(),
            Self::AddedToken { .. } => "tokenizer_inconsistent",
            Self::Encode { .. } => "encode",
            Self::Decode { .. } => "decode",
            Self::NoIds => "tokenizer_empty",
            Self::TooShort { .. } => "prompt_too_short",
            Self::NoExactText { .. } => "prompt_inexact",
            Self::NoChatTemplate | Self::NoDefaultTemplate { .. } => "chat_template_missing",
            Self::Template(error) => error.kind(),
            Self::BeyondVocabulary { .. } => "id_beyond_vocabulary",
        }
    }
}
