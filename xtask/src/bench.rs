//! `cargo xtask bench [arguments]`: builds the harness, fetches the demo model and benchmarks it.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::process::Program;
use crate::workspace::Workspace;
use crate::{TaskError, demo, mlx};

/// The task. Arguments go to the harness, whose exit code is the task's.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<ExitCode, TaskError> {
    mlx::ensure(workspace)?;
    let build = ["build", "--release", "--locked"];
    let code = workspace.cargo().args(build).pass_through()?;
    if code != ExitCode::SUCCESS {
        return Ok(code);
    }
    demo::ensure(workspace)?;
    let harness = workspace.target_folder()?.join("release/mlxk-harness");
    let program = Program::new(harness)
        .current_dir(workspace.root())
        .args(["run", "models.toml", "--tag", "demo"])
        .args(arguments);
    Err(program.replace_this_process().into())
}
