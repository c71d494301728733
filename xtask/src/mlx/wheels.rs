//! The Python wheels the set-up is made of, each pinned to its bytes.
//!
//! Python is only the courier: no wheel is imported, and none depends on the version of Python.

use std::fs;
use std::path::Path;

use super::MlxError;
use super::platform::Platform;
use crate::process::Program;

const PIP_FAILED: &str = "it needs the package index, pip 20.3 or newer and glibc 2.35 or newer";
const PYTHON_MISSING: &str = "install Python 3 with pip (Debian: `apt-get install python3-pip`)";

/// A wheel, with its SHA-256 for each platform.
#[derive(Debug)]
pub(super) struct Wheel {
    name: &'static str,
    version: &'static str,
    x86_64: &'static str,
    aarch64: &'static str,
}

/// What stays: `libmlx.so` and the libraries it brings.
pub(super) const MLX: Wheel = Wheel {
    name: "mlx-cpu",
    version: "0.32.2",
    x86_64: "fc5d31b90fc4f457b2f9614ed45651a567d22a6a11a03d114a90a4e10bdd8878",
    aarch64: "d0f94625588b51a878786dd51cec5617894ce586cf3c94645ce1b64e24c27c0b",
};

/// What is needed to build, and thrown away after.
pub(super) const TOOLS: &[Wheel] = &[
    Wheel {
        name: "cmake",
        version: "4.4.4",
        x86_64: "f773a0544c66370408f451acd487c2c643b0dfebb48c5d64f3638bc1bb820238",
        aarch64: "b3029f586853e01ddf2824c1ff124a1c5284f8ae897994758e9c4eeb45903b58",
    },
    Wheel {
        name: "libclang",
        version: "18.1.1",
        x86_64: "c533091d8a3bbf7460a00cb6c1a71da93bffe148f172c7d03b1c31fbf8aa2a0b",
        aarch64: "54dda940a4a0491a9d1532bf071ea3ef26e6dbaf03b5000ed94dd7174e8f9592",
    },
    Wheel {
        name: "ninja",
        version: "1.13.2",
        x86_64: "65a24341b5ac09fcadcc37082660be40a94174e51a937fabf6e2cae26225fa2c",
        aarch64: "d775a5e43e9088f507a6250d57fcf5678eb31268c545feb5064ffeee33735622",
    },
];

/// The requirements file that lets pip take these wheels and no other bytes.
pub(super) fn requirements(wheels: &[Wheel], platform: Platform) -> String {
    let mut text = String::new();
    for wheel in wheels {
        let hash = match platform {
            Platform::X86_64 => wheel.x86_64,
            Platform::Aarch64 => wheel.aarch64,
        };
        let Wheel { name, version, .. } = wheel;
        text.push_str(&format!("{name}=={version} --hash=sha256:{hash}\n"));
    }
    text
}

/// Unpacks wheels into `folder`, which appears only here.
pub(super) fn install(wheels: &[Wheel], platform: Platform, folder: &Path) -> Result<(), MlxError> {
    let list = folder.with_extension("txt");
    fs::write(&list, requirements(wheels, platform)).map_err(MlxError::file(&list))?;
    Program::new("python3")
        .named_arg("-m")
        .named_arg("pip")
        .args([
            "--disable-pip-version-check",
            "--no-input",
            "--quiet",
            "install",
        ])
        .args([
            "--no-deps",
            "--no-compile",
            "--only-binary",
            ":all:",
            "--require-hashes",
        ])
        .arg("--target")
        .arg(folder)
        .arg("--requirement")
        .arg(&list)
        .env("PIP_ROOT_USER_ACTION", "ignore")
        .if_missing(PYTHON_MISSING)
        .if_failed(PIP_FAILED)
        .read()?;
    Ok(())
}
