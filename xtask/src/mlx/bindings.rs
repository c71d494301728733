//! Writes `bindings.rs`, the Rust declarations of mlx-c that mlx-sys compiles in.
//!
//! The settings are those of mlx-sys's own `src/bindgen_config.rs`: the same Rust target, the same two functions left out.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::MlxError;
use super::mlxc::{COMPILER, COMPILER_MISSING};
use crate::console::say;
use crate::process::Program;

/// The name this program calls itself under to write bindings: the libclang it loads is named by an environment
/// variable, and only a new process can be given one safely.
pub(crate) const BINDINGS_TASK: &str = "write-mlx-bindings";

const RUST_TARGET: &str = "1.73.0";
const LEFT_OUT: [&str; 2] = ["malloc", "realloc"];
const BINDGEN_FAILED: &str = "mlx-c's headers could not be read";

/// Writes `bindings.rs` into `destination`, with the libclang among `tools`.
pub(super) fn generate(
    sources: &Path,
    tools: &Path,
    shim: &Path,
    destination: &Path,
) -> Result<(), MlxError> {
    let itself = std::env::current_exe().map_err(MlxError::Executable)?;
    let compiler_headers = Program::new(COMPILER)
        .arg("-print-file-name=include")
        .if_missing(COMPILER_MISSING)
        .read()?;
    Program::new(itself)
        .named_args(&[BINDINGS_TASK])
        .args([sources, shim, Path::new(compiler_headers.trim()), destination])
        .env("BINDGEN_EXTRA_CLANG_ARGS", "")
        .env("LIBCLANG_PATH", tools.join("clang/native"))
        .if_failed(BINDGEN_FAILED)
        .read()?;
    Ok(())
}

/// The other end of [`generate`]: runs bindgen in the process that was started for it.
pub(crate) fn write_bindings(arguments: &[OsString]) -> ExitCode {
    let [sources, shim, compiler_headers, destination] = arguments else {
        say("four paths are needed");
        return ExitCode::FAILURE;
    };
    let written = headers(Path::new(sources)).and_then(|headers| {
        let bindings = builder(sources, &headers)
            .clang_arg(format!("-isystem{}", compiler_headers.display()))
            .clang_args(["-include".to_owned(), shim.display().to_string()])
            .generate()
            .map_err(std::io::Error::other)?;
        bindings.write_to_file(Path::new(destination).join("bindings.rs"))
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn builder(sources: &OsString, headers: &[PathBuf]) -> bindgen::Builder {
    let target = RUST_TARGET.parse().expect("the target is a Rust version");
    let start = bindgen::Builder::default()
        .rust_target(target)
        .clang_arg(format!("-I{}", sources.display()));
    let start = LEFT_OUT.iter().fold(start, bindgen::Builder::blocklist_function);
    headers.iter().fold(start, |builder, header| builder.header(header.to_string_lossy()))
}

fn headers(sources: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut headers = Vec::new();
    for entry in fs::read_dir(sources.join("mlx").join("c"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "h") {
            headers.push(path);
        }
    }
    headers.sort();
    Ok(headers)
}
