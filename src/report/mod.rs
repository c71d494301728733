//! An outcome becomes a published line, and lines are judged.
//!
//! [`record()`] makes a [`Record`], [`Journal`] appends it, [`check_line`] judges what anyone wrote, and
//! [`explain()`] derives the figures of a line once more.

mod assemble;
mod explain;
mod family;
mod identity;
mod journal;
mod lenient;
mod lines;
mod lint;
mod memory;
mod migrate;
mod partial;
mod provenance;
mod record;
mod redact;
mod scan;
pub mod schema;
mod sections;
mod statistics;
pub mod submit;
mod validate;
mod version;
pub mod view;

pub use assemble::{Context, Mark, MemoryBack, ModelHint, record};
pub use explain::{Explained, Explanation, Given, Unexplained, explain};
pub use family::Family;
pub use identity::{TestNames, configuration, test_name};
pub use journal::{Journal, JournalError, default_path};
pub use lines::{Line, Lines};
pub use lint::{Finding, Linter, Names};
pub use memory::{Allocator, Gaps, MemoryDetail, Process};
pub use migrate::{Account, Fate, Migration};
pub use partial::{Left, Partial, Published};
pub use provenance::{
    CellFacts, Definitions, Figures, HostDetail, LoadDetail, ModelDetail, PhaseDetail, Provenance,
    Sample,
};
pub use record::{Ending, Metadata, Modality, Record};
pub use redact::{model_id, redact};
pub use sections::{
    HardwareProfile, Model, Performance, QualityFlag, StopTokens, System, SystemHealth, Timeline,
};
pub use statistics::{Spread, Statistics, TrendDetail};
pub use validate::{LineError, LineKind, Mismatch, check_line, check_line_as, encode};
pub use version::{MlxKnifeVersion, NotAVersion, SchemaVersion, Timing, UnknownVersion};
