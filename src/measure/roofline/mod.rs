//! What a model asks of the machine, what the machine can give, and what that says of a figure.

mod ceilings;
mod demand;
mod doubt;
mod reasons;
mod utilization;

pub use ceilings::{Bandwidth, Ceilings, Compute, Kernel};
pub use demand::{Demand, PackedRows, PerRow};
pub use doubt::{Doubt, deserves_another_look, doubt};
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

impl Roofline {
    /// The same with the better of what this and `other`, another look at the same machine, found: who else works on a
    /// machine can only make it slower.
    #[must_use]
    pub fn or_better(self, other: &Self) -> Self {
        let steps = [self.step_us, other.step_us].into_iter().flatten();
        Self {
            step_us: steps.min_by(f64::total_cmp),
            ceilings: self.ceilings.or_better(other.ceilings.clone()),
            demand: self.demand,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_looks_the_shorter_step_counts_and_the_demand_stays() {
        let of = |weight_bytes, step_us| Roofline {
            demand: Demand { weight_bytes, ..Demand::default() },
            ceilings: Ceilings::default(),
            step_us,
        };
        assert_eq!(of(1, Some(3.0)).or_better(&of(2, Some(2.0))), of(1, Some(2.0)));
        assert_eq!(of(1, Some(3.0)).or_better(&of(2, None)), of(1, Some(3.0)));
        assert_eq!(of(1, None).or_better(&of(2, None)), of(1, None));
    }
}
