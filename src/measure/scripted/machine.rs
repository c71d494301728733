//! What is asked of a script's machine, and what that gives.

use crate::{
    measure::roofline::{Bandwidth, Ceilings, Demand, Kernel, Roofline},
    plan::Work,
};

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

/// Tokens of the prompt, and tokens after which the answer is cut.
pub(super) fn sizes(work: &Work) -> (u32, u32) {
    match work {
        Work::Throughput { prompt_tokens, generation_tokens } => {
            (*prompt_tokens, *generation_tokens)
        }
        Work::Chat { prompt, max_tokens } => {
            let words = prompt.split_whitespace().count();
            (u32::try_from(words).unwrap_or(u32::MAX), *max_tokens)
        }
        Work::Stop { max_tokens, .. } => (1, *max_tokens),
    }
}
