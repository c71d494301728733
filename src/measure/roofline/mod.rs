//! What a model asks of the machine, what the machine can give, and what that says of a figure.

mod demand;

pub use demand::{Demand, PackedRows, PerRow};
