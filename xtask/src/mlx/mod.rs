//! `cargo xtask mlx`: makes MLX available to Cargo on this machine.
//!
//! On macOS mlx-sys builds MLX itself and only Apple's tools must be there. On Linux its build script cannot run, so MLX
//! comes from a wheel, its C interface is built against that, and a Cargo configuration puts both in the script's place.

mod bindings;
mod blas;
mod config;
mod mlxc;
mod platform;
mod setup;
mod wheels;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) use bindings::{BINDINGS_TASK, write_bindings};

use crate::TaskError;
use crate::files::FileError;
use crate::process::{ProcessError, Program};
use crate::workspace::Workspace;

const METAL_MISSING: &str =
    "install Xcode, then run `xcodebuild -downloadComponent MetalToolchain`";

/// Why MLX was not set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MlxError {
    /// No wheel exists for the processor.
    #[error("MLX has no wheel for `{0}` under Linux: only x86_64 and aarch64 are supported")]
    Architecture(&'static str),
    /// The system is neither Linux nor macOS.
    #[error("MLX is set up on Linux and macOS only, not on `{0}`")]
    System(&'static str),
    /// The crate that carries mlx-c does not look as expected.
    #[error("the sources of mlx-c are missing from the `mlx-sys` crate")]
    NoSources,
    /// `Cargo.lock` does not name the crate that carries mlx-c.
    #[error("`{}` does not name `mlx-sys`", .0.display())]
    NotLocked(PathBuf),
    /// This program cannot find itself.
    #[error("cannot find the running program")]
    Executable(#[source] io::Error),
    /// A file or folder could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another program failed.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

impl MlxError {
    /// The last lines of the program that failed.
    pub(crate) fn output(&self) -> Option<&str> {
        if let Self::Process(error) = self {
            return error.output();
        }
        None
    }
}

/// The task.
pub(crate) fn run(workspace: &Workspace, _: &[OsString]) -> Result<ExitCode, TaskError> {
    ensure(workspace)?;
    Ok(ExitCode::SUCCESS)
}

/// Sets MLX up unless it is, so that Cargo can build what needs it.
pub(crate) fn ensure(workspace: &Workspace) -> Result<(), MlxError> {
    if cfg!(target_os = "macos") {
        return check_metal();
    }
    if !cfg!(target_os = "linux") {
        return Err(MlxError::System(std::env::consts::OS));
    }
    setup::ensure(workspace)
}

fn check_metal() -> Result<(), MlxError> {
    Program::new("xcrun")
        .named_args(&["--find", "metal"])
        .if_missing(METAL_MISSING)
        .if_failed(METAL_MISSING)
        .read()?;
    Ok(())
}
