//! Whether a text tells where on a disk, on which machine or by whom something was done.
//!
//! [`super::super::redact`] takes such things out of our own texts; here foreign ones are only looked
//! at, and what merely resembles a path (`</s>`, a JSON pointer) must not be taken for one.

/// Characters that a path or a name may follow.
const BEFORE: &str = " \t\n\"'`([{=:,;|>";
/// Folders that absolute paths begin with on macOS and Linux.
const ROOTS: [&str; 20] = [
    "Applications",
    "Library",
    "System",
    "Users",
    "Volumes",
    "data",
    "etc",
    "home",
    "media",
    "mnt",
    "nix",
    "opt",
    "private",
    "root",
    "run",
    "srv",
    "tmp",
    "usr",
    "var",
    "workspace",
];
/// Names of users and machines that tell nothing.
const COMMON: [&str; 14] = [
    "admin",
    "benchmark",
    "build",
    "ci",
    "docker",
    "localhost",
    "mac",
    "nobody",
    "root",
    "runner",
    "test",
    "ubuntu",
    "unknown",
    "user",
];

/// Who and where this is: what a report must not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The user that the report is looked at by.
    pub user: Option<String>,
    /// The machine's name, without its domain.
    pub host: Option<String>,
}

/// What a text gives away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leak {
    Home,
    Path,
    User,
    Host,
    Address,
}

/// The first thing that `text` gives away, the most telling first.
pub(super) fn leak(text: &str, names: &Names) -> Option<Leak> {
    let marks = Marks::of(text);
    let tells = |name: &Option<String>| {
        let name = name.as_deref().filter(|name| Leaks::is_telling(name));
        name.is_some_and(|name| holds_word(text, name))
    };
    if marks.slash && paths(text).any(is_home) {
        Some(Leak::Home)
    } else if marks.slash && (paths(text).any(is_absolute) || is_one_path(text)) {
        Some(Leak::Path)
    } else if tells(&names.user) {
        Some(Leak::User)
    } else if tells(&names.host) || (marks.point && tokens(text).any(is_local_host)) {
        Some(Leak::Host)
    } else if marks.at && tokens(text).any(is_address) {
        Some(Leak::Address)
    } else {
        None
    }
}

/// What the rules look for, for whoever takes it out.
pub(in crate::report) struct Leaks;

impl Leaks {
    /// Where in `text` an absolute path begins, or `home`.
    pub(in crate::report) fn paths(text: &str, home: Option<&str>) -> Vec<usize> {
        if is_one_path(text) {
            return vec![0];
        }
        let is_known = |rest: &str| home.is_some_and(|home| rest.starts_with(home));
        let found = paths(text).filter(|rest| is_home(rest) || is_absolute(rest) || is_known(rest));
        found.map(|rest| text.len() - rest.len()).collect()
    }

    /// Whether a path is the folder of some user or below it.
    pub(in crate::report) fn is_home(path: &str) -> bool {
        is_home(path)
    }

    /// Names of machines in a local domain.
    pub(in crate::report) fn local_hosts(text: &str) -> Vec<String> {
        let hosts = tokens(text).filter(|token| is_local_host(token));
        hosts.map(|token| host_of(token).to_owned()).collect()
    }

    /// E-mail addresses.
    pub(in crate::report) fn addresses(text: &str) -> Vec<String> {
        tokens(text).filter(|token| is_address(token)).map(str::to_owned).collect()
    }

    /// Whether the name of a user or machine tells anything.
    pub(in crate::report) fn is_telling(name: &str) -> bool {
        name.len() >= 3 && !is_common(name)
    }
}

/// Which characters stand in a text at all: without them most of what is looked for cannot be there.
#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    /// A slash of either kind.
    slash: bool,
    /// A point before a letter that a local domain begins with.
    point: bool,
    at: bool,
}

impl Marks {
    fn of(text: &str) -> Self {
        let mut marks = Self::default();
        let mut before = 0;
        for byte in text.bytes() {
            marks.slash |= byte == b'/' || byte == b'\\';
            marks.at |= byte == b'@';
            marks.point |= before == b'.' && byte == b'l';
            before = byte;
        }
        marks
    }
}

/// Whether a word of `text` is `name`, whatever the case.
fn holds_word(text: &str, name: &str) -> bool {
    let first = name.as_bytes().first().copied().unwrap_or_default();
    let is_apart = |neighbour: Option<char>| !neighbour.is_some_and(is_of_word);
    text.bytes().enumerate().any(|(at, byte)| {
        byte.eq_ignore_ascii_case(&first)
            && text.split_at_checked(at).is_some_and(|(before, rest)| {
                let word = rest.get(..name.len());
                let after = rest.get(name.len()..).and_then(|rest| rest.chars().next());
                word.is_some_and(|word| word.eq_ignore_ascii_case(name))
                    && is_apart(after)
                    && is_apart(before.chars().next_back())
            })
    })
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '-' || c == '_'
}

fn is_common(name: &str) -> bool {
    COMMON.iter().any(|common| common.eq_ignore_ascii_case(name))
}

/// All that begins as a path does, where one may begin: with a slash, or the letter of a drive.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    text.bytes().enumerate().filter_map(move |(at, byte)| {
        let begin = match byte {
            b'/' => at,
            b':' => at.checked_sub(1)?,
            _ => return None,
        };
        let (before, rest) = text.split_at_checked(begin)?;
        let is_first = before.is_empty()
            || before.ends_with(|last| BEFORE.contains(last))
            || before.ends_with("file://");
        is_first.then_some(rest)
    })
}

/// The folder of some user, anywhere.
fn is_home(rest: &str) -> bool {
    let below = ["/Users/", "/home/", "/System/Volumes/Data/Users/"];
    let unix = below.iter().find_map(|root| rest.strip_prefix(root));
    let windows = without_drive(rest).and_then(|path| path.strip_prefix("Users"));
    let name = unix.or_else(|| windows?.strip_prefix(['\\', '/']));
    name.is_some_and(|name| {
        let name = name.split(['/', '\\']).next().unwrap_or_default();
        name.starts_with(char::is_alphanumeric) && name != "Shared"
    })
}

fn without_drive(rest: &str) -> Option<&str> {
    let path = rest.strip_prefix(|drive: char| drive.is_ascii_alphabetic())?;
    path.strip_prefix(":\\")
        .or_else(|| path.strip_prefix(":/"))
        .filter(|path| !path.starts_with('/'))
}

fn is_absolute(rest: &str) -> bool {
    let below_root = rest.strip_prefix('/').and_then(|path| path.split_once('/'));
    let is_unix = below_root.is_some_and(|(root, below)| {
        ROOTS.contains(&root) && below.starts_with(|first: char| !first.is_whitespace())
    });
    is_unix || without_drive(rest).is_some_and(|path| path.starts_with(char::is_alphanumeric))
}

/// Whether `text` is a path and nothing else, wherever it begins.
fn is_one_path(text: &str) -> bool {
    let parts = text.strip_prefix('/').map(|path| path.split('/'));
    parts.is_some_and(|mut parts| {
        let is_whole =
            parts.clone().all(|part| !part.is_empty() && !part.contains(['<', '>', '`']));
        is_whole && parts.nth(1).is_some() && !text.contains(char::is_whitespace)
    })
}

/// What stands between blanks and quotes.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || "\"'`()[]{}<>,;=".contains(c))
}

/// A name as Bonjour gives it to a machine.
fn is_local_host(token: &str) -> bool {
    let name = host_of(token);
    let label = name.strip_suffix(".local").or_else(|| name.strip_suffix(".lan"));
    label.is_some_and(|label| {
        label.starts_with(char::is_alphanumeric)
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    })
}

/// A token without a port and the point at the end of a sentence.
fn host_of(token: &str) -> &str {
    token.split(':').next().unwrap_or(token).trim_end_matches('.')
}

fn is_address(token: &str) -> bool {
    let Some((name, domain)) = token.split_once('@') else {
        return false;
    };
    let top = domain.rsplit_once('.').map(|(_, top)| top.trim_end_matches('.'));
    !name.is_empty()
        && !name.contains('/')
        && top.is_some_and(|top| top.len() > 1 && top.chars().all(|c| c.is_ascii_alphabetic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn case(text: &str, expected: Option<Leak>) {
        let names = Names { user: Some("byron".to_owned()), host: Some("Enchantress".to_owned()) };
        assert_eq!(leak(text, &names), expected, "{text}");
    }

    #[test]
    fn folders_of_users_are_found_wherever_they_stand() {
        for text in [
            "/Users/ada/models/x",
            "cannot read `/home/ada/x`",
            "file:///Users/ada",
            "test[/Users/ada/x-p1]",
            "C:\\Users\\ada\\x",
        ] {
            case(text, Some(Leak::Home));
        }
        case("/Users/Shared/x", Some(Leak::Path));
    }

    #[test]
    fn absolute_paths_are_found() {
        for text in [
            "/Volumes/mz-SSD/mlx-models/x",
            "at /opt/mlx/ops.cpp:12: bad",
            "/models/llama",
            "D:\\models\\x",
            "path=/tmp/x",
        ] {
            case(text, Some(Leak::Path));
        }
    }

    #[test]
    fn names_of_people_and_machines_are_found() {
        case("written by byron", Some(Leak::User));
        case("byron-2", None);
        case("on enchantress: 3", Some(Leak::Host));
        case("server at Adas-MacBook-Pro.local:8080", Some(Leak::Host));
        case("server at Adas-MacBook-Pro.local.", Some(Leak::Host));
        case("by ada@example.org", Some(Leak::Address));
    }

    #[test]
    fn what_tells_nobody_stays() {
        for text in [
            "</s>",
            "<|im_end|>",
            "mlx-community/Qwen3-0.6B-4bit",
            "mlx-community/x@73e3e38",
            "org/name@v1.0.fix",
            "$MLXK_WORKSPACE_HOME/pixtral-12b-8bit",
            "~/models/x",
            "`/model/size_gb`: null is not of type \"number\"",
            "https://huggingface.co/home/x",
            "tests_2.0/live/test_cli_e2e.py::TestRun::test_run_command[text_07]",
            "45.3 tok/s and/or 1/2",
            "a / b",
            "/",
            "~/.local/share",
        ] {
            case(text, None);
        }
        let common = Names { user: Some("runner".to_owned()), host: Some("mac".to_owned()) };
        assert_eq!(leak("the runner of a mac", &common), None);
    }
}
