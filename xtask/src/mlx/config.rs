//! The generated Cargo configuration: it replaces mlx-sys's build script, which can only run on macOS.

use std::fs;
use std::path::Path;

use super::MlxError;
use super::blas::Blas;
use super::platform::Platform;

/// The Cargo configuration that links against the set-up in `folder`.
///
/// OpenBLAS comes before `libmlx`, so that its `cblas_*` are found first; nothing calls them by name before `libmlx`
/// does, so the linker must be told to keep it.
pub(super) fn render(folder: &Path, platform: Platform, blas: Blas) -> String {
    let triple = platform.triple();
    let archive = quoted("native=", &folder.join("lib"));
    let libmlx = quoted("native=", &folder.join("wheel/mlx/lib"));
    let bindings = quoted("", &folder.join("lib"));
    let rpath = quoted("link-arg=-Wl,-rpath,", &folder.join("wheel/mlx/lib"));
    let openblas = blas.library().map(|library| {
        format!(r#", "-C", "link-arg=-Wl,--push-state,--no-as-needed,{library},--pop-state""#)
    });
    let openblas = openblas.unwrap_or_default();
    format!(
        r#"# Written by `cargo xtask mlx` for this folder on this machine.

[target.{triple}.mlx]
rustc-link-search = [{archive}, {libmlx}]
rustc-link-lib = ["static=mlxc", "dylib=mlx", "dylib=stdc++"]
rustc-env = {{ OUT_DIR = {bindings} }}

[target.{triple}]
rustflags = ["-C", {rpath}{openblas}]
"#
    )
}

/// Writes the configuration, unless it is there: a newer file would make Cargo think again.
pub(super) fn write(path: &Path, text: &str) -> Result<(), MlxError> {
    if fs::read_to_string(path).is_ok_and(|present| present == text) {
        return Ok(());
    }
    let partial = path.with_extension("partial");
    fs::write(&partial, text).map_err(MlxError::file(&partial))?;
    fs::rename(&partial, path).map_err(MlxError::file(path))
}

/// A TOML string.
fn quoted(prefix: &str, path: &Path) -> String {
    let path = path.display().to_string();
    let path = path.replace('\\', r"\\").replace('"', "\\\"");
    format!("\"{prefix}{path}\"")
}
