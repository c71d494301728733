//! What will be measured: plain values, checked and complete before anything runs.

mod cell;
mod settings;

pub use cell::{Cell, Scenario, Work};
pub use settings::{Device, ElementType, Sampling, Settings};
