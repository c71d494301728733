//! What a script's model asks of its machine, and what that gives.

use crate::measure::roofline::{Bandwidth, Ceilings, Demand, Kernel, Roofline};

/// Each token reads so many bytes, of a memory that gives so many bytes a second.
pub(super) fn roofline(weight_bytes: u64, bytes_per_s: f64) -> Roofline {
    let bandwidth = Bandwidth {
        kernel: Kernel::Copy,
        format: "float32".to_owned(),
        shape: None,
        working_set_bytes: weight_bytes,
        bytes_per_s,
    };
    Roofline {
        demand: Demand { weight_bytes, ..Demand::default() },
        ceilings: Ceilings { bandwidths: vec![bandwidth], compute: Vec::new() },
        step_us: None,
    }
}
