//! Where the work is done: the workspace of the current folder, not the one this program was built in.

use std::path::{Path, PathBuf};

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
            .named_arg("locate-project")
            .args(["--workspace", "--message-format", "plain"])
            .if_failed("run it inside the checkout")
            .read()?;
        let manifest = Path::new(manifest.trim());
        Ok(Self {
            root: manifest.parent().unwrap_or(manifest).to_path_buf(),
        })
    }

    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the root.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
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
