//! The versions that a report line can name, and the schemas they stand for.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};
use thiserror::Error;

/// The version of the report format that a line follows.
///
/// The format is mlx-knife's. Each version adds, and takes nothing away:
///
/// - **0.1.0** (2025-11): five required keys; `duration`, `model`, `performance`, `stop_tokens`,
///   `system` and `metadata`.
/// - **0.2.0** (2025-12): `system_health`, `timeline`, `system.hardware_profile`;
///   `model.framework` and `.quantization`; load, first-token and cleanup times, peak and steady
///   memory in `performance`.
/// - **0.2.1** (2026-01): `metadata.inference_modality`. Its schema was published only as part of
///   the next one.
/// - **0.2.2** (2026-01): `test_start_ts` and `test_end_ts`.
///
/// The root object is closed: a key that a version does not know is refused. Every other object is
/// open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum SchemaVersion {
    /// The first one; read, not written.
    #[value(skip)]
    V0_1_0,
    /// What is written unless asked otherwise: every published reader takes it.
    #[default]
    #[value(name = "0.2.0")]
    V0_2_0,
    /// Read, not written.
    #[value(skip)]
    V0_2_1,
    /// Adds the cell's start and end as seconds since 1970.
    #[value(name = "0.2.2")]
    V0_2_2,
}

impl SchemaVersion {
    /// All of them, oldest first.
    pub const ALL: [Self; 4] = [Self::V0_1_0, Self::V0_2_0, Self::V0_2_1, Self::V0_2_2];

    /// The newest.
    pub const CURRENT: Self = Self::V0_2_2;

    /// As a line names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V0_1_0 => "0.1.0",
            Self::V0_2_0 => "0.2.0",
            Self::V0_2_1 => "0.2.1",
            Self::V0_2_2 => "0.2.2",
        }
    }

    /// The version whose schema file judges lines of this one.
    #[must_use]
    pub fn schema(self) -> Self {
        match self {
            Self::V0_1_0 => Self::V0_1_0,
            Self::V0_2_0 => Self::V0_2_0,
            Self::V0_2_1 | Self::V0_2_2 => Self::V0_2_2,
        }
    }

    /// The versions that this version's schema file admits, newest first.
    pub fn admits(self) -> &'static [Self] {
        match self {
            Self::V0_1_0 => &[Self::V0_1_0],
            Self::V0_2_0 => &[Self::V0_2_0, Self::V0_1_0],
            Self::V0_2_1 | Self::V0_2_2 => {
                &[Self::V0_2_2, Self::V0_2_1, Self::V0_2_0, Self::V0_1_0]
            }
        }
    }

    /// Whether a line of this version may say when the cell began and ended.
    pub fn timing(self) -> Timing {
        if self >= Self::V0_2_2 { Timing::StartAndEnd } else { Timing::EndOnly }
    }
}

/// What a version tells of a cell's time, beside its duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// `timestamp`, the end.
    EndOnly,
    /// `test_start_ts` and `test_end_ts` also.
    StartAndEnd,
}

impl fmt::Display for SchemaVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for SchemaVersion {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        let mut all = Self::ALL.into_iter();
        all.find(|version| version.name() == text).ok_or_else(|| UnknownVersion(text.to_owned()))
    }
}

impl Serialize for SchemaVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A version of the report format that no schema describes.
#[derive(Debug, Error)]
#[error("no schema describes version `{0}`")]
pub struct UnknownVersion(String);

/// The value of `mlx_knife_version`: the harness's own version unless another was asked for.
///
/// Begins with three numbers, as the schemas demand, and holds nothing that a file name cannot:
/// mlx-knife makes one of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MlxKnifeVersion(String);

impl MlxKnifeVersion {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for MlxKnifeVersion {
    fn default() -> Self {
        Self(env!("CARGO_PKG_VERSION").to_owned())
    }
}

impl fmt::Display for MlxKnifeVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for MlxKnifeVersion {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let mut numbers = text.splitn(3, '.');
        let [major, minor, rest] = [numbers.next(), numbers.next(), numbers.next()];
        let is_number = |part: Option<&str>| {
            part.is_some_and(|part| {
                !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
            })
        };
        let begins_with_a_number =
            rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
        let fits_a_file_name = |byte: u8| byte.is_ascii_alphanumeric() || b".+-".contains(&byte);
        if is_number(major)
            && is_number(minor)
            && begins_with_a_number
            && text.bytes().all(fits_a_file_name)
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAVersion(text.to_owned()))
        }
    }
}

/// A text that cannot stand in `mlx_knife_version`.
#[derive(Debug, Error)]
#[error("`{0}` does not begin with three numbers, as `2.0.8` does, or is no part of a file name")]
pub struct NotAVersion(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_reads_back_as_itself() {
        for version in SchemaVersion::ALL {
            assert_eq!(version.name().parse::<SchemaVersion>().unwrap(), version);
        }
    }

    #[test]
    fn an_unknown_version_is_named() {
        let error = "0.3.0".parse::<SchemaVersion>().unwrap_err();
        assert_eq!(error.to_string(), "no schema describes version `0.3.0`");
    }

    #[test]
    fn every_schema_admits_the_versions_it_judges() {
        for version in SchemaVersion::ALL {
            assert!(version.schema().admits().contains(&version));
        }
    }

    #[test]
    fn versions_that_mlx_knife_wrote_are_taken() {
        for text in ["2.0.8", "2.0.4b3", "2.0.4-beta.9", "0.1.0", "10.20.30+local"] {
            assert_eq!(text.parse::<MlxKnifeVersion>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_no_schema_takes_is_refused_before_anything_runs() {
        for text in ["", "2.0", "v2.0.8", "unknown", "2..8", "a.0.8", "2.0.x", "2.0.8/../x"] {
            assert!(text.parse::<MlxKnifeVersion>().is_err(), "{text}");
        }
    }

    #[test]
    fn our_own_version_fits() {
        let own = MlxKnifeVersion::default();
        assert_eq!(own.as_str().parse::<MlxKnifeVersion>().unwrap(), own);
    }
}
