//! What is known of a tokenizer beyond its `tokenizer.json`.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::TextError;
use crate::files::{self, python_json};

/// The special tokens that have a name, as templates call them.
const NAMED_TOKENS: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// What is known of a tokenizer beyond its `tokenizer.json`.
#[derive(Clone, Debug, Default)]
pub struct TokenizerConfig {
    /// Special tokens by the name that templates use, such as `bos_token`.
    pub special_tokens: BTreeMap<String, String>,
    /// Tokens that must be taken whole, with the id that each should have.
    pub added_tokens: BTreeMap<u32, AddedToken>,
    /// The chat template.
    pub chat_template: TemplateSource,
}

/// The text of a chat template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TemplateSource {
    /// There is none.
    #[default]
    Absent,
    /// There are some, but none for a plain chat.
    Named(Vec<String>),
    /// The one for a plain chat.
    Default {
        /// Where it comes from, for errors.
        origin: String,
        /// The template.
        source: String,
    },
}

impl TokenizerConfig {
    /// Reads what `folder` holds: `tokenizer_config.json`, `special_tokens_map.json`,
    /// `chat_template.jinja`, `chat_template.json`. Each may be missing.
    ///
    /// # Errors
    ///
    /// When a file that is there cannot be read.
    pub fn from_folder(folder: &Path) -> Result<Self, TextError> {
        let main = object(&folder.join("tokenizer_config.json"))?;
        let mut config = Self::default();
        collect_special_tokens(&main, &mut config.special_tokens);
        config.added_tokens = added_tokens(&main);
        if !main.contains_key("added_tokens_decoder") {
            // Only folders of the older form are read with this file, which then prevails.
            let map = object(&folder.join("special_tokens_map.json"))?;
            collect_special_tokens(&map, &mut config.special_tokens);
        }
        config.chat_template = chat_template(folder, &main)?;
        Ok(config)
    }

    /// The token that begins a text.
    pub fn bos(&self) -> Option<&str> {
        self.special_tokens.get("bos_token").map(String::as_str)
    }

    /// The token that ends a text.
    pub fn eos(&self) -> Option<&str> {
        self.special_tokens.get("eos_token").map(String::as_str)
    }
}

/// The object in `path`, empty where there is no such file.
pub(super) fn object(path: &Path) -> Result<Map<String, Value>, TextError> {
    let Some(text) = read(path)? else {
        return Ok(Map::new());
    };
    match python_json::parse(&text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(TextError::NotAnObject { path: path.to_owned() }),
        Err(source) => Err(TextError::Json { path: path.to_owned(), source }),
    }
}

fn read(path: &Path) -> Result<Option<String>, TextError> {
    match files::read_text(path, files::LONGEST_CONFIG) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TextError::Read { path: PathBuf::from(path), source }),
    }
}

/// A token is written as its text, or as an object that holds it.
pub(super) fn token_text(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str())
}

fn collect_special_tokens(file: &Map<String, Value>, into: &mut BTreeMap<String, String>) {
    for name in NAMED_TOKENS {
        if let Some(token) = file.get(name).and_then(token_text) {
            into.insert(name.to_owned(), token.to_owned());
        }
    }
}

fn added_tokens(file: &Map<String, Value>) -> BTreeMap<u32, AddedToken> {
    let declared = file.get("added_tokens_decoder").and_then(Value::as_object);
    declared
        .into_iter()
        .flatten()
        .filter_map(|(id, token)| Some((id.parse().ok()?, added_token(token)?)))
        .collect()
}

fn added_token(value: &Value) -> Option<AddedToken> {
    let flag = |name: &str| value.get(name).and_then(Value::as_bool);
    let special = flag("special").unwrap_or(false);
    let token = AddedToken::from(token_text(value)?, special)
        .single_word(flag("single_word").unwrap_or(false))
        .lstrip(flag("lstrip").unwrap_or(false))
        .rstrip(flag("rstrip").unwrap_or(false))
        .normalized(flag("normalized").unwrap_or(!special));
    Some(token)
}

/// A file of its own prevails over an entry in `tokenizer_config.json`.
fn chat_template(folder: &Path, main: &Map<String, Value>) -> Result<TemplateSource, TextError> {
    if let Some(source) = read(&folder.join("chat_template.jinja"))? {
        return Ok(TemplateSource::Default { origin: "chat_template.jinja".to_owned(), source });
    }
    let entry = template_entry("tokenizer_config.json", main);
    if entry != TemplateSource::Absent {
        return Ok(entry);
    }
    let file = "chat_template.json";
    Ok(template_entry(file, &object(&folder.join(file))?))
}

fn template_entry(origin: &str, file: &Map<String, Value>) -> TemplateSource {
    let found = |source: &str| TemplateSource::Default {
        origin: origin.to_owned(),
        source: source.to_owned(),
    };
    let Some(entry) = file.get("chat_template") else {
        return TemplateSource::Absent;
    };
    if let Some(source) = entry.as_str() {
        return found(source);
    }
    let named = named_templates(entry);
    match named.get("default") {
        Some(source) => found(source),
        None if named.is_empty() => TemplateSource::Absent,
        None => TemplateSource::Named(named.into_keys().map(str::to_owned).collect()),
    }
}

/// Several templates, as a list of names with templates or as one object.
fn named_templates(entry: &Value) -> BTreeMap<&str, &str> {
    let listed =
        entry.as_array().into_iter().flatten().filter_map(|entry| {
            Some((entry.get("name")?.as_str()?, entry.get("template")?.as_str()?))
        });
    let keyed = entry.as_object().into_iter().flatten();
    listed
        .chain(keyed.filter_map(|(name, source)| Some((name.as_str(), source.as_str()?))))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use std::fs;

    use super::*;

    fn folder(files: &[(&str, Value)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let text = content.as_str().map_or_else(|| content.to_string(), str::to_owned);
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn read(files: &[(&str, Value)]) -> TokenizerConfig {
        TokenizerConfig::from_folder(folder(files).path()).unwrap()
    }

    fn default_of(origin: &str, source: &str) -> TemplateSource {
        TemplateSource::Default { origin: origin.to_owned(), source: source.to_owned() }
    }

    #[test]
    fn an_empty_folder_says_nothing() {
        let config = read(&[]);
        assert!(config.special_tokens.is_empty() && config.added_tokens.is_empty());
        assert_eq!(config.chat_template, TemplateSource::Absent);
    }

    #[test]
    fn a_token_may_be_a_text_or_an_object() {
        let config = read(&[(
            "tokenizer_config.json",
            json!({
                "bos_token": {"content": "<s>", "lstrip": false}, "eos_token": "</s>", "pad_token": null,
            }),
        )]);
        assert_eq!((config.bos(), config.eos()), (Some("<s>"), Some("</s>")));
        assert_eq!(config.special_tokens.len(), 2);
    }

    #[test]
    fn the_map_of_special_tokens_prevails_only_in_folders_of_the_older_form() {
        let map = ("special_tokens_map.json", json!({"eos_token": "<map>"}));
        let old = json!({"eos_token": "<main>"});
        assert_eq!(read(&[("tokenizer_config.json", old), map.clone()]).eos(), Some("<map>"));
        let new = json!({"eos_token": "<main>", "added_tokens_decoder": {}});
        assert_eq!(read(&[("tokenizer_config.json", new), map]).eos(), Some("<main>"));
    }

    #[test]
    fn added_tokens_keep_their_ids_and_flags() {
        let config = read(&[(
            "tokenizer_config.json",
            json!({"added_tokens_decoder": {
                "7": {"content": "<x>", "lstrip": true, "rstrip": false, "single_word": false,
                      "normalized": false, "special": true},
            }}),
        )]);
        let token = &config.added_tokens[&7];
        assert_eq!(token.content, "<x>");
        assert!(token.lstrip && token.special && !token.rstrip && !token.normalized);
    }

    #[test]
    fn a_template_in_a_file_of_its_own_prevails() {
        let main = ("tokenizer_config.json", json!({"chat_template": "main"}));
        let other = ("chat_template.json", json!({"chat_template": "other"}));
        let own = ("chat_template.jinja", json!("own"));
        assert_eq!(
            read(std::slice::from_ref(&other)).chat_template,
            default_of("chat_template.json", "other")
        );
        assert_eq!(
            read(&[other.clone(), main.clone()]).chat_template,
            default_of("tokenizer_config.json", "main")
        );
        assert_eq!(
            read(&[other, main, own]).chat_template,
            default_of("chat_template.jinja", "own")
        );
    }

    #[test]
    fn of_several_templates_the_default_is_taken() {
        let entry = |name: &str| json!({"name": name, "template": format!("of {name}")});
        let file = |entries: Vec<Value>| {
            read(&[("tokenizer_config.json", json!({"chat_template": entries}))])
        };
        let both = file(vec![entry("tool_use"), entry("default")]);
        assert_eq!(both.chat_template, default_of("tokenizer_config.json", "of default"));
        let others = file(vec![entry("tool_use"), entry("rag")]);
        assert_eq!(
            others.chat_template,
            TemplateSource::Named(vec!["rag".to_owned(), "tool_use".to_owned()])
        );
    }

    #[test]
    fn templates_may_be_keyed_by_their_names() {
        let keyed = json!({"chat_template": {"tool_use": "tools", "default": "plain"}});
        let config = read(&[("tokenizer_config.json", keyed)]);
        assert_eq!(config.chat_template, default_of("tokenizer_config.json", "plain"));
    }

    #[test]
    fn what_python_writes_is_read_and_what_is_no_json_is_an_error() {
        let python = json!("{\"model_max_length\": Infinity, \"bos_token\": \"<s>\"}");
        assert_eq!(read(&[("tokenizer_config.json", python)]).bos(), Some("<s>"));
        for broken in ["{", "[]"] {
            let folder = folder(&[("tokenizer_config.json", json!(broken))]);
            let error = TokenizerConfig::from_folder(folder.path()).unwrap_err();
            assert_eq!(error.kind(), "tokenizer_malformed");
        }
    }
}
