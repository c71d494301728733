//! Which parts of a line a view needs: the others are never made into anything.

use std::sync::LazyLock;

use serde_json::Value;

use super::columns::{COLUMNS, Column};
use crate::report::{lenient, scan::Wanted};

/// What a view shows of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Needs {
    /// Figures and words.
    Figures,
    /// Also each repetition, and what the memory monitor saw.
    #[default]
    Charts,
}

/// What a row reads of a line, beside what stands in [`COLUMNS`].
const WORDS: [&str; 17] = [
    "/model/id",
    "/test",
    "/timestamp",
    "/mlx_knife_version",
    "/outcome",
    "/duration",
    "/metadata/mlxk_harness/version",
    "/metadata/mlxk_harness/warnings",
    "/metadata/mlxk_harness/failure",
    "/metadata/skip_reason",
    "/system/hardware_profile",
    "/system/hardware",
    "/system/ram_total_gb",
    "/system/platform_version",
    "/system/mlx_version",
    "/test_start_ts",
    "/test_end_ts",
];

/// What charts read beside.
const STAMPS: [&str; 5] = [
    "/metadata/mlxk_harness/samples/visible_us",
    "/metadata/mlxk_harness/load/phases",
    "/metadata/mlxk_harness/cell",
    "/metadata/mlxk_harness/host/fitness/grade",
    "/system_health/quality_flags",
];

impl Needs {
    fn wanted(self) -> &'static Wanted {
        static FIGURES: LazyLock<Wanted> = LazyLock::new(|| Needs::Figures.places());
        static CHARTS: LazyLock<Wanted> = LazyLock::new(|| Needs::Charts.places());
        match self {
            Self::Figures => &FIGURES,
            Self::Charts => &CHARTS,
        }
    }

    fn places(self) -> Wanted {
        let stamps = STAMPS.into_iter().filter(|_| self == Self::Charts);
        let columns = COLUMNS.iter().flat_map(Column::places);
        Wanted::of(WORDS.into_iter().chain(columns).chain(stamps))
    }

    /// What is needed of the line `text`.
    pub(super) fn read(self, text: &str) -> Result<Value, String> {
        let record = self.wanted().read(text);
        if let Some(record) =
            record.filter(|line| line.get("outcome").is_some_and(Value::is_string))
        {
            return Ok(record);
        }
        let written = lenient::read(text).map_err(|error| format!("no JSON: {error}"))?;
        Ok(written.known())
    }
}
