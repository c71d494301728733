//! `cargo xtask fuzz [READER…] [--seconds N]`: lets libFuzzer look for bytes that do a reader harm.
//!
//! Every reader of `tests/fuzz/targets.rs` has its turn, or those named. What is found lies in `target/fuzz/found`, and
//! belongs into `tests/fuzz/corpus/<reader>` once it is mended: the tests read all of that.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use crate::console::say;
use crate::process::Program;
use crate::workspace::Workspace;
use crate::{TaskError, files, mlx};

/// Has the compiler count what is reached and compared, as libFuzzer wants it.
const COVERAGE: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Seconds that each reader has where nobody says otherwise.
const SECONDS: &str = "60";

/// The task.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<ExitCode, TaskError> {
    let (readers, seconds) = split(arguments);
    let seeds = workspace.at("tests/fuzz/corpus");
    let readers = if readers.is_empty() { files::names(&seeds)? } else { readers };
    mlx::ensure(workspace)?;
    let triple = Program::new("rustc").args(["--print", "host-tuple"]).read()?;
    let triple = triple.trim();
    let flags = COVERAGE.map(|flag| format!("\"{flag}\"")).join(", ");
    let configuration = format!("target.{triple}.rustflags = [{flags}]");
    // An example, since a test would have the program built too, which lacks what libFuzzer counts with.
    let fuzz = ["run", "--locked", "--example", "fuzz", "--features", "fuzz", "--profile", "fuzz"];
    let mut code = ExitCode::SUCCESS;
    for reader in readers {
        let work = workspace.at("target/fuzz");
        let (corpus, found) = (work.join("corpus").join(&reader), work.join("found"));
        let seeds = seeds.join(&reader);
        files::make_folder(&corpus)?;
        files::make_folder(&found)?;
        let words = work.join(format!("{reader}.words"));
        files::write(&words, &dictionary(&seeds)?)?;
        let found = format!("-artifact_prefix={}/{reader}-", found.display());
        let end = workspace
            .cargo()
            // With a target of its own, build scripts are not counted.
            .args(fuzz)
            .args(["--target", triple, "--config", &configuration])
            .arg("--target-dir")
            .arg(&work)
            .args(["--", "-timeout=30", "-rss_limit_mb=3072", "-print_final_stats=1"])
            .args([format!("-max_total_time={seconds}"), found])
            .arg(format!("-dict={}", words.display()))
            .args([&corpus, &seeds])
            .env("MLXK_FUZZ", &reader)
            .env("TMPDIR", memory())
            .pass_through()?;
        if end != ExitCode::SUCCESS {
            say(&format!("`{reader}` came to harm: see target/fuzz/found"));
            code = end;
        }
    }
    Ok(code)
}

/// Readers by name, and the seconds for each.
fn split(arguments: &[OsString]) -> (Vec<String>, String) {
    let mut readers = Vec::new();
    let mut seconds = SECONDS.to_owned();
    let mut left = arguments.iter().map(|argument| argument.to_string_lossy().into_owned());
    while let Some(argument) = left.next() {
        if argument == "--seconds" {
            seconds = left.next().unwrap_or(seconds);
        } else {
            readers.push(argument);
        }
    }
    (readers, seconds)
}

/// A folder in memory, where there is one: every input is written to a file.
fn memory() -> OsString {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { shared.into() } else { std::env::temp_dir().into() }
}

/// The words of all `seeds`, in libFuzzer's form.
fn dictionary(seeds: &Path) -> Result<String, TaskError> {
    let mut words = BTreeSet::new();
    for name in files::names(seeds)? {
        let seed = files::read(&seeds.join(name))?;
        words.extend(words_of(&seed));
    }
    let lines = words.iter().map(|word| format!("\"{word}\"\n"));
    Ok(lines.collect())
}

fn words_of(seed: &[u8]) -> impl Iterator<Item = String> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    seed.split(move |byte| !is_part(byte))
        .filter(|word| (2..=40).contains(&word.len()))
        .map(|word| String::from_utf8_lossy(word).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_and_seconds_come_in_any_order() {
        let arguments = ["gguf", "--seconds", "5", "index"].map(OsString::from);
        let readers = vec!["gguf".to_owned(), "index".to_owned()];
        assert_eq!(split(&arguments), (readers, "5".to_owned()));
        assert_eq!(split(&[]), (Vec::new(), SECONDS.to_owned()));
    }

    #[test]
    fn words_are_what_a_stranger_would_combine() {
        let words: Vec<_> = words_of(b"{\"rope_theta\": 1e-5, a}\0rope.scale").collect();
        assert_eq!(words, ["rope_theta", "1e-5", "rope.scale"]);
    }
}
