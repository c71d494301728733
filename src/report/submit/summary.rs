//! What a submission holds, in a few lines: machines, versions, models.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::super::{lenient, scan::Wanted};

/// Machines, models and versions that are told; a file has few.
const TOLD: usize = 1_000;

/// What the lines are, counted and named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Records.
    pub records: u64,
    /// Lines of the memory monitor.
    pub monitor: u64,
    /// Records by how they ended.
    pub outcomes: BTreeMap<String, u64>,
    /// Records by model.
    pub models: BTreeMap<String, u64>,
    /// Records by machine.
    pub machines: BTreeMap<String, u64>,
    /// Records by operating system.
    pub systems: BTreeMap<String, u64>,
    /// Records by the version of MLX.
    pub mlx: BTreeMap<String, u64>,
    /// Records by the program that measured.
    pub programs: BTreeMap<String, u64>,
    /// Records by the version of the format.
    pub schemas: BTreeMap<String, u64>,
    /// When the first record ended, as it tells.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "moment")]
    pub first: Option<Timestamp>,
    /// When the last one did.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "moment")]
    pub last: Option<Timestamp>,
    #[serde(skip)]
    version: Option<String>,
}

const PLACES: [&str; 9] = [
    "/outcome",
    "/timestamp",
    "/schema_version",
    "/mlx_knife_version",
    "/model/id",
    "/system/hardware",
    "/system/hardware_profile",
    "/system/platform_version",
    "/system/mlx_version",
];

#[expect(clippy::ref_option, reason = "serde asks for it so")]
fn moment<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(|at| at.to_string()).serialize(serializer)
}

fn count(known: &mut BTreeMap<String, u64>, name: Option<&str>) {
    let Some(name) = name else {
        return;
    };
    if let Some(times) = known.get_mut(name) {
        *times += 1;
    } else if known.len() < TOLD {
        known.insert(name.to_owned(), 1);
    }
}

impl Summary {
    /// Counts the line `text`, which fits.
    pub(super) fn take(&mut self, text: &str, is_of_monitor: bool) {
        if is_of_monitor {
            self.monitor += 1;
            return;
        }
        let wanted = Wanted::of(PLACES.into_iter().chain(["/metadata/mlxk_harness/version"]));
        let known = wanted.read(text).or_else(|| Some(lenient::read(text).ok()?.known()));
        let line = known.unwrap_or_default();
        let at = |pointer: &str| line.pointer(pointer).and_then(Value::as_str);
        self.records += 1;
        count(&mut self.outcomes, at("/outcome"));
        count(&mut self.models, at("/model/id"));
        let profile = "/system/hardware_profile";
        let chip = at(&format!("{profile}/chip")).or_else(|| at("/system/hardware"));
        let kind =
            at(&format!("{profile}/model_identifier")).or_else(|| at(&format!("{profile}/model")));
        let mut machine: Vec<_> = chip.into_iter().chain(kind).collect();
        machine.dedup();
        count(&mut self.machines, (!machine.is_empty()).then(|| machine.join(", ")).as_deref());
        count(&mut self.systems, at("/system/platform_version"));
        count(&mut self.mlx, at("/system/mlx_version"));
        let knife = at("/mlx_knife_version");
        let ours = at("/metadata/mlxk_harness/version").map(|ours| format!("mlxk-harness {ours}"));
        let program = ours.or_else(|| knife.map(|knife| format!("mlx-knife {knife}")));
        count(&mut self.programs, program.as_deref());
        count(&mut self.schemas, at("/schema_version"));
        let end = at("/timestamp").and_then(|time| time.parse::<Timestamp>().ok());
        self.first = self.first.into_iter().chain(end).min();
        self.last = self.last.into_iter().chain(end).max();
        self.version = self.version.take().or_else(|| knife.map(str::to_owned));
    }

    /// The name of the file that holds the lines, whose SHA-256 begins with `digest`.
    ///
    /// `<date>-v<version>-<machine>-<digest>.jsonl`: the day of the first record in UTC, its `mlx_knife_version`, the
    /// machine that most records are of, and eight digits, so that no two submissions meet.
    pub fn file_name(&self, digest: &str) -> String {
        let date = self.first.map(|first| first.strftime("%Y-%m-%d").to_string());
        let machine = self.machines.iter().max_by_key(|(_, records)| **records);
        let machine = machine.map_or("unknown", |(name, _)| name);
        let digest = digest.get(..8).unwrap_or(digest);
        let version = self.version.as_deref().map_or_else(|| "unknown".to_owned(), slug);
        let date = date.unwrap_or_else(|| "undated".to_owned());
        format!("{date}-v{version}-{}-{digest}.jsonl", slug(machine))
    }
}

/// `text` as part of a file's name.
fn slug(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '.';
    let words: Vec<_> = lower.split(|c| !is_plain(c)).filter(|word| !word.is_empty()).collect();
    let slug: String = words.join("-").chars().take(60).collect();
    slug.trim_start_matches('.').to_owned()
}
