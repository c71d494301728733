//! What each file names.

use serde::Serialize;
use serde_json::Value;

use crate::{
    checkpoint::Description,
    stops::Token,
    text::{
        TextError, Tokenizer,
        config::{object, token_text},
        stop::ids_of,
    },
};

/// A file, or a key of a GGUF file, that may name stop tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// The tokens that it names; a text without a token is not among them.
    pub tokens: Vec<Token>,
    /// What it names and no token is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// Whether it has room for more than one.
    pub is_list: bool,
}

/// What the files of the model name; a file that is not there is not told.
pub(super) fn read(
    description: &Description,
    tokenizer: Option<&Tokenizer>,
) -> Result<Vec<Source>, TextError> {
    if let Some(gguf) = description.gguf() {
        let named = gguf.stop_ids().into_iter();
        let keys = named.map(|(key, id)| of_ids(key, &Value::from(id), tokenizer, false));
        return Ok(keys.collect());
    }
    let ids = |name, file: &Value| {
        of_ids(name, file.get("eos_token_id").unwrap_or(&Value::Null), tokenizer, true)
    };
    let mut sources = vec![ids("config.json", description.config())];
    sources.extend(description.generation_config().map(|file| ids("generation_config.json", file)));
    for name in ["tokenizer_config.json", "special_tokens_map.json"] {
        let file = object(&description.location().path.join(name))?;
        if !file.is_empty() {
            sources.push(of_text(name, file.get("eos_token").and_then(token_text), tokenizer));
        }
    }
    Ok(sources)
}

fn of_ids(name: &str, ids: &Value, tokenizer: Option<&Tokenizer>, is_list: bool) -> Source {
    let mut source = empty(name, is_list);
    for id in ids_of(ids) {
        let text = tokenizer.and_then(|tokenizer| tokenizer.token_text(id));
        if tokenizer.is_some() && text.is_none() {
            source.unknown.push(id.to_string());
        }
        source.tokens.push(Token { id, text });
    }
    source
}

fn of_text(name: &str, text: Option<&str>, tokenizer: Option<&Tokenizer>) -> Source {
    let mut source = empty(name, false);
    let Some(text) = text else { return source };
    match tokenizer.and_then(|tokenizer| tokenizer.id_of(text)) {
        Some(id) => source.tokens.push(Token { id, text: Some(text.to_owned()) }),
        None => source.unknown.push(format!("`{text}`")),
    }
    source
}

fn empty(name: &str, is_list: bool) -> Source {
    Source { name: name.to_owned(), tokens: Vec::new(), unknown: Vec::new(), is_list }
}
