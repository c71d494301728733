//! `cargo xtask fixtures [NAME…] [--smollm2 FOLDER]`: makes parity fixtures anew with mlx-lm, the reference,
//! and notes what it converts all of them to.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::TaskError;
use crate::files;
use crate::process::Program;
use crate::python;
use crate::workspace::Workspace;

/// What the reference is; another version of it is a change of every fixture.
const PACKAGES: [&str; 2] = ["mlx-lm==0.32.2", "mlx[cpu]==0.32.2"];

/// The task.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<ExitCode, TaskError> {
    let interpreter = reference(workspace)?;
    let python = |script: &str, folder: &str| {
        Program::new(&interpreter).arg(workspace.at(script)).arg(workspace.at(folder))
    };
    let made = python("xtask/python/fixtures.py", "tests/fixtures/parity");
    let code = made.args(arguments).pass_through()?;
    if code != ExitCode::SUCCESS {
        return Ok(code);
    }
    Ok(python("xtask/python/conversions.py", "tests/fixtures").pass_through()?)
}

/// The Python that has the reference; it is installed where it is not there yet.
pub(crate) fn reference(workspace: &Workspace) -> Result<PathBuf, TaskError> {
    let environment = workspace.at(".mlx/reference");
    let marker = environment.join("packages.txt");
    let wanted = PACKAGES.join("\n");
    if std::fs::read_to_string(&marker).unwrap_or_default() != wanted {
        python::environment(&environment, &PACKAGES)?;
        files::write(&marker, &wanted)?;
    }
    Ok(environment.join("bin/python"))
}
