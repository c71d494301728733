//! `cargo xtask versus [--pairs N] [--only NAME] [--preload LIBRARY]`: sets the release build beside mlx-lm, on the same MLX.
//!
//! `xtask/python/versus.py` alternates the two and prints ratios; `docs/performance.md` says what was found.

use std::ffi::OsString;
use std::process::ExitCode;

use serde_json::Value;

use crate::process::{ProcessError, Program};
use crate::workspace::Workspace;
use crate::{TaskError, demo, fixtures, mlx};

/// OpenBLAS where Debian and its kin put it, which the wheel of MLX does not ask for by itself.
const BLAS: &str = "libopenblas.so.0";

/// The task.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<ExitCode, TaskError> {
    mlx::ensure(workspace)?;
    let built = ["build", "--release", "--locked", "--bin", "mlxk-harness"];
    let code = workspace.cargo().args(built).pass_through()?;
    if code != ExitCode::SUCCESS {
        return Ok(code);
    }
    let graph = graph_program(workspace)?;
    let python = fixtures::reference(workspace)?;
    demo::ensure(workspace)?;
    let harness = workspace.target_folder()?.join("release/mlxk-harness");
    let work = workspace.target_folder()?.join("versus");
    let dense = work.join("smollm2-float32");
    if !dense.exists() {
        let converted = Program::new(&harness)
            .arg("convert")
            .arg(demo::model(workspace))
            .arg(&dense)
            .args(["--dequantize", "--dtype", "float32"])
            .pass_through()?;
        if converted != ExitCode::SUCCESS {
            return Ok(converted);
        }
    }
    let versus = Program::new(python)
        .env("VERSUS_BLAS", BLAS)
        .arg(workspace.at("xtask/python/versus.py"))
        .args([harness, graph.into(), dense, work])
        .args(arguments);
    Ok(versus.pass_through()?)
}

/// Builds `benches/graph.rs` and tells where it lies.
fn graph_program(workspace: &Workspace) -> Result<String, ProcessError> {
    let told = workspace
        .cargo()
        .named_args(&["build"])
        .args(["--release", "--locked", "--bench", "graph", "--message-format", "json"])
        .if_failed("`cargo build --release --bench graph` tells why")
        .read()?;
    let artifacts = told.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut program = artifacts.filter_map(|artifact| {
        let is_graph = artifact.pointer("/target/name")? == "graph";
        let path = artifact.get("executable")?.as_str()?;
        is_graph.then(|| path.to_owned())
    });
    Ok(program.next_back().unwrap_or_default())
}
