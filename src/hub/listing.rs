//! Which files of a repository a model needs, and what each must be.

use serde::Deserialize;

use super::{
    HubError,
    reference::{is_gguf, is_inside},
};

/// A file that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its path in the repository, which stays inside of a folder that it is put in.
    pub(super) name: String,
    /// Its size in bytes.
    pub(super) size: u64,
    /// What its content hashes to.
    pub(super) digest: Digest,
}

/// What a content hashes to, in lower-case hexadecimal; also the name of its blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Digest {
    /// SHA-1 of a git blob: files that git keeps itself.
    Git(String),
    /// SHA-256: large files.
    Sha256(String),
}

impl Digest {
    /// What the hub calls it, and the name of the blob.
    pub(super) fn etag(&self) -> &str {
        match self {
            Self::Git(digest) | Self::Sha256(digest) => digest,
        }
    }
}

/// An entry of the hub's list of files.
///
/// `hf_hub` 1.0 reads the same list, but drops the SHA-256: it looks for `lfs.sha256` where the hub says `lfs.oid`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    oid: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    lfs: Option<Large>,
}

#[derive(Clone, Debug, Deserialize)]
struct Large {
    oid: String,
    size: u64,
}

/// The files of `entries` that the model `id` needs: the GGUF file `file`, else what mlx-lm takes but for code.
///
/// Weights come last, so that whoever sees them in a snapshot finds the rest as well.
pub(super) fn wanted(
    id: &str,
    file: Option<&str>,
    entries: &[Entry],
) -> Result<Vec<Listed>, HubError> {
    let files = entries.iter().filter(|entry| entry.kind == "file");
    let is_wanted = |name: &str| match file {
        Some(file) => name == file,
        None => is_needed(name),
    };
    let mut listed = files
        .clone()
        .filter(|entry| is_wanted(&entry.path))
        .map(|entry| entry.listed(id))
        .collect::<Result<Vec<_>, _>>()?;
    let known = || {
        let names = files.map(|entry| entry.path.clone());
        names.filter(|name| is_gguf(name) && is_inside(name)).take(20).collect()
    };
    match file {
        Some(file) if listed.is_empty() => {
            let (id, file) = (id.to_owned(), file.to_owned());
            return Err(HubError::NoSuchFile { id, file, known: known() });
        }
        None if !listed.iter().any(|file| is_weights(&file.name)) => {
            return Err(HubError::NoWeights { id: id.to_owned(), known: known() });
        }
        Some(_) | None => {}
    }
    listed.sort_by_key(|file| (is_weights(&file.name), file.name.clone()));
    Ok(listed)
}

impl Entry {
    fn listed(&self, id: &str) -> Result<Listed, HubError> {
        if !is_inside(&self.path) {
            return Err(HubError::HostileName { id: id.to_owned(), name: self.path.clone() });
        }
        let (digest, size) = match &self.lfs {
            Some(large) => (Digest::Sha256(large.oid.clone()), large.size),
            None => (Digest::Git(self.oid.clone()), self.size),
        };
        let length = if self.lfs.is_some() { 64 } else { 40 };
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digest.etag().len() != length || !digest.etag().bytes().all(is_digit) {
            return Err(HubError::Malformed {
                what: format!("the files of `{id}`"),
                reason: format!("`{}` has no hash that could be checked", self.path),
            });
        }
        Ok(Listed { name: self.path.clone(), size, digest })
    }
}

/// Whether `name` holds weights.
pub(super) fn is_weights(name: &str) -> bool {
    name.starts_with("model") && name.ends_with(".safetensors") || is_gguf(name)
}

/// The patterns of mlx-lm without its `*.py`: code of strangers is neither run nor fetched.
///
/// As there, a star stands for folders too.
fn is_needed(name: &str) -> bool {
    let endings = [".json", ".jsonl", ".txt", ".jinja", ".tiktoken"];
    let is_tokenizer = matches!(name, "tokenizer.model" | "tiktoken.model");
    let is_safetensors = name.starts_with("model") && name.ends_with(".safetensors");
    is_safetensors || is_tokenizer || endings.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str) -> Entry {
        let (kind, path, oid) = ("file".to_owned(), path.to_owned(), "a".repeat(40));
        Entry { kind, path, oid, size: 3, lfs: None }
    }

    fn names(file: Option<&str>, paths: &[&str]) -> Result<Vec<String>, HubError> {
        let entries: Vec<_> = paths.iter().map(|path| entry(path)).collect();
        let listed = wanted("org/name", file, &entries)?;
        Ok(listed.into_iter().map(|file| file.name).collect())
    }

    #[test]
    fn a_text_model_needs_no_code_and_no_other_format() {
        let all = [
            "README.md",
            "model.safetensors",
            "modeling.py",
            "sub/run.py",
            "config.json",
            "tokenizer.model",
            "vocab.txt",
            "chat_template.jinja",
            "pytorch_model.bin",
            "adapter.safetensors",
            "q4.gguf",
            "qwen.tiktoken",
            ".gitattributes",
        ];
        let expected = [
            "chat_template.jinja",
            "config.json",
            "qwen.tiktoken",
            "tokenizer.model",
            "vocab.txt",
            "model.safetensors",
        ];
        assert_eq!(names(None, &all).unwrap(), expected);
        assert_eq!(names(Some("q4.gguf"), &all).unwrap(), ["q4.gguf"]);
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for name in [
            "../config.json",
            "/etc/config.json",
            "a/../../b.json",
            "a//b.json",
            "./a.json",
            "a\\..\\b.json",
            "C:evil.json",
            "a\n.json",
        ] {
            let error = names(None, &["model.safetensors", name]).unwrap_err();
            assert_eq!(error.kind(), "hub_hostile_name", "{name:?}");
        }
    }

    #[test]
    fn a_model_without_weights_tells_which_files_could_be_asked_for() {
        let error = names(None, &["config.json", "q4.gguf"]).unwrap_err();
        assert_eq!(error.to_string(), "`org/name` has no `model*.safetensors`");
        assert_eq!(error.hint().unwrap(), "ask for one of `org/name:q4.gguf`");
        let error = names(Some("q8.gguf"), &["q4.gguf"]).unwrap_err();
        assert_eq!(error.to_string(), "`org/name` has no file `q8.gguf`");
    }

    #[test]
    fn a_hash_becomes_a_file_name_and_so_must_be_one() {
        let mut entry = entry("model.safetensors");
        entry.lfs = Some(Large { oid: format!("../../{}", "a".repeat(58)), size: 3 });
        assert_eq!(wanted("org/name", None, &[entry]).unwrap_err().kind(), "hub_malformed");
    }
}
