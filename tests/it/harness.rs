//! Runs the program itself in a folder of its own, with an empty model cache and, unless it says otherwise, no network.

use std::{fs, path::PathBuf, time::Duration};

use assert_cmd::Command;
use mlxk_harness::cli::Exit;
use tempfile::TempDir;

/// A run of the program to be, and what it is to answer; what is not said is to be empty.
pub(crate) struct Harness {
    folder: TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    stdout: String,
    stderr: String,
}

/// What a run of the program answered.
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Harness {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            arguments: Vec::new(),
            environment: vec![("HF_HUB_OFFLINE".to_owned(), "1".to_owned())],
            stdout: String::new(),
            stderr: String::new(),
        }
    }

    /// Writes a file into the folder, and the folders above it.
    pub(crate) fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Writes `models.toml`.
    pub(crate) fn manifest(self, text: &str) -> Self {
        self.file("models.toml", text)
    }

    pub(crate) fn args<const N: usize>(mut self, arguments: [&str; N]) -> Self {
        self.arguments.extend(arguments.map(str::to_owned));
        self
    }

    /// More arguments.
    pub(crate) fn more(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Sets a variable; later ones win.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// All of standard output.
    pub(crate) fn stdout(mut self, text: &str) -> Self {
        text.clone_into(&mut self.stdout);
        self
    }

    /// All of standard error.
    pub(crate) fn stderr(mut self, text: &str) -> Self {
        text.clone_into(&mut self.stderr);
        self
    }

    /// Runs the program and compares both outputs and its exit code; the folder is handed back to look into.
    #[track_caller]
    pub(crate) fn exit(self, exit: Exit) -> TempDir {
        let answer = self.answer();
        assert_eq!(answer.stderr, self.stderr);
        assert_eq!(answer.stdout, self.stdout);
        assert_eq!(answer.code, Some(exit as i32));
        self.folder
    }

    /// Runs the program.
    pub(crate) fn answer(&self) -> Answer {
        let output = Command::new(env!("CARGO_BIN_EXE_mlxk-harness"))
            .args(&self.arguments)
            .current_dir(self.folder.path())
            .env("HF_HOME", self.path("cache"))
            .env_remove("HF_HUB_CACHE")
            .env_remove("MLXK_WORKSPACE_HOME")
            .env_remove("HF_TOKEN")
            .env_remove("HF_TOKEN_PATH")
            .env_remove("HF_ENDPOINT")
            .envs(self.environment.iter().cloned())
            .env_remove("COLUMNS")
            .env("NO_COLOR", "1")
            .timeout(Duration::from_mins(10))
            .output()
            .unwrap();
        Answer {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The text of a file in the folder.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
