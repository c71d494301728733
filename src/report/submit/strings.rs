//! The strings of a line, each with its place; all else of the line stays as it was written.

use super::{super::lenient::tokens, Change, Kind, Secrets};

/// An object with the key in hand, or a list with the number of the item in hand.
enum Level {
    Object(Option<String>),
    List(u64),
}

/// `line`, which is JSON as Python writes it, with each personal string replaced, and what was.
pub(super) fn replaced(line: &str, secrets: &Secrets) -> (String, Vec<Change>) {
    let mut text = String::with_capacity(line.len());
    let mut changes = Vec::new();
    let mut levels: Vec<Level> = Vec::new();
    for token in tokens(line) {
        match token {
            "{" => levels.push(Level::Object(None)),
            "[" => levels.push(Level::List(0)),
            "}" | "]" => drop(levels.pop()),
            "," => match levels.last_mut() {
                Some(Level::Object(key)) => *key = None,
                Some(Level::List(at)) => *at += 1,
                None => {}
            },
            _ => {}
        }
        let Some(written) =
            token.starts_with('"').then(|| serde_json::from_str::<String>(token).ok()).flatten()
        else {
            text.push_str(token);
            continue;
        };
        let is_key = matches!(levels.last(), Some(Level::Object(None)));
        let key = if is_key { None } else { nearest_key(&levels) };
        let (left, kinds) = secrets.scrub(&written, key);
        if let Some(Level::Object(key @ None)) = levels.last_mut() {
            *key = Some(left.clone());
        }
        if kinds.is_empty() {
            text.push_str(token);
        } else {
            text.push_str(&serde_json::Value::from(left.as_str()).to_string());
            changes.push(change(&levels, left, kinds));
        }
    }
    (text, changes)
}

fn change(levels: &[Level], left: String, kinds: Vec<Kind>) -> Change {
    let mut pointer = String::new();
    for level in levels {
        pointer.push('/');
        match level {
            Level::Object(key) => {
                let key = key.as_deref().unwrap_or_default();
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Level::List(at) => pointer.push_str(&at.to_string()),
        }
    }
    Change { pointer, kinds, left }
}

/// The key whose value, or an item of whose list, is in hand.
fn nearest_key(levels: &[Level]) -> Option<&str> {
    levels.iter().rev().find_map(|level| match level {
        Level::Object(key) => key.as_deref(),
        Level::List(_) => None,
    })
}
