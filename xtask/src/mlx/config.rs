//! The generated Cargo configuration: it replaces mlx-sys's build script, which can only run on macOS.

use std::fs;
use std::path::Path;

use super::MlxError;
use super::blas::Blas;
use super::platform::Platform;
use crate::files;

/// The Cargo configuration that links against the set-up in `folder`.
///
/// `rpath` and `blas` are for the build script of the harness, which alone is linked with them: flags for everything
/// would have everything built twice. The tests in the documentation have no build script, and get flags.
///
/// OpenBLAS is linked by the program itself, so the loader looks there before it looks where `libmlx` would have its
/// `cblas_*` from. The program never calls them, so the linker must be told to keep the library.
pub(super) fn render(folder: &Path, platform: Platform, blas: Blas) -> String {
    let triple = platform.triple();
    let archive = quoted("native=", &folder.join("lib"));
    let libmlx = quoted("native=", &folder.join("wheel/mlx/lib"));
    let bindings = quoted("", &folder.join("lib"));
    let rpath = quoted("", &folder.join("wheel/mlx/lib"));
    let flags = quoted("link-arg=-Wl,-rpath,", &folder.join("wheel/mlx/lib"));
    let openblas = match blas {
        Blas::Linked(library) => format!("blas = \"{library}\"\n"),
        Blas::Bundled => String::new(),
    };
    format!(
        r#"# Written by `cargo xtask mlx` for this folder on this machine.

[target.{triple}.mlx]
rustc-link-search = [{archive}, {libmlx}]
rustc-link-lib = ["static=mlxc", "dylib=mlx", "dylib=stdc++"]
rustc-env = {{ OUT_DIR = {bindings} }}
rpath = {rpath}
{openblas}
[target.{triple}]
rustdocflags = ["-C", {flags}]
"#
    )
}

/// Writes the configuration, unless it is there: a newer file would make Cargo think again.
pub(super) fn write(path: &Path, text: &str) -> Result<(), MlxError> {
    if fs::read_to_string(path).is_ok_and(|present| present == text) {
        return Ok(());
    }
    let partial = path.with_extension("partial");
    files::write(&partial, text)?;
    files::rename(&partial, path)?;
    Ok(())
}

/// A TOML string.
fn quoted(prefix: &str, path: &Path) -> String {
    let path = path.display().to_string();
    let path = path.replace('\\', r"\\").replace('"', "\\\"");
    format!("\"{prefix}{path}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH_OPENBLAS: &str = r#"# Written by `cargo xtask mlx` for this folder on this machine.

[target.x86_64-unknown-linux-gnu.mlx]
rustc-link-search = ["native=/a \"b\"/lib", "native=/a \"b\"/wheel/mlx/lib"]
rustc-link-lib = ["static=mlxc", "dylib=mlx", "dylib=stdc++"]
rustc-env = { OUT_DIR = "/a \"b\"/lib" }
rpath = "/a \"b\"/wheel/mlx/lib"
blas = "-lopenblas"

[target.x86_64-unknown-linux-gnu]
rustdocflags = ["-C", "link-arg=-Wl,-rpath,/a \"b\"/wheel/mlx/lib"]
"#;

    #[test]
    fn the_configuration_quotes_its_paths_and_keeps_openblas() {
        let text = render(Path::new("/a \"b\""), Platform::X86_64, Blas::Linked("-lopenblas"));
        assert_eq!(text, WITH_OPENBLAS);
    }

    #[test]
    fn without_openblas_only_the_path_of_libmlx_is_left() {
        let text = render(Path::new("/m"), Platform::Aarch64, Blas::Bundled);
        assert!(!text.contains("blas"), "{text}");
        let end = "\n[target.aarch64-unknown-linux-gnu]\n\
                   rustdocflags = [\"-C\", \"link-arg=-Wl,-rpath,/m/wheel/mlx/lib\"]\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn a_configuration_that_is_there_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mlx-linux.toml");
        write(&path, "a").unwrap();
        let first = fs::metadata(&path).unwrap().modified().unwrap();
        write(&path, "a").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), first);
        write(&path, "b").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "b");
    }
}
