//! What a model asks of the machine, what the machine can give, and what that says of a figure.

mod ceilings;
mod demand;
mod doubt;
mod reasons;
mod utilization;

pub use ceilings::{Bandwidth, Ceilings, Compute, Kernel};
pub use demand::{Demand, PackedRows, PerRow};
pub use doubt::{Doubt, doubt};
pub use reasons::{LOW, Surroundings, reasons};
pub use utilization::{Decode, Prefill, Utilization, utilization};

use serde::{Deserialize, Serialize};

/// What a child learned of model and machine before it measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Roofline {
    /// What the model asks.
    pub demand: Demand,
    /// What the machine can give.
    pub ceilings: Ceilings,
    /// Microseconds that the shortest step took of some that were each waited for, one after the other; absent where
    /// none was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_us: Option<f64>,
}
