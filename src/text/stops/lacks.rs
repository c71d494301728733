//! Where the sources disagree.

use serde::Serialize;

use super::Audit;
use crate::stops::{Dialect, Mark, Token};

/// Something that a source lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lack {
    /// The file; none where no file names the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The token; none where the file names none at all, or one that is no token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// All of it in words.
    pub sentence: String,
}

/// All that the sources of `audit` lack, measured by the others and by the chat template.
pub(super) fn of(audit: &Audit) -> Vec<Lack> {
    let mut lacks = Vec::new();
    for source in &audit.sources {
        let name = &source.name;
        let sentence = |sentence| Lack { source: Some(name.clone()), token: None, sentence };
        let unknown = source.unknown.iter();
        lacks.extend(
            unknown.map(|what| sentence(format!("`{name}` names {what}, which is no token"))),
        );
        if source.tokens.is_empty() && source.unknown.is_empty() {
            lacks.push(sentence(format!("`{name}` names no stop token")));
        }
    }
    for end in &audit.tokens {
        let token = &end.token;
        let known = known(audit, token);
        if known.is_empty() {
            continue;
        }
        let by = known.join(", ");
        if !end.in_force {
            let sentence = if end.named_by.is_empty() {
                format!("no file names {}, which {by}", named(token))
            } else {
                format!("{} is not in force, though it is one that {by}", named(token))
            };
            lacks.push(Lack { source: None, token: Some(token.clone()), sentence });
        }
        let lacking = audit.sources.iter().filter(|source| {
            source.is_list && !source.tokens.is_empty() && !source.tokens.contains(token)
        });
        lacks.extend(lacking.filter(|_| end.in_force).map(|source| Lack {
            source: Some(source.name.clone()),
            token: Some(token.clone()),
            sentence: format!("`{}` lacks {}, which {by}", source.name, named(token)),
        }));
    }
    lacks
}

/// Who knows a token as a stop token.
fn known(audit: &Audit, token: &Token) -> Vec<String> {
    let naming = audit.sources.iter().filter(|source| source.tokens.contains(token));
    let mut known: Vec<String> = naming.map(|source| format!("`{}` names", source.name)).collect();
    let writes = |mark: &Option<Mark>| mark.as_ref().is_some_and(|mark| mark.id == Some(token.id));
    if let Some(turns) = &audit.template {
        let words = match (writes(&turns.end_between), writes(&turns.end_last)) {
            (true, _) => Some("the chat template writes after a turn"),
            (false, true) => Some("the chat template writes after the last turn"),
            (false, false) => None,
        };
        known.extend(words.map(str::to_owned));
    }
    let text = token.text.as_deref();
    if audit.thinking == Some(Dialect::Channels) && matches!(text, Some("<|end|>" | "<|return|>")) {
        known.push("ends messages in channels".to_owned());
    }
    known
}

fn named(token: &Token) -> String {
    match &token.text {
        Some(text) => format!("`{text}` ({})", token.id),
        None => format!("id {}", token.id),
    }
}
