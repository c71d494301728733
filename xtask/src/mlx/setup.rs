//! The set-up on Linux: one folder, named after everything that goes into it, that appears whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use super::blas::Blas;
use super::mlxc::{self, COMPILER, COMPILER_MISSING};
use super::platform::Platform;
use super::{MlxError, bindings, config, wheels};
use crate::console::say;
use crate::files::{self, FileError};
use crate::process::Program;
use crate::sha256;
use crate::workspace::Workspace;

/// Raised when the steps change in a way that their inputs do not show.
const RECIPE: &str = "1";

/// Enough to tell one set-up from another.
const KEY_DIGITS: usize = 16;

const HALF: &str = include_str!("../../shims/half.h");
const FORMAT: &str = include_str!("../../shims/format.h");
const CLOCK: &str = include_str!("../../shims/clock.h");

/// What a finished set-up holds.
const OUTPUTS: [&str; 4] =
    ["wheel/mlx/lib/libmlx.so", "wheel/mlx_cpu.libs", "lib/libmlxc.a", "lib/bindings.rs"];

/// Makes the set-up and the Cargo configuration that points at it, unless both are there.
pub(super) fn ensure(workspace: &Workspace) -> Result<(), MlxError> {
    let platform = Platform::current()?;
    let folder = workspace.at(".mlx");
    let _lock = files::lock(&folder)?;
    let finished = folder.join(key(workspace, platform)?);
    if !is_whole(&finished) {
        say("setting up MLX: this takes a minute, once");
        let partial = folder.join("partial");
        files::remove_folder(&partial)?;
        let made = build(workspace, platform, &partial);
        if made.is_err() {
            _ = fs::remove_dir_all(&partial);
        }
        made?;
        remove_folders(&folder, &partial)?;
        files::rename(&partial, &finished)?;
    }
    let blas = Blas::choose(&folder)?;
    let text = config::render(&finished, platform, blas);
    config::write(&workspace.at(".cargo/mlx-linux.toml"), &text)
}

fn is_whole(finished: &Path) -> bool {
    OUTPUTS.iter().all(|output| finished.join(output).exists())
}

/// Removes the set-ups that earlier versions made.
fn remove_folders(folder: &Path, kept: &Path) -> Result<(), MlxError> {
    for entry in fs::read_dir(folder).map_err(FileError::at(folder))? {
        let path = entry.map_err(FileError::at(folder))?.path();
        if path.is_dir() && path != kept {
            files::remove_folder(&path)?;
        }
    }
    Ok(())
}

/// A short hash of all that goes into the set-up.
fn key(workspace: &Workspace, platform: Platform) -> Result<String, MlxError> {
    let path = workspace.at("Cargo.lock");
    let lock = fs::read_to_string(&path).map_err(FileError::at(&path))?;
    let mlx_sys = locked(&lock, "mlx-sys").ok_or(MlxError::NotLocked(path))?;
    let compiler = Program::new(COMPILER).arg("--version").if_missing(COMPILER_MISSING).read()?;
    let mlx = wheels::requirements(&wheels::mlx(platform));
    let tools = wheels::requirements(&wheels::tools(platform));
    Ok(hash(&[RECIPE, platform.triple(), mlx_sys, &compiler, &mlx, &tools, HALF, FORMAT, CLOCK]))
}

/// A package's entry in `Cargo.lock`, which holds its version and checksum.
fn locked<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let name = format!("name = \"{package}\"");
    lock.split("[[package]]").find(|entry| entry.lines().any(|line| line == name))
}

fn hash(parts: &[&str]) -> String {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&part.len().to_le_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    let mut hash = sha256::hex(&bytes);
    hash.truncate(KEY_DIGITS);
    hash
}

fn build(workspace: &Workspace, platform: Platform, partial: &Path) -> Result<(), MlxError> {
    let lib = partial.join("lib");
    let work = partial.join("work");
    for folder in [&lib, &work] {
        files::make_folder(folder)?;
    }
    let sources = mlxc::sources(workspace)?;
    let wheel = partial.join("wheel");
    let tools = work.join("tools");
    let list = work.join("requirements.txt");
    wheels::install(&wheels::mlx(platform), &list, &wheel)?;
    wheels::install(&wheels::tools(platform), &list, &tools)?;
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
    files::remove_folder(&work)?;
    Ok(())
}

fn shim(folder: &Path, name: &str, text: &str) -> Result<PathBuf, MlxError> {
    let path = folder.join(name);
    files::write(&path, text)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"version = 4

[[package]]
name = "mlx-rs"
version = "0.33.0"
dependencies = [
 "mlx-sys",
]

[[package]]
name = "mlx-sys"
version = "0.7.0"
checksum = "da96"

[[package]]
name = "zerocopy"
version = "0.8.0"
"#;

    #[test]
    fn the_entry_of_a_locked_package_is_its_own_and_no_other() {
        assert_eq!(
            locked(LOCK, "mlx-sys"),
            Some("\nname = \"mlx-sys\"\nversion = \"0.7.0\"\nchecksum = \"da96\"\n\n")
        );
        assert_eq!(locked(LOCK, "mlx"), None);
    }

    #[test]
    fn the_key_depends_on_where_one_part_ends_and_the_next_begins() {
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_ne!(hash(&["ab"]), hash(&["ab", ""]));
        assert_eq!(hash(&["ab"]).len(), 16);
    }

    #[test]
    fn a_set_up_that_lost_a_file_is_not_whole() {
        let folder = tempfile::tempdir().unwrap();
        for parent in ["wheel/mlx/lib", "wheel/mlx_cpu.libs", "lib"] {
            fs::create_dir_all(folder.path().join(parent)).unwrap();
        }
        for file in ["wheel/mlx/lib/libmlx.so", "lib/libmlxc.a", "lib/bindings.rs"] {
            assert!(!is_whole(folder.path()), "{file} is missing");
            fs::write(folder.path().join(file), "").unwrap();
        }
        assert!(is_whole(folder.path()));
        fs::remove_dir(folder.path().join("wheel/mlx_cpu.libs")).unwrap();
        assert!(!is_whole(folder.path()), "the libraries of libmlx are missing");
    }

    #[test]
    fn only_the_folder_that_is_kept_stays_and_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("kept");
        for name in ["kept", "old"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("lock"), "").unwrap();
        remove_folders(folder.path(), &kept).unwrap();
        assert!(kept.is_dir());
        assert!(!folder.path().join("old").exists());
        assert!(folder.path().join("lock").is_file());
    }
}
