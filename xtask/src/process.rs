//! Runs other programs, and names them when something goes wrong.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Output, Stdio};

/// Lines of a failed program's output that are shown.
const SHOWN_LINES: usize = 20;

/// Why a program gave no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    /// The program is not installed.
    #[error("`{program}` is missing: {remedy}")]
    Missing {
        /// The program's name.
        program: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The program exists but did not start.
    #[error("cannot start `{program}`")]
    Start {
        /// The program's name.
        program: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The program ran and refused.
    #[error("`{command}` ended with {status}: {remedy}")]
    Failed {
        /// The program and the arguments that tell what it was doing.
        command: String,
        /// Its end.
        status: ExitStatus,
        /// What to do about it.
        remedy: &'static str,
        /// The last lines it printed.
        output: String,
    },
}

impl ProcessError {
    /// The last lines the program printed, where it ran at all.
    pub(crate) fn output(&self) -> Option<&str> {
        match self {
            Self::Failed { output, .. } if !output.is_empty() => Some(output),
            Self::Failed { .. } | Self::Missing { .. } | Self::Start { .. } => None,
        }
    }
}

/// One program to run.
#[derive(Debug)]
pub(crate) struct Program {
    command: Command,
    label: String,
    if_missing: &'static str,
    if_failed: &'static str,
}

impl Program {
    /// A program, looked up on `PATH` unless `program` is a path.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            label: file_name(program.as_ref()),
            command: Command::new(program),
            if_missing: "install it and try again",
            if_failed: "see its output above",
        }
    }

    /// Appends words that are named when the program fails, as `-m pip install`.
    pub(crate) fn named_args(mut self, words: &[&str]) -> Self {
        for word in words {
            self.label.push(' ');
            self.label.push_str(word);
        }
        self.args(words)
    }

    /// Appends an argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Appends arguments.
    pub(crate) fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the folder to run in.
    pub(crate) fn current_dir(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Says what to do where the program is not installed.
    pub(crate) fn if_missing(mut self, remedy: &'static str) -> Self {
        self.if_missing = remedy;
        self
    }

    /// Says what to do where the program fails.
    pub(crate) fn if_failed(mut self, remedy: &'static str) -> Self {
        self.if_failed = remedy;
        self
    }

    /// Runs to the end without showing anything, and returns what it wrote to stdout.
    pub(crate) fn read(mut self) -> Result<String, ProcessError> {
        let output = self
            .command
            .stdin(Stdio::null())
            .output()
            .map_err(|source| self.start_error(source))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(ProcessError::Failed {
            command: self.label,
            status: output.status,
            remedy: self.if_failed,
            output: last_lines(&output),
        })
    }

    /// Runs with this process's own input and output, and returns the code it ended with.
    pub(crate) fn pass_through(mut self) -> Result<ExitCode, ProcessError> {
        let status = self.command.status();
        let code = status.map_err(|source| self.start_error(source))?.code();
        let code = code.and_then(|code| u8::try_from(code).ok());
        Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
    }

    /// Goes on as the program, so that signals and the exit code are its own; returns only where it cannot start.
    pub(crate) fn replace_this_process(mut self) -> ProcessError {
        let source = self.command.exec();
        self.start_error(source)
    }

    fn start_error(&self, source: io::Error) -> ProcessError {
        let program = file_name(self.command.get_program());
        if source.kind() == io::ErrorKind::NotFound {
            return ProcessError::Missing { program, remedy: self.if_missing };
        }
        ProcessError::Start { program, source }
    }
}

fn file_name(program: &OsStr) -> String {
    let name = Path::new(program).file_name().unwrap_or(program);
    name.to_string_lossy().into_owned()
}

fn last_lines(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let hidden = lines.len().saturating_sub(SHOWN_LINES);
    lines.get(hidden..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_installed_is_named_with_the_remedy() {
        let error = Program::new("no-such-program")
            .named_args(&["build"])
            .if_missing("build it")
            .read()
            .unwrap_err();
        assert_eq!(error.to_string(), "`no-such-program` is missing: build it");
    }

    #[test]
    fn a_program_that_fails_is_named_and_its_last_lines_are_kept() {
        let error = Program::new("sh")
            .named_args(&["-c"])
            .arg("seq 30; echo reason >&2; exit 3")
            .if_failed("ask it")
            .read()
            .unwrap_err();
        assert_eq!(error.to_string(), "`sh -c` ended with exit status: 3: ask it");
        let output = error.output().unwrap();
        assert_eq!(output.lines().count(), 20);
        assert!(output.starts_with("12\n"), "{output}");
        assert!(output.ends_with("\n30\nreason"), "{output}");
    }

    #[test]
    fn the_exit_code_of_a_program_is_passed_through() {
        let code = Program::new("sh").args(["-c", "exit 7"]).pass_through();
        assert_eq!(code.unwrap(), ExitCode::from(7));
    }
}
