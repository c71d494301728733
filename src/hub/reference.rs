//! What names a model of the hub: `org/name`, with a revision or a file where wanted.

use std::fmt;

/// Characters of the longest part of an id, by the hub's rules.
const LONGEST: usize = 96;

/// A model of the hub, as a user names it: `[org/]name[@revision][:file.gguf]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Organization and name, with one slash between them.
    pub id: String,
    /// A branch, tag or commit; the default branch where absent.
    pub revision: Option<String>,
    /// The GGUF file that is wanted of several.
    pub file: Option<String>,
}

impl Reference {
    /// The default branch of the model `id`, which is not looked at.
    pub fn new(id: &str) -> Self {
        Self { id: id.to_owned(), revision: None, file: None }
    }

    /// Reads `text`; a name without an organization is one of `mlx-community`.
    ///
    /// Nothing that could be a path out of a folder is a reference, nor is the name of a GGUF file.
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, file) = match text.split_once(':') {
            Some((rest, file)) => (rest, Some(file)),
            None => (text, None),
        };
        let (id, revision) = match rest.split_once('@') {
            Some((id, revision)) => (id, Some(revision)),
            None => (rest, None),
        };
        let id = if id.contains('/') { id.to_owned() } else { format!("mlx-community/{id}") };
        let fits = is_id(&id)
            && revision.is_none_or(is_revision)
            && file.is_none_or(|file| is_gguf(file) && is_inside(file));
        fits.then(|| Self {
            id,
            revision: revision.map(str::to_owned),
            file: file.map(str::to_owned),
        })
    }

    /// The same model at `revision`, where one is given beside the name.
    #[must_use]
    pub fn at(mut self, revision: Option<&str>) -> Self {
        self.revision = revision.map(str::to_owned).or(self.revision);
        self
    }

    /// The id, and the file where one is wanted: what tells it from other models in a report.
    pub fn label(&self) -> String {
        match &self.file {
            Some(file) => format!("{}:{file}", self.id),
            None => self.id.clone(),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.id)?;
        if let Some(revision) = &self.revision {
            write!(formatter, "@{revision}")?;
        }
        self.file.iter().try_for_each(|file| write!(formatter, ":{file}"))
    }
}

/// Whether `text` can be the id of a hub model: an organization and a name, by the hub's rules.
pub fn is_id(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part.len() <= LONGEST
            && !part.starts_with(['.', '-'])
            && !part.ends_with(['.', '-'])
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    text.split('/').count() == 2
        && text.split('/').all(is_part)
        && !text.contains("..")
        && !text.contains("--")
        && text.rsplit_once('.').is_none_or(|(_, ending)| ending != "git")
        && !is_gguf(text)
}

/// Whether `text` can be a branch, tag or commit: it becomes a part of paths and addresses.
pub(super) fn is_revision(text: &str) -> bool {
    let is_known = |c: char| c.is_ascii_alphanumeric() || "-_./+".contains(c);
    text.chars().all(is_known) && is_inside(text)
}

/// Whether `text` is a full commit, which never changes its meaning.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether the relative path `text` stays inside of the folder that it starts from, on every system.
pub(super) fn is_inside(text: &str) -> bool {
    let is_plain = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part.len() <= 255
            && !part.contains(|c: char| c.is_control() || matches!(c, '\\' | ':'))
    };
    text.split('/').all(is_plain)
}

/// Whether `text` names a GGUF file.
pub fn is_gguf(text: &str) -> bool {
    text.rsplit_once('.').is_some_and(|(_, extension)| extension.eq_ignore_ascii_case("gguf"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &str, id: &str, revision: Option<&str>, file: Option<&str>) {
        let found = Reference::parse(text).unwrap();
        assert_eq!(
            (found.id.as_str(), found.revision.as_deref(), found.file.as_deref()),
            (id, revision, file)
        );
    }

    #[test]
    fn a_reference_names_a_model_a_revision_and_a_file() {
        reads("org/name", "org/name", None, None);
        reads("Qwen3-0.6B-4bit", "mlx-community/Qwen3-0.6B-4bit", None, None);
        reads("org/name@v1.0", "org/name", Some("v1.0"), None);
        reads("org/name@refs/pr/3", "org/name", Some("refs/pr/3"), None);
        reads("name:q4.gguf", "mlx-community/name", None, Some("q4.gguf"));
        reads("org/name@main:a/q4.GGUF", "org/name", Some("main"), Some("a/q4.GGUF"));
        assert_eq!(Reference::parse("a/b@c:d.gguf").unwrap().to_string(), "a/b@c:d.gguf");
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        let long = format!("org/{}", "x".repeat(97));
        for text in [
            "",
            "/",
            "a/b/c",
            "/a/b",
            "../b",
            "./b",
            "a/..",
            "a/-b",
            "a/b.",
            "a/b--c",
            "a/b..c",
            "a/b.git",
            "a b/c",
            "a/b.gguf",
            "b.gguf",
            "a/b@",
            "a/b@../c",
            "a/b@/c",
            "a/b@c d",
            "a/b:",
            "a/b:c",
            "a/b:../c.gguf",
            "a/b:/c.gguf",
            "a/b:c\\d.gguf",
            "a\\b",
            &long,
        ] {
            assert_eq!(Reference::parse(text), None, "`{text}`");
        }
    }

    #[test]
    fn a_commit_is_forty_digits() {
        assert!(is_commit("0123456789abcdef0123456789abcdef01234567"));
        assert!(!is_commit("0123456789abcdef0123456789abcdef0123456"));
        assert!(!is_commit("main"));
    }
}
