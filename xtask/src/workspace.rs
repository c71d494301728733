//! Where the work is done: the workspace of the current folder, not the one this program was built in.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::process::{ProcessError, Program};

/// The root folder of a checkout.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The workspace that holds the current folder.
    pub(crate) fn current() -> Result<Self, ProcessError> {
        let manifest = cargo()
            .named_args(&["locate-project"])
            .args(["--workspace", "--message-format", "plain"])
            .if_failed("run it inside the checkout")
            .read()?;
        let manifest = Path::new(manifest.trim());
        Ok(Self { root: manifest.parent().unwrap_or(manifest).to_path_buf() })
    }

    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the root.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The folder Cargo builds in.
    pub(crate) fn target_folder(&self) -> Result<PathBuf, ProcessError> {
        let metadata = self.metadata(&["--no-deps"])?;
        let folder = metadata.get("target_directory").and_then(Value::as_str);
        Ok(folder.map_or_else(|| self.at("target"), PathBuf::from))
    }

    /// What Cargo knows of the workspace.
    pub(crate) fn metadata(&self, arguments: &[&str]) -> Result<Value, ProcessError> {
        let metadata = self
            .cargo()
            .named_args(&["metadata"])
            .args(["--format-version", "1"])
            .args(arguments)
            .if_failed("the crates must be within reach")
            .read()?;
        Ok(serde_json::from_str(&metadata).unwrap_or_default())
    }

    /// Cargo, in the root.
    pub(crate) fn cargo(&self) -> Program {
        cargo().current_dir(&self.root)
    }
}

fn cargo() -> Program {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Program::new(cargo)
}
