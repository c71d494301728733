//! Python as a courier: wheels, each pinned to its bytes, are fetched with pip and unpacked, and none is ever imported;
//! but for the reference that fixtures are made with.

use std::path::Path;

use crate::process::{ProcessError, Program};

const PIP_MISSING: &str = "install Python 3 with pip (Debian: `apt-get install python3-pip`)";
const PIP_FAILED: &str =
    "it needs the package index, pip 20.3 or newer and, on Linux, glibc 2.35 or newer";
const UNPACK_FAILED: &str = "the wheel does not hold what it should";
const UNPACK: &str = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extract(*sys.argv[2:])";

/// A wheel and its SHA-256.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wheel {
    /// The package.
    pub(crate) name: &'static str,
    /// Its exact version.
    pub(crate) version: &'static str,
    /// 64 hexadecimal digits.
    pub(crate) sha256: &'static str,
}

impl Wheel {
    /// The line of a requirements file that takes this wheel and no other bytes.
    pub(crate) fn requirement(&self) -> String {
        let Self { name, version, sha256 } = self;
        format!("{name}=={version} --hash=sha256:{sha256}\n")
    }
}

/// Unpacks the wheels of a requirements file into `folder`.
pub(crate) fn install(requirements: &Path, folder: &Path) -> Result<(), ProcessError> {
    pip("install")?
        .args(["--no-compile", "--target"])
        .arg(folder)
        .arg("--requirement")
        .arg(requirements)
        .read()
        .map(drop)
}

/// Saves the wheels of a requirements file in `folder`.
pub(crate) fn download(requirements: &Path, folder: &Path) -> Result<(), ProcessError> {
    pip("download")?
        .arg("--dest")
        .arg(folder)
        .arg("--requirement")
        .arg(requirements)
        .read()
        .map(drop)
}

/// Unpacks one member of a wheel below `folder`.
pub(crate) fn unpack(wheel: &Path, member: &str, folder: &Path) -> Result<(), ProcessError> {
    python()
        .args(["-c", UNPACK])
        .arg(wheel)
        .arg(member)
        .arg(folder)
        .if_failed(UNPACK_FAILED)
        .read()
        .map(drop)
}

/// Makes a virtual environment in `folder` with `packages` and what they need.
pub(crate) fn environment(folder: &Path, packages: &[&str]) -> Result<(), ProcessError> {
    python()
        .named_args(&["-m", "venv", "--clear"])
        .arg(folder)
        .if_failed("install Python's venv (Debian: `apt-get install python3-venv`)")
        .read()?;
    Program::new(folder.join("bin/python"))
        .named_args(&["-m", "pip", "install", "--quiet"])
        .args(packages)
        .if_failed("it needs the package index")
        .read()
        .map(drop)
}

/// Puts `packages` and what they need into `folder`, for a Python that looks there.
pub(crate) fn packages(folder: &Path, packages: &[&str]) -> Result<(), ProcessError> {
    python()
        .named_args(&["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(["--no-input", "--only-binary", ":all:", "--target"])
        .arg(folder)
        .args(packages)
        .env("PIP_ROOT_USER_ACTION", "ignore")
        .if_failed(PIP_FAILED)
        .read()
        .map(drop)
}

fn pip(verb: &str) -> Result<Program, ProcessError> {
    python().named_args(&["-m", "pip", "--version"]).if_failed(PIP_MISSING).read()?;
    let pip = python()
        .named_args(&["-m", "pip", verb])
        .args(["--disable-pip-version-check", "--no-input", "--quiet"])
        .args(["--no-deps", "--only-binary", ":all:", "--require-hashes"])
        .env("PIP_ROOT_USER_ACTION", "ignore")
        .if_failed(PIP_FAILED);
    Ok(pip)
}

fn python() -> Program {
    Program::new("python3").if_missing(PIP_MISSING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_names_the_version_and_the_bytes() {
        let wheel = Wheel { name: "cmake", version: "4.4.4", sha256: "f773a0" };
        assert_eq!(wheel.requirement(), "cmake==4.4.4 --hash=sha256:f773a0\n");
    }
}
