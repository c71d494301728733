//! `cargo xtask test [arguments]`: every test, with all that the tests need.

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use crate::process::ProcessError;
use crate::workspace::Workspace;
use crate::{TaskError, demo, files, mlx, python, tokenizers};

/// The program whose cache the tests share.
const HUGGINGFACE_HUB: [&str; 1] = ["huggingface_hub==2.4.0"];

/// What the examples of `reports/README.md` are run with.
const REPORT_TOOLS: [&str; 2] = ["duckdb==1.5.6", "jq==1.13.0"];

/// The task. Arguments go to the test runner, and leave the documentation's tests out.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<ExitCode, TaskError> {
    mlx::ensure(workspace)?;
    demo::ensure(workspace)?;
    tokenizers::ensure(workspace)?;
    ensure_packages(workspace, ".mlx/huggingface_hub", &HUGGINGFACE_HUB)?;
    ensure_packages(workspace, ".mlx/report_tools", &REPORT_TOOLS)?;
    if arguments.is_empty() {
        // First, so that what is printed last is the count of all others.
        let code = document_tests(workspace)?;
        if code != ExitCode::SUCCESS {
            return Ok(code);
        }
    }
    let code = if has_nextest(workspace) {
        let nextest = ["nextest", "run", "--workspace", "--locked"];
        workspace.cargo().args(nextest).args(arguments).pass_through()?
    } else {
        let arguments = one_at_a_time(arguments);
        let test = ["test", "--workspace", "--locked"];
        workspace
            .cargo()
            .args(test)
            .args(["--lib", "--bins", "--tests"])
            .args(arguments)
            .pass_through()?
    };
    Ok(code)
}

/// Puts `packages` and what they need into `folder`, unless they are there.
fn ensure_packages(
    workspace: &Workspace,
    folder: &str,
    packages: &[&str],
) -> Result<(), TaskError> {
    let folder = workspace.at(folder);
    let marker = folder.join("packages.txt");
    let wanted = packages.join("\n");
    if std::fs::read_to_string(&marker).is_ok_and(|packages| packages == wanted) {
        return Ok(());
    }
    files::remove_folder(&folder)?;
    python::packages(&folder, packages)?;
    Ok(files::write(&marker, &wanted)?)
}

fn document_tests(workspace: &Workspace) -> Result<ExitCode, ProcessError> {
    let test = ["test", "--doc", "--locked"];
    workspace.cargo().args(test).pass_through()
}

fn has_nextest(workspace: &Workspace) -> bool {
    workspace.cargo().args(["nextest", "--version"]).read().is_ok()
}

/// Arguments for `cargo test`, whose threads would share one MLX: what follows `--` is for the tests themselves.
fn one_at_a_time(arguments: &[OsString]) -> Vec<&OsStr> {
    let mut parts = arguments.splitn(2, |argument| argument == "--");
    let mut for_cargo: Vec<&OsStr> = Vec::new();
    for_cargo.extend(parts.next().into_iter().flatten().map(OsString::as_os_str));
    for_cargo.extend(["--", "--test-threads=1"].map(OsStr::new));
    for_cargo.extend(parts.next().into_iter().flatten().map(OsString::as_os_str));
    for_cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(arguments: &[&str], expected: &[&str]) {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        assert_eq!(one_at_a_time(&arguments), expected);
    }

    #[test]
    fn one_thread_is_asked_for_between_both_kinds_of_arguments() {
        case(&[], &["--", "--test-threads=1"]);
        case(&["rope"], &["rope", "--", "--test-threads=1"]);
        case(&["rope", "--", "--nocapture"], &["rope", "--", "--test-threads=1", "--nocapture"]);
    }
}
