//! The Linux machines the set-up is made for.

use std::env::consts;

use super::MlxError;

/// A processor architecture under glibc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Platform {
    /// 64-bit Intel and AMD.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
}

impl Platform {
    /// The machine this program runs on.
    pub(super) fn current() -> Result<Self, MlxError> {
        match consts::ARCH {
            "x86_64" => Ok(Self::X86_64),
            "aarch64" => Ok(Self::Aarch64),
            other => Err(MlxError::Architecture(other)),
        }
    }

    /// The Rust target triple.
    pub(super) fn triple(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
        }
    }
}
