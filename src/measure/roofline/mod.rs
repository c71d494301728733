//! What a model asks of the machine, what the machine can give, and what that says of a figure.

mod ceilings;
mod demand;

pub use ceilings::{Bandwidth, Ceilings, Compute, Kernel};
pub use demand::{Demand, PackedRows, PerRow};
