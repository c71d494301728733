//! House rules that no compiler checks.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Lines that a file may have.
const LONGEST: usize = 400;

/// Bytes that the files of a parity fixture may have together.
const LARGEST: u64 = 20_480;

/// Modules whose code runs on MLX; of the others only [`MLX_SEAM`] may reach them, or MLX itself.
const ON_MLX: [&str; 8] =
    ["convert", "generate", "text", "footprint", "models", "nn", "checkpoint", "ffi"];

/// The engine of `measure` that runs a model, and the command line, which stands above all.
const MLX_SEAM: [&str; 2] = ["src/measure/mlx", "src/cli"];

/// All that may write to standard output or error: the terminal's door, the child's protocol, the child of tests, and
/// a file of tests that says why it did nothing.
const SPEAKERS: [&str; 4] = [
    "src/checkpoint/gguf/smollm2.rs",
    "src/cli/printer.rs",
    "src/measure/worker",
    "src/measure/scripted",
];

/// A source file of the repository.
struct Source {
    /// Its path from the root, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// The module below the crate's root that it belongs to; itself for a file at the root.
    fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split(['/', '.']).next().unwrap_or(inside)
    }

    /// What is compiled into the product: no comments, and nothing after the tests begin.
    fn code(&self) -> String {
        let lines: Vec<&str> = self.text.lines().collect();
        let tests = lines
            .windows(2)
            .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].contains("mod tests {"));
        let mut code = lines[..tests.unwrap_or(lines.len())].to_vec();
        code.retain(|line| !line.trim_start().starts_with("//"));
        code.join("\n")
    }

    fn is_below(&self, paths: &[&str]) -> bool {
        paths.iter().any(|path| self.path.starts_with(path))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below `folders`.
fn sources(folders: &[&str]) -> Vec<Source> {
    let mut left: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    let mut sources = Vec::new();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let inside = path.strip_prefix(root()).unwrap();
            sources.push(Source {
                path: inside.to_str().unwrap().replace('\\', "/"),
                text: fs::read_to_string(&path).unwrap(),
            });
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!sources.is_empty());
    sources
}

/// The modules of the crate from the top down, as the documentation of `src/lib.rs` lists them.
fn modules() -> Vec<String> {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let (_, list) = text.split_once("```text\n").unwrap();
    let (list, _) = list.split_once("//! ```").unwrap();
    let names =
        list.lines().filter_map(|line| line.trim_start_matches("//!").split_whitespace().next());
    names.map(str::to_owned).collect()
}

/// The modules of the crate that `code` names after `crate::`.
fn imports(code: &str) -> Vec<&str> {
    code.split("crate::").skip(1).flat_map(first_names).collect()
}

/// The name that `path` begins with, or all at the top of the braces it begins with.
fn first_names(path: &str) -> Vec<&str> {
    let Some(group) = path.strip_prefix('{') else {
        return vec![name(path)];
    };
    let mut depth = 1;
    let mut names = vec![name(group.trim_start())];
    for (at, symbol) in group.char_indices() {
        match symbol {
            '{' => depth += 1,
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' if depth == 1 => names.push(name(group[at + 1..].trim_start())),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn name(text: &str) -> &str {
    let end = text.find(|symbol: char| !symbol.is_alphanumeric() && symbol != '_');
    &text[..end.unwrap_or(text.len())]
}

/// Fails with every complaint, a line each.
#[track_caller]
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn imports_are_found_one_by_one_and_in_braces() {
    let code =
        "use crate::plan::Cell;\nuse crate::{\n  host::{self, Host},\n  nn,\n};\ncrate::text::x()";
    assert_eq!(imports(code), ["plan", "host", "nn", "text"]);
}

#[test]
fn files_are_short_and_begin_by_saying_what_they_hold() {
    let mut complaints = Vec::new();
    for Source { path, text } in sources(&["src", "tests", "xtask/src"]) {
        let lines = text.lines().count();
        if lines > LONGEST {
            complaints.push(format!("{path} has {lines} lines"));
        }
        if !text.starts_with("//! ") {
            complaints.push(format!("{path} does not begin with `//!`"));
        }
    }
    none(&complaints);
}

#[test]
fn fixtures_of_parity_are_small() {
    let mut complaints = Vec::new();
    let folders = ["parity", "foreign"].map(|name| root().join("tests/fixtures").join(name));
    for folder in folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()) {
        let folder = folder.unwrap().path();
        if folder.is_dir() {
            let files = fs::read_dir(&folder).unwrap();
            let size: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
            let is_large = size > LARGEST;
            complaints.extend(is_large.then(|| format!("{} has {size} bytes", folder.display())));
        }
    }
    none(&complaints);
}

#[test]
fn imports_point_downwards() {
    let modules = modules();
    let height = |name: &str| modules.iter().position(|module| module == name);
    let mut complaints = Vec::new();
    for source in sources(&["src"]) {
        let Some(own) = height(source.module()) else {
            continue;
        };
        let code = source.code();
        for import in imports(&code) {
            if height(import).is_some_and(|other| other < own) {
                complaints.push(format!("{} imports `{import}` from above", source.path));
            }
        }
    }
    none(&complaints);
}

#[test]
fn every_module_has_its_place_in_the_map() {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let declared = text.lines().filter_map(|line| line.strip_prefix("pub mod "));
    let mut declared: Vec<_> = declared.map(|line| line.trim_end_matches(';')).collect();
    let mut mapped = modules();
    declared.sort_unstable();
    mapped.sort();
    assert_eq!(declared, mapped);
}

#[test]
fn what_needs_no_mlx_does_not_reach_for_it() {
    let mut complaints = Vec::new();
    for source in sources(&["src"]) {
        if source.is_below(&MLX_SEAM) || ON_MLX.contains(&source.module()) {
            continue;
        }
        let code = source.code();
        let foreign = ["mlx_rs::", "mlx_sys::"].into_iter().filter(|name| code.contains(name));
        let own = imports(&code).into_iter().filter(|import| ON_MLX.contains(import));
        complaints.extend(foreign.chain(own).map(|name| format!("{} names `{name}`", source.path)));
    }
    none(&complaints);
}

#[test]
fn the_command_line_never_touches_mlx_itself() {
    let touching =
        sources(&["src/cli"]).into_iter().filter(|source| source.code().contains("mlx_rs::"));
    none(&touching.map(|source| source.path).collect::<Vec<_>>());
}

#[test]
fn only_the_printer_and_the_child_speak() {
    let doors = ["print!(", "println!(", "stdout()", "stderr()"];
    let mut complaints = Vec::new();
    for source in sources(&["src"]) {
        if source.is_below(&SPEAKERS) {
            continue;
        }
        let code = source.code();
        let used = doors.into_iter().filter(|door| code.contains(door));
        complaints.extend(used.map(|door| format!("{} uses `{door}`", source.path)));
    }
    none(&complaints);
}

#[test]
fn nothing_is_left_for_later() {
    // Each in two parts, or this file would find itself.
    let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["todo", "!("], ["To ", "come."]]
        .map(|parts| parts.concat());
    let mut complaints = Vec::new();
    for Source { path, text } in sources(&["src", "tests", "xtask/src"]) {
        for (index, line) in text.lines().enumerate() {
            let found = marks.iter().filter(|mark| line.contains(mark.as_str()));
            complaints.extend(found.map(|mark| format!("{path}:{}: `{mark}`", index + 1)));
        }
    }
    none(&complaints);
}
