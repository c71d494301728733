//! Finds OpenBLAS, which takes over the matrix products of MLX's slow bundled BLAS.

use std::path::Path;

use super::MlxError;
use super::mlxc::{COMPILER, COMPILER_MISSING};
use crate::console::say;
use crate::files;
use crate::process::Program;

const WARNING: &str = "warning: no OpenBLAS here, so MLX uses its bundled BLAS, measured in float32 as about 30 times \
     slower in prefill and 3 times in decode: install `libopenblas-dev`, then run `cargo xtask mlx` again";

/// Seconds an installation may take.
const PATIENCE: &str = "180";

/// OpenBLAS with its development files, and without them: a library's file and the linker's word for it.
const NAMES: [(&str, &str); 2] =
    [("libopenblas.so", "-lopenblas"), ("libopenblas.so.0", "-l:libopenblas.so.0")];

/// Where matrix products are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blas {
    /// In OpenBLAS, which the linker knows by this word.
    Linked(&'static str),
    /// In what the MLX wheel brings.
    Bundled,
}

impl Blas {
    /// The best one here, installed where that is allowed; an installation that failed is not tried again.
    pub(super) fn choose(folder: &Path) -> Result<Self, MlxError> {
        let refused = folder.join("openblas-refused");
        let mut found = Self::find()?;
        if found == Self::Bundled && !refused.exists() {
            if install() {
                found = Self::find()?;
            }
            if found == Self::Bundled {
                files::write(&refused, "")?;
            }
        }
        if found == Self::Bundled {
            say(WARNING);
        }
        Ok(found)
    }

    fn find() -> Result<Self, MlxError> {
        for (library, word) in NAMES {
            if is_linkable(library)? {
                return Ok(Self::Linked(word));
            }
        }
        Ok(Self::Bundled)
    }
}

/// Whether the linker finds a library: the compiler then names its path, and only its bare name otherwise.
fn is_linkable(library: &str) -> Result<bool, MlxError> {
    let answer = Program::new(COMPILER)
        .arg(format!("-print-file-name={library}"))
        .if_missing(COMPILER_MISSING)
        .read()?;
    Ok(Path::new(answer.trim()).is_absolute())
}

fn install() -> bool {
    let is_root = Program::new("id").arg("-u").read().is_ok_and(|id| id.trim() == "0");
    let prefix: &[&str] = if is_root { &[] } else { &["sudo", "-n"] };
    let apt = |arguments: &[&str]| {
        let program = Program::new("timeout")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .arg(PATIENCE)
            .args(prefix)
            .arg("apt-get");
        program.args(arguments).read().is_ok()
    };
    if !apt(&["--version"]) {
        return false;
    }
    say("installing `libopenblas-dev`");
    let install = ["install", "-y", "--no-install-recommends", "libopenblas-dev"];
    apt(&install) || (apt(&["update"]) && apt(&install))
}
