//! The wheels the set-up is made of. None depends on the version of Python.

use std::path::Path;

use super::MlxError;
use super::platform::Platform;
use crate::files;
use crate::python::{self, Wheel};

/// What stays: `libmlx.so` and the libraries it brings.
pub(super) fn mlx(platform: Platform) -> [Wheel; 1] {
    [Wheel {
        name: "mlx-cpu",
        version: "0.32.2",
        sha256: match platform {
            Platform::X86_64 => "fc5d31b90fc4f457b2f9614ed45651a567d22a6a11a03d114a90a4e10bdd8878",
            Platform::Aarch64 => "d0f94625588b51a878786dd51cec5617894ce586cf3c94645ce1b64e24c27c0b",
        },
    }]
}

/// What is needed to build, and thrown away after.
pub(super) fn tools(platform: Platform) -> [Wheel; 3] {
    [
        Wheel {
            name: "cmake",
            version: "4.4.4",
            sha256: match platform {
                Platform::X86_64 => {
                    "f773a0544c66370408f451acd487c2c643b0dfebb48c5d64f3638bc1bb820238"
                }
                Platform::Aarch64 => {
                    "b3029f586853e01ddf2824c1ff124a1c5284f8ae897994758e9c4eeb45903b58"
                }
            },
        },
        Wheel {
            name: "libclang",
            version: "18.1.1",
            sha256: match platform {
                Platform::X86_64 => {
                    "c533091d8a3bbf7460a00cb6c1a71da93bffe148f172c7d03b1c31fbf8aa2a0b"
                }
                Platform::Aarch64 => {
                    "54dda940a4a0491a9d1532bf071ea3ef26e6dbaf03b5000ed94dd7174e8f9592"
                }
            },
        },
        Wheel {
            name: "ninja",
            version: "1.13.2",
            sha256: match platform {
                Platform::X86_64 => {
                    "65a24341b5ac09fcadcc37082660be40a94174e51a937fabf6e2cae26225fa2c"
                }
                Platform::Aarch64 => {
                    "d775a5e43e9088f507a6250d57fcf5678eb31268c545feb5064ffeee33735622"
                }
            },
        },
    ]
}

/// The requirements file that lets pip take these wheels and no other bytes.
pub(super) fn requirements(wheels: &[Wheel]) -> String {
    wheels.iter().map(Wheel::requirement).collect()
}

/// Unpacks wheels into `folder`, which need not exist; `list` is where the requirements are written.
pub(super) fn install(wheels: &[Wheel], list: &Path, folder: &Path) -> Result<(), MlxError> {
    files::write(list, &requirements(wheels))?;
    python::install(list, folder)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(platform: Platform) -> Vec<Wheel> {
        [mlx(platform).as_slice(), tools(platform).as_slice()].concat()
    }

    #[test]
    fn both_platforms_take_the_same_versions_as_different_bytes() {
        let pairs = all(Platform::X86_64).into_iter().zip(all(Platform::Aarch64));
        for (intel, arm) in pairs {
            assert_eq!((intel.name, intel.version), (arm.name, arm.version));
            assert_ne!(intel.sha256, arm.sha256);
        }
    }

    #[test]
    fn every_hash_is_a_sha256_in_small_letters() {
        for wheel in [all(Platform::X86_64), all(Platform::Aarch64)].concat() {
            assert_eq!(wheel.sha256.len(), 64, "{}", wheel.name);
            let is_digit = |digit: char| matches!(digit, '0'..='9' | 'a'..='f');
            assert!(wheel.sha256.chars().all(is_digit), "{}", wheel.name);
        }
    }

    #[test]
    fn the_list_has_a_line_for_each_wheel() {
        assert_eq!(
            requirements(&mlx(Platform::Aarch64)),
            "mlx-cpu==0.32.2 --hash=sha256:d0f94625588b51a878786dd51cec5617894ce586cf3c94645ce1b64e24c27c0b\n"
        );
        assert_eq!(requirements(&tools(Platform::X86_64)).lines().count(), 3);
    }
}
