//! The set-up on Linux: one folder, named after everything that goes into it, that appears whole or not at all.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::blas::Blas;
use super::mlxc::{self, COMPILER, COMPILER_MISSING};
use super::platform::Platform;
use super::{MlxError, bindings, config, wheels};
use crate::console::say;
use crate::process::Program;
use crate::workspace::Workspace;

/// Raised when the steps change in a way that their inputs do not show.
const RECIPE: &str = "1";

const HALF: &str = include_str!("../../shims/half.h");
const FORMAT: &str = include_str!("../../shims/format.h");
const CLOCK: &str = include_str!("../../shims/clock.h");

/// What a finished set-up holds.
const OUTPUTS: [&str; 3] = [
    "wheel/mlx/lib/libmlx.so",
    "lib/libmlxc.a",
    "lib/bindings.rs",
];

/// Makes the set-up and the Cargo configuration that points at it, unless both are there.
pub(super) fn ensure(workspace: &Workspace) -> Result<(), MlxError> {
    let platform = Platform::current()?;
    let folder = workspace.at(".mlx");
    fs::create_dir_all(&folder).map_err(MlxError::file(&folder))?;
    let _lock = lock(&folder)?;
    let finished = folder.join(key(workspace, platform)?);
    if !OUTPUTS.iter().all(|output| finished.join(output).is_file()) {
        say("setting up MLX: this takes a minute, once");
        let partial = folder.join("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(MlxError::file(&partial))?;
        }
        let made = build(workspace, platform, &partial);
        if made.is_err() {
            _ = fs::remove_dir_all(&partial);
        }
        made?;
        remove_folders(&folder, &partial)?;
        fs::rename(&partial, &finished).map_err(MlxError::file(&finished))?;
    }
    let blas = Blas::choose(&folder)?;
    let text = config::render(&finished, platform, blas);
    config::write(&workspace.at(".cargo/mlx-linux.toml"), &text)
}

/// Keeps other runs out until it is dropped, however this one ends.
fn lock(folder: &Path) -> Result<File, MlxError> {
    let path = folder.join("lock");
    let file = File::create(&path).map_err(MlxError::file(&path))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => say("waiting for another `cargo xtask`"),
        Err(TryLockError::Error(source)) => return Err(MlxError::File { path, source }),
    }
    file.lock().map_err(MlxError::file(&path))?;
    Ok(file)
}

/// Removes the set-ups that earlier versions made.
fn remove_folders(folder: &Path, kept: &Path) -> Result<(), MlxError> {
    for entry in fs::read_dir(folder).map_err(MlxError::file(folder))? {
        let path = entry.map_err(MlxError::file(folder))?.path();
        if path.is_dir() && path != kept {
            fs::remove_dir_all(&path).map_err(MlxError::file(&path))?;
        }
    }
    Ok(())
}

/// A short hash of all that goes into the set-up.
fn key(workspace: &Workspace, platform: Platform) -> Result<String, MlxError> {
    let path = workspace.at("Cargo.lock");
    let lock = fs::read_to_string(&path).map_err(MlxError::file(&path))?;
    let mlx_sys = locked(&lock, "mlx-sys").ok_or(MlxError::NotLocked(path))?;
    let compiler = Program::new(COMPILER)
        .arg("--version")
        .if_missing(COMPILER_MISSING)
        .read()?;
    let mlx = wheels::requirements(&[wheels::MLX], platform);
    let tools = wheels::requirements(wheels::TOOLS, platform);
    Ok(hash(&[
        RECIPE,
        platform.triple(),
        mlx_sys,
        &compiler,
        &mlx,
        &tools,
        HALF,
        FORMAT,
        CLOCK,
    ]))
}

/// A package's entry in `Cargo.lock`, which holds its version and checksum.
fn locked<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let name = format!("name = \"{package}\"");
    lock.split("[[package]]")
        .find(|entry| entry.lines().any(|line| line == name))
}

fn hash(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.len().to_le_bytes());
        hasher.update(part);
    }
    let bytes = hasher.finalize();
    bytes
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn build(workspace: &Workspace, platform: Platform, partial: &Path) -> Result<(), MlxError> {
    let lib = partial.join("lib");
    let work = partial.join("work");
    for folder in [&lib, &work] {
        fs::create_dir_all(folder).map_err(MlxError::file(folder))?;
    }
    let sources = mlxc::sources(workspace)?;
    let wheel = partial.join("wheel");
    let tools = work.join("tools");
    wheels::install(&[wheels::MLX], platform, &wheel)?;
    wheels::install(wheels::TOOLS, platform, &tools)?;
    let half = shim(&work, "half.h", HALF)?;
    let format = shim(&work, "format.h", FORMAT)?;
    let clock = shim(&work, "clock.h", CLOCK)?;
    let build = mlxc::Build {
        sources: &sources,
        mlx: &wheel,
        tools: &tools,
        shims: &[half.clone(), format, clock],
        folder: &work.join("build"),
    };
    build.run(&lib)?;
    bindings::generate(&sources, &tools, &half, &lib)?;
    fs::remove_dir_all(&work).map_err(MlxError::file(&work))
}

fn shim(folder: &Path, name: &str, text: &str) -> Result<PathBuf, MlxError> {
    let path = folder.join(name);
    fs::write(&path, text).map_err(MlxError::file(&path))?;
    Ok(path)
}
