//! Builds mlx-c, MLX's C interface, from the sources that mlx-sys carries.

use std::fs;
use std::path::{Path, PathBuf};

use super::MlxError;
use crate::files::FileError;
use crate::process::Program;
use crate::workspace::Workspace;

/// The C++ compiler, under the name every Linux gives it.
pub(super) const COMPILER: &str = "c++";

/// What to do where there is no C++ compiler.
pub(super) const COMPILER_MISSING: &str = "install a C++ compiler (Debian: `apt-get install g++`)";

const BUILD_FAILED: &str = "mlx-c needs a C++20 compiler (GCC 11 or newer)";

/// The folder of mlx-c's sources in the crate that Cargo unpacked.
pub(super) fn sources(workspace: &Workspace) -> Result<PathBuf, MlxError> {
    let metadata = workspace.metadata(&[])?;
    let packages = metadata.get("packages").and_then(|list| list.as_array());
    let manifest = packages
        .into_iter()
        .flatten()
        .find(|package| package.get("name").is_some_and(|name| name == "mlx-sys"))
        .and_then(|package| package.get("manifest_path")?.as_str());
    let folder = manifest
        .map(|path| Path::new(path).with_file_name("src").join("mlx-c"))
        .filter(|folder| folder.join("CMakeLists.txt").is_file());
    folder.ok_or(MlxError::NoSources)
}

/// The inputs of one build.
#[derive(Debug)]
pub(super) struct Build<'a> {
    /// The folder of mlx-c's `CMakeLists.txt`.
    pub(super) sources: &'a Path,
    /// Where the MLX wheel was unpacked.
    pub(super) mlx: &'a Path,
    /// Where the tools' wheels were unpacked.
    pub(super) tools: &'a Path,
    /// Headers that every file reads first.
    pub(super) shims: &'a [PathBuf],
    /// An empty folder to build in.
    pub(super) folder: &'a Path,
}

impl Build<'_> {
    /// Builds the static library and copies it into `destination`.
    pub(super) fn run(&self, destination: &Path) -> Result<(), MlxError> {
        let includes: Vec<String> =
            self.shims.iter().map(|shim| format!("-include \"{}\"", shim.display())).collect();
        self.cmake()
            .arg("-G")
            .arg("Ninja")
            .arg("-S")
            .arg(self.sources)
            .arg("-B")
            .arg(self.folder)
            .arg(define("CMAKE_MAKE_PROGRAM", self.tools.join("bin/ninja")))
            .arg(define("CMAKE_PREFIX_PATH", self.mlx.join("mlx")))
            .arg(define("CMAKE_CXX_COMPILER", COMPILER))
            .arg(define("CMAKE_C_COMPILER", "cc"))
            .arg(define("CMAKE_CXX_FLAGS", includes.join(" ")))
            .arg(define("CMAKE_BUILD_TYPE", "Release"))
            .arg(define("MLX_C_USE_SYSTEM_MLX", "ON"))
            .arg(define("MLX_C_BUILD_EXAMPLES", "OFF"))
            .if_failed(BUILD_FAILED)
            .read()?;
        self.cmake().named_args(&["--build"]).arg(self.folder).if_failed(BUILD_FAILED).read()?;
        let library = self.folder.join("libmlxc.a");
        fs::copy(&library, destination.join("libmlxc.a")).map_err(FileError::at(&library))?;
        Ok(())
    }

    fn cmake(&self) -> Program {
        // Flags from the environment would be built in unseen and are no part of the key.
        Program::new(self.tools.join("cmake/data/bin/cmake"))
            .env("CXXFLAGS", "")
            .env("CFLAGS", "")
            .env("LDFLAGS", "")
    }
}

fn define(name: &str, value: impl AsRef<Path>) -> String {
    format!("-D{name}={}", value.as_ref().display())
}
