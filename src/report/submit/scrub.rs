//! A text without what tells where on a disk, on which machine or by whom something was done.

use std::fmt;

use super::super::{
    lint::{Leaks, Names},
    redact,
};

/// What was found in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The folder of some user, or a file below it.
    Home,
    /// An absolute path.
    Path,
    /// The name of the user.
    User,
    /// The name of a machine.
    Host,
    /// An e-mail address.
    Address,
    /// A serial number, or what else names one machine among all.
    Serial,
    /// A word that was to be taken out.
    Word,
}

impl Kind {
    /// What stands for it afterwards; of a path its last part.
    fn stand_in(self) -> &'static str {
        match self {
            Self::Home | Self::Path => "~",
            Self::User => "USER",
            Self::Host => "HOST",
            Self::Address => "ADDRESS",
            Self::Serial => "SERIAL",
            Self::Word => "WORD",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Home => "home folder",
            Self::Path => "path",
            Self::User => "user",
            Self::Host => "host",
            Self::Address => "e-mail address",
            Self::Serial => "serial number",
            Self::Word => "word",
        })
    }
}

/// What must not leave the machine, beside what betrays itself by its form.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// The user and the machine.
    pub names: Names,
    /// The user's folder.
    pub home: Option<String>,
    /// Words to be taken out wherever they stand.
    pub words: Vec<String>,
    /// Words that stay, though they are the name of the user or of the machine.
    pub kept: Vec<String>,
}

impl Secrets {
    /// Whom and what no line may name.
    pub(super) fn names(&self) -> Names {
        let names = &self.names;
        let unless_kept = |name: &Option<String>| {
            let name = name.clone()?;
            let is_kept = self.kept.iter().any(|kept| kept.eq_ignore_ascii_case(&name));
            (!is_kept).then_some(name)
        };
        Names { user: unless_kept(&names.user), host: unless_kept(&names.host) }
    }

    /// `text`, the value below `key` or itself a key, without anything personal, and what was found in it.
    pub(super) fn scrub(&self, text: &str, key: Option<&str>) -> (String, Vec<Kind>) {
        let mut kinds = Vec::new();
        let mut left = text.to_owned();
        if key.is_some_and(is_of_serials) && !text.is_empty() && text != Kind::Serial.stand_in() {
            return (Kind::Serial.stand_in().to_owned(), vec![Kind::Serial]);
        }
        self.replace_paths(&mut left, &mut kinds);
        for (kind, found) in [
            (Kind::Address, Leaks::addresses(&left)),
            (Kind::Host, Leaks::local_hosts(&left)),
            (Kind::Serial, serials(&left)),
        ] {
            for found in found {
                left = left.replace(&found, kind.stand_in());
                kinds.push(kind);
            }
        }
        let names = self.names();
        let told = |name: Option<String>| name.filter(|name| Leaks::is_telling(name));
        let words = self.words.iter().cloned().map(|word| (Kind::Word, word));
        let user = told(names.user).map(|name| (Kind::User, name));
        let host = told(names.host).map(|name| (Kind::Host, name));
        for (kind, word) in words.chain(user).chain(host) {
            if let Some(without) = without(&left, &word, kind.stand_in()) {
                left = without;
                kinds.push(kind);
            }
        }
        kinds.sort_unstable();
        kinds.dedup();
        (left, kinds)
    }

    /// Leaves of each absolute path its last part.
    fn replace_paths(&self, text: &mut String, kinds: &mut Vec<Kind>) {
        let home = self.home.as_deref().map(|home| home.trim_end_matches('/'));
        let home = home.filter(|home| home.len() > 1);
        let mut left = String::with_capacity(text.len());
        let mut done = 0;
        for begin in Leaks::paths(text, home) {
            let Some(between) = text.get(done..begin) else {
                // Within the path before.
                continue;
            };
            let Some(rest) = text.get(begin..) else {
                continue;
            };
            left.push_str(between);
            let before = text.get(..begin).and_then(|text| text.chars().next_back());
            let length = redact::path_length(before.unwrap_or(' '), rest, home);
            let (path, _) = rest.split_at(length);
            let is_home = home.is_some_and(|home| path.starts_with(home)) || Leaks::is_home(path);
            kinds.push(if is_home { Kind::Home } else { Kind::Path });
            left.push_str(last_part(path, home));
            done = begin + length;
        }
        left.push_str(text.get(done..).unwrap_or_default());
        *text = left;
    }
}

/// What may be told of a path; nothing of a user's folder itself.
fn last_part<'p>(path: &'p str, home: Option<&str>) -> &'p str {
    let trimmed = path.trim_end_matches(['/', '\\']);
    let below = ["/Users/", "/home/", "C:\\Users\\", "C:/Users/"];
    let is_folder_of_user = home == Some(trimmed)
        || below
            .iter()
            .any(|root| trimmed.strip_prefix(root).is_some_and(|name| !name.contains(['/', '\\'])));
    if is_folder_of_user {
        return Kind::Home.stand_in();
    }
    trimmed.rsplit(['/', '\\']).next().unwrap_or(trimmed)
}

/// Whether values below `key` name one machine among all.
fn is_of_serials(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.contains("serial") || key.ends_with("uuid") || key.ends_with("udid")
}

/// Serial numbers that a text calls so, as in `Serial Number (system): C02XG0FDJGH5`.
fn serials(text: &str) -> Vec<String> {
    const FILL: [&str; 6] = ["", "number", "no", "system", "is", "s"];
    let lower = text.to_ascii_lowercase();
    let found = lower.match_indices("serial").filter_map(|(at, word)| {
        let rest = text.get(at + word.len()..)?;
        let mut tokens = rest.split(|c: char| !c.is_ascii_alphanumeric());
        let is_fill = |token: &str| FILL.iter().any(|fill| fill.eq_ignore_ascii_case(token));
        tokens.find(|token| !is_fill(token)).filter(|token| is_serial(token))
    });
    found.map(str::to_owned).collect()
}

/// Whether `token` has the form of Apple's serial numbers and of most others.
fn is_serial(token: &str) -> bool {
    (8..=17).contains(&token.len())
        && token.bytes().any(|byte| byte.is_ascii_digit())
        && token.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

/// `text` with `new` for each `word` that is not part of a longer one; none where there is none.
fn without(text: &str, word: &str, new: &str) -> Option<String> {
    if word.is_empty() {
        return None;
    }
    let mut left = String::new();
    let mut done = 0;
    for (at, _) in text.char_indices() {
        let (before, rest) = text.split_at(at);
        let is_it = rest.get(..word.len()).is_some_and(|part| part.eq_ignore_ascii_case(word));
        if at < done || !is_it {
            continue;
        }
        let after = rest.get(word.len()..).and_then(|rest| rest.chars().next());
        let is_apart = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
        if is_apart(before.chars().next_back()) && is_apart(after) {
            left.push_str(text.get(done..at).unwrap_or_default());
            left.push_str(new);
            done = at + word.len();
        }
    }
    (done > 0).then(|| left + text.get(done..).unwrap_or_default())
}
