//! A finding, as people, programs and GitHub read it.

use std::path::Path;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// The line does not fit its schema.
    Error,
    /// It fits, and readers stumble.
    Warning,
}

/// Something to say about a line, or about the file.
#[derive(Debug)]
pub(super) struct Notice {
    pub(super) level: Level,
    pub(super) rule: &'static str,
    pub(super) line: Option<u64>,
    /// Where in the line, as a JSON pointer.
    pub(super) pointer: String,
    /// The reason; an error names its place itself.
    pub(super) message: String,
}

impl Notice {
    pub(super) fn to_human(&self, path: &Path) -> String {
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        format!("{}{line}: {}", path.display(), plain(&self.sentence()))
    }

    fn sentence(&self) -> String {
        let Self { rule, pointer, message, .. } = self;
        let place = if pointer.is_empty() { String::new() } else { format!("`{pointer}`: ") };
        match self.level {
            Level::Error => message.clone(),
            Level::Warning => format!("warning: {place}{message} [{rule}]"),
        }
    }

    pub(super) fn to_json(&self, path: &Path) -> String {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        let mut notice = serde_json::json!({
            "file": path.to_string_lossy(),
            "line": self.line,
            "level": level,
            "rule": self.rule,
            "pointer": self.pointer,
            "message": self.message,
        });
        // Unknown is absent.
        if let (None, Some(keys)) = (self.line, notice.as_object_mut()) {
            keys.shift_remove("line");
        }
        notice.to_string()
    }

    /// A command that GitHub's runner makes an annotation of.
    pub(super) fn to_github(&self, path: &Path) -> String {
        let command = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        let line = self.line.map(|line| format!(",line={line}")).unwrap_or_default();
        let file = property(&path.to_string_lossy());
        let sentence = self.sentence();
        let sentence = sentence.strip_prefix("warning: ").unwrap_or(&sentence);
        format!("::{command} file={file}{line},title={}::{}", self.rule, data(sentence))
    }
}

/// `text` without what would move a terminal's cursor.
pub(in crate::cli) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// What stands after `::`: only a line break could begin another command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// What stands after `=`.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hostile() -> Notice {
        Notice {
            level: Level::Error,
            rule: "schema",
            line: Some(3),
            pointer: "/outcome".to_owned(),
            message: "`/outcome`: \"100%\n::error::\u{1b}[2J\" is none".to_owned(),
        }
    }

    #[test]
    fn an_annotation_begins_no_second_one() {
        assert_eq!(
            hostile().to_github(Path::new("a:b,c.jsonl")),
            "::error file=a%3Ab%2Cc.jsonl,line=3,title=schema::\
             `/outcome`: \"100%25%0A::error::\u{1b}[2J\" is none"
        );
    }

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        let text = hostile().to_human(Path::new("a.jsonl"));
        assert!(!text.contains(['\n', '\u{1b}']), "{text:?}");
        assert!(text.starts_with("a.jsonl:3: `/outcome`: \"100%"), "{text:?}");
    }

    #[test]
    fn what_is_of_no_line_names_none() {
        let notice = Notice {
            level: Level::Warning,
            rule: "hardware",
            line: None,
            pointer: String::new(),
            message: "no machine".to_owned(),
        };
        let path = Path::new("a.jsonl");
        assert_eq!(notice.to_human(path), "a.jsonl: warning: no machine [hardware]");
        assert_eq!(
            notice.to_github(path),
            "::warning file=a.jsonl,title=hardware::no machine [hardware]"
        );
        assert!(!notice.to_json(path).contains(r#""line""#));
    }
}
