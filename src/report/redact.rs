//! Takes out of a text what tells where on a disk, and so by whom, something was done.
//!
//! Messages and warnings end up in reports that are published. A home folder becomes `~`; of any
//! other absolute path only the base name is left. What remains is enough to see what went wrong.

use std::path::Path;

/// Characters that a path may follow.
const BEFORE: &str = " \t\n\"'`([{<=:,;|";
/// Characters that end a path which does not stand in quotes.
const AFTER: &str = " \t\n\"'`)]}>,;|";
/// Parents of home folders, wherever a text came from.
const HOMES: [&str; 2] = ["/Users/", "/home/"];

/// `text` without home folders and absolute paths of this machine.
pub fn redact(text: &str) -> String {
    let home = std::env::home_dir();
    redact_with(text, home.as_deref())
}

/// The part of a model's name that may be published: a hub id as it is, of a path the base name.
pub fn model_id(name: &str) -> &str {
    let trimmed = name.trim_end_matches(['/', '\\']);
    let is_path = trimmed.starts_with(['/', '.', '~'])
        || trimmed.contains('\\')
        || trimmed.matches('/').count() > 1;
    if is_path { trimmed.rsplit(['/', '\\']).next().unwrap_or(trimmed) } else { trimmed }
}

fn redact_with(text: &str, home: Option<&Path>) -> String {
    let home = home.and_then(Path::to_str).map(|home| home.trim_end_matches('/'));
    let home = home.filter(|home| home.len() > 1);
    let mut redacted = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first == '/' && may_begin_path(before, rest, &redacted) {
            let (path, after) = rest.split_at(path_length(before, rest, home));
            redacted.push_str(&published(path, home));
            before = '/';
            rest = after;
        } else {
            redacted.push(first);
            before = first;
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    redacted
}

/// Whether the slash at the start of `rest` opens an absolute path.
fn may_begin_path(before: char, rest: &str, done: &str) -> bool {
    if done.ends_with("file://") {
        return true;
    }
    let is_address = before == ':' && rest.starts_with("//");
    let is_marker = is_closing_marker(before, rest);
    BEFORE.contains(before)
        && !is_address
        && !is_marker
        && !rest.starts_with("/ ")
        && rest.len() > 1
}

/// Whether the slash is that of `</s>` or `[/INST]`: one name up to the bracket, which hides no folder.
fn is_closing_marker(before: char, rest: &str) -> bool {
    let close = match before {
        '<' => '>',
        '[' => ']',
        _ => return false,
    };
    let name = rest.strip_prefix('/').and_then(|rest| rest.split_once(close));
    name.is_some_and(|(name, _)| {
        !name.is_empty() && !name.contains(|c: char| c == '/' || c.is_whitespace())
    })
}

/// Bytes of the path at the start of `rest`: up to its closing quote, else to the next boundary.
pub(super) fn path_length(before: char, rest: &str, home: Option<&str>) -> usize {
    // A home folder may hold a space, and then no boundary can be trusted within it.
    let known = home.filter(|home| rest.starts_with(home)).map_or(0, str::len);
    let tail = rest.get(known..).unwrap_or_default();
    let quoted = match before {
        '"' | '\'' | '`' => tail.lines().next().and_then(|line| line.find(before)),
        _ => None,
    };
    let unquoted = || tail.find(|character| AFTER.contains(character));
    known + quoted.or_else(unquoted).unwrap_or(tail.len())
}

/// What may be published of an absolute path.
fn published(path: &str, home: Option<&str>) -> String {
    let below = |home: &str| {
        let tail = path.strip_prefix(home)?;
        (tail.is_empty() || tail.starts_with('/')).then(|| format!("~{tail}"))
    };
    if let Some(path) = home.and_then(below) {
        return path;
    }
    for parent in HOMES {
        if let Some(tail) = path.strip_prefix(parent) {
            let below = tail.find('/').and_then(|at| tail.get(at..));
            return format!("~{}", below.unwrap_or_default());
        }
    }
    let trimmed = path.trim_end_matches('/');
    trimmed.rsplit('/').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn case(text: &str, expected: &str) {
        assert_eq!(redact_with(text, Some(Path::new("/Users/ada"))), expected);
    }

    #[test]
    fn home_folders_become_a_tilde() {
        case("cannot read `/Users/ada/models/x`", "cannot read `~/models/x`");
        case("cannot read /Users/ada", "cannot read ~");
        case("/Users/bob/x and /home/eve/y", "~/x and ~/y");
        case("in file:///Users/ada/x", "in file://~/x");
    }

    #[test]
    fn a_neighbour_whose_name_begins_alike_is_not_this_home() {
        case("/Users/adamant/x", "~/x");
        assert_eq!(redact_with("/data/ada2/x", Some(Path::new("/data/ada"))), "x");
    }

    #[test]
    fn other_absolute_paths_leave_their_base_name() {
        case(
            "cannot map `/Volumes/Disk/llama/model.safetensors`",
            "cannot map `model.safetensors`",
        );
        case("what() [/opt/mlx/src/ops.cpp:12]", "what() [ops.cpp:12]");
        case("at /opt/mlx/ops.cpp:12: bad", "at ops.cpp:12: bad");
        case("path=/srv/a/b,/srv/c", "path=b,c");
        case("<command at </srv/a/b>", "<command at <b>");
        case("see /srv/a/b/", "see b");
        case("dyld: /usr/lib/libmlx.dylib", "dyld: libmlx.dylib");
    }

    #[test]
    fn spaces_are_no_boundary_within_quotes_or_a_known_home() {
        case("cannot open '/Volumes/My Disk/a b.gguf' here", "cannot open 'a b.gguf' here");
        let home = Path::new("/Users/Ada L");
        assert_eq!(redact_with("in /Users/Ada L/x now", Some(home)), "in ~/x now");
    }

    #[test]
    fn what_is_no_path_stays() {
        for text in [
            "45.3 tok/s and/or 1/2",
            "see https://huggingface.co/mlx-community/x",
            "mlx-community/Qwen3-0.6B-4bit is not here",
            "a / b",
            "ends with /",
            "~/models/x",
            "größer als 3 µs/Token",
            "leaked (`</s>`), stopped while thinking (`</think>`)",
            "a turn in [INST]x[/INST]",
        ] {
            case(text, text);
        }
    }

    #[test]
    fn a_root_that_calls_itself_home_hides_nothing() {
        assert_eq!(redact_with("/a/b", Some(Path::new("/"))), "b");
    }

    #[test]
    fn a_model_is_never_named_by_its_path() {
        assert_eq!(model_id("mlx-community/Qwen3-0.6B-4bit"), "mlx-community/Qwen3-0.6B-4bit");
        assert_eq!(model_id("gpt2"), "gpt2");
        assert_eq!(model_id("/Users/ada/models/tiny/"), "tiny");
        assert_eq!(model_id("./tiny.gguf"), "tiny.gguf");
        assert_eq!(model_id("~/tiny"), "tiny");
        assert_eq!(model_id("models/local/tiny"), "tiny");
        assert_eq!(model_id("C:\\models\\tiny"), "tiny");
    }
}
