//! Finds OpenBLAS, which takes over the matrix products of MLX's slow bundled BLAS.

use std::fs;
use std::path::{Path, PathBuf};

use super::MlxError;
use super::mlxc::{COMPILER, COMPILER_MISSING};
use crate::console::say;
use crate::process::Program;

const WARNING: &str = "warning: no OpenBLAS here, so MLX uses its bundled BLAS: in float32 prefill is about 30 times \
     and decode about 3 times slower; install `libopenblas-dev`, then run `cargo xtask mlx` again";

/// Seconds an installation may take.
const PATIENCE: &str = "180";

/// Where matrix products are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blas {
    /// OpenBLAS with its development files.
    OpenBlas,
    /// OpenBLAS without them, known by its full name only.
    OpenBlasRuntime,
    /// What the MLX wheel brings.
    Bundled,
}

impl Blas {
    /// The word for the linker, where one is needed.
    pub(super) fn library(self) -> Option<&'static str> {
        match self {
            Self::OpenBlas => Some("-lopenblas"),
            Self::OpenBlasRuntime => Some("-l:libopenblas.so.0"),
            Self::Bundled => None,
        }
    }

    /// The best one here, installed where that is allowed; an installation that failed is not tried again.
    pub(super) fn choose(folder: &Path) -> Result<Self, MlxError> {
        let refused = folder.join("openblas-refused");
        let mut found = Self::find()?;
        if found == Self::Bundled && !refused.exists() {
            if install() {
                found = Self::find()?;
            }
            if found == Self::Bundled {
                fs::write(&refused, "").map_err(MlxError::file(&refused))?;
            }
        }
        if found == Self::Bundled {
            say(WARNING);
        }
        Ok(found)
    }

    fn find() -> Result<Self, MlxError> {
        Ok(if located("libopenblas.so")?.is_some() {
            Self::OpenBlas
        } else if located("libopenblas.so.0")?.is_some() {
            Self::OpenBlasRuntime
        } else {
            Self::Bundled
        })
    }
}

/// Where the linker finds a library; the compiler repeats the bare name of one that it does not know.
fn located(library: &str) -> Result<Option<PathBuf>, MlxError> {
    let answer = Program::new(COMPILER)
        .arg(format!("-print-file-name={library}"))
        .if_missing(COMPILER_MISSING)
        .read()?;
    let path = PathBuf::from(answer.trim());
    Ok(path.is_absolute().then_some(path))
}

fn install() -> bool {
    let is_root = Program::new("id")
        .arg("-u")
        .read()
        .is_ok_and(|id| id.trim() == "0");
    let prefix: &[&str] = if is_root { &[] } else { &["sudo", "-n"] };
    let apt = |arguments: &[&str]| {
        let program = Program::new("timeout")
            .arg(PATIENCE)
            .args(prefix)
            .arg("apt-get");
        program.args(arguments).read().is_ok()
    };
    if !apt(&["--version"]) {
        return false;
    }
    say("installing `libopenblas-dev`");
    let install = [
        "install",
        "-y",
        "--no-install-recommends",
        "libopenblas-dev",
    ];
    apt(&install) || (apt(&["update"]) && apt(&install))
}
