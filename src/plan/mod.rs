//! What will be measured: plain values, checked and complete before anything runs.

mod budget;
mod cell;
mod choices;
mod manifest;
mod need;
mod numbers;
mod passages;
mod product;
mod selection;
mod settings;
mod source;
mod stop_set;
mod workspace;

pub use budget::{MemoryBudget, NotABudget};
pub use cell::{Cell, Conditions, DecodeMode, Scenario, Work};
pub use choices::{Choices, OutOfRange};
pub use manifest::{Entry, Manifest, ManifestError, Place, Problem, Written};
pub use need::{CacheKind, Keeps, Need, Prediction, cache_bytes};
pub use numbers::{NotNumbers, Numbers};
pub use passages::{PROMPTS, Passages, SHIPPED};
pub use selection::{PlanError, Selection};
pub use settings::{Device, ElementType, KvPacking, Prompts, Sampling, Settings};
pub use source::Source;
pub use stop_set::{LONGEST_STOP_ANSWER, STOP_PROMPTS, STOP_SET, StopPrompt, stop_samplings};

/// What will be measured, in order; never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The models; no two share a label.
    pub models: Vec<PlannedModel>,
    /// The manifest behind it, where there is one.
    pub manifest: Option<Manifest>,
}

/// A model and what will be asked of it.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedModel {
    /// Where it comes from; whether it is there is not known yet.
    pub source: Source,
    /// What it is called: the id of a hub model, else a base name.
    pub label: String,
    /// What the manifest says it can be selected by.
    pub tags: Vec<String>,
    /// Size of its files in GiB, where the manifest says.
    pub size_gb: Option<f32>,
    /// How it is loaded and run.
    pub settings: Settings,
    /// What throughput prompts are cut from, where it is not what is shipped.
    pub passages: Option<Passages>,
    /// What is measured, in order; never empty.
    pub cells: Vec<Cell>,
}

impl PlannedModel {
    /// The model of `entry` under `flags`; nothing where no cell is of a wanted scenario.
    ///
    /// An empty list of `scenarios` wants all that the entry has. Where a model stops can be asked of every one.
    pub(super) fn of(entry: &Entry, flags: &Choices, scenarios: &[Scenario]) -> Option<Self> {
        let mut choices = flags.clone().over(&entry.choices);
        if scenarios.contains(&Scenario::Stop) {
            choices.ask_where_it_stops();
        }
        let mut cells = choices.cells();
        cells.retain(|cell| scenarios.is_empty() || scenarios.contains(&cell.work.scenario()));
        (!cells.is_empty()).then(|| Self {
            label: entry.source.label(),
            source: entry.source.clone(),
            tags: entry.tags.clone(),
            size_gb: entry.size_gb,
            settings: choices.settings(),
            passages: choices.passages(),
            cells,
        })
    }

    /// Bytes of its files, as the manifest says.
    pub fn size_bytes(&self) -> Option<u64> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a manifest's size is positive, and no model has 2⁶⁴ bytes"
        )]
        self.size_gb.map(|size| (f64::from(size) * 1024_f64.powi(3)) as u64)
    }
}
