//! Memory of a cell from three sources, and how far they are apart.
//!
//! MLX's allocator knows what MLX holds, the system what the whole process holds, and the headers of the model's files
//! what it should need. None of them knows it all, so a line has all three.

use serde::Serialize;

use crate::{
    measure::{
        outcome::Outcome,
        trial::{Memory, Trial},
    },
    plan::{Cell, Prediction, Work},
};

/// Memory of a cell. Of the measured repetitions each figure is the largest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct MemoryDetail {
    /// What MLX's allocator held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocator: Option<Allocator>,
    /// What the system held for the child process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// What the headers of the model's files say that it needs for the cell's tokens; absent where weights are cast or
    /// unpacked when loading, and where the length of a chat is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prediction: Option<Prediction>,
    /// How far these are apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gaps: Option<Gaps>,
}

/// What MLX's allocator held, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Allocator {
    /// In use after a repetition: what is left when its keys and values are gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_bytes: Option<u64>,
    /// Kept after a repetition for what comes next. Every repetition begins with none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_bytes: Option<u64>,
    /// In use at the most during a repetition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
}

/// What the system held for the child process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Process {
    /// What is counted: `phys_footprint` or `VmRSS`; see [`crate::host::process::footprint`].
    pub counts: &'static str,
    /// After a repetition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// At the most during a repetition; absent on macOS, which cannot forget an earlier peak.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
}

/// Differences in bytes; each is negative where what is named first is the smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Gaps {
    /// What the allocator held right after loading, without the weights that were predicted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loaded_minus_predicted_weights: Option<i64>,
    /// The allocator's peak without all that was predicted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocator_peak_minus_prediction: Option<i64>,
    /// The process's peak without the allocator's: the program, its tokenizer, mapped files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_peak_minus_allocator_peak: Option<i64>,
    /// The process's peak without all that was predicted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_peak_minus_prediction: Option<i64>,
}

impl MemoryDetail {
    /// That of `cell`, on a system that calls itself `platform`; none where nothing is known.
    pub(super) fn of(cell: &Cell, outcome: &Outcome, platform: Option<&str>) -> Option<Self> {
        let most = |of: fn(&Memory) -> Option<u64>| {
            outcome.trials.iter().filter_map(|trial| of(&trial.memory)).max()
        };
        let allocator = Allocator {
            active_bytes: most(|memory| memory.active_bytes),
            cache_bytes: most(|memory| memory.cache_bytes),
            peak_bytes: most(Memory::allocator_peak),
        };
        let (bytes, peak_bytes) =
            (most(|memory| memory.process_bytes), most(|memory| memory.process_peak_bytes));
        let process = (bytes.is_some() || peak_bytes.is_some()).then(|| Process {
            counts: if platform == Some("macOS") { "phys_footprint" } else { "VmRSS" },
            bytes,
            peak_bytes,
        });
        let need = outcome.need.as_ref();
        let prediction = need.zip(tokens(cell, &outcome.trials)).map(|(need, all)| need.at(all));
        let loaded = outcome.loaded.as_ref().and_then(|loaded| loaded.memory.active_bytes);
        let predicted = prediction.map(|prediction| prediction.total_bytes);
        let gaps = Gaps {
            loaded_minus_predicted_weights: minus(
                loaded,
                prediction.map(|prediction| prediction.weight_bytes),
            ),
            allocator_peak_minus_prediction: minus(allocator.peak_bytes, predicted),
            process_peak_minus_allocator_peak: minus(peak_bytes, allocator.peak_bytes),
            process_peak_minus_prediction: minus(peak_bytes, predicted),
        };
        let detail = Self {
            allocator: (allocator != Allocator::default()).then_some(allocator),
            process,
            prediction,
            gaps: (gaps != Gaps::default()).then_some(gaps),
        };
        (detail != Self::default()).then_some(detail)
    }
}

/// Tokens that a cell reads and writes; of what ends by itself those of the longest repetition.
fn tokens(cell: &Cell, trials: &[Trial]) -> Option<u64> {
    match &cell.work {
        Work::Throughput { prompt_tokens, generation_tokens } => {
            let depth = u64::from(cell.conditions.depth);
            Some(depth + u64::from(*prompt_tokens) + u64::from(*generation_tokens))
        }
        Work::Chat { .. } | Work::Stop { .. } => {
            let of = |trial: &Trial| u64::from(trial.prompt_tokens) + trial.visible_us.len() as u64;
            trials.iter().map(of).max()
        }
    }
}

fn minus(bytes: Option<u64>, other: Option<u64>) -> Option<i64> {
    let (bytes, other) = (i64::try_from(bytes?).ok()?, i64::try_from(other?).ok()?);
    bytes.checked_sub(other)
}
