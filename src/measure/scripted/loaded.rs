//! What a script says it loaded.

use super::{ACTIVE_BYTES, Stream};
use crate::measure::{
    load::{LoadPhase, LoadStep},
    message::{Loaded, ModelFacts},
    trial::Memory,
};

/// A model of no layers, loaded in 30 ms, that ends as `stream` has it.
pub(super) fn loaded(stream: Stream) -> Loaded {
    Loaded {
        model: ModelFacts {
            id: "scripted".to_owned(),
            model_type: "scripted".to_owned(),
            size_bytes: ACTIVE_BYTES,
            parameters: ACTIVE_BYTES / 2,
            parameter_bytes: ACTIVE_BYTES,
            dtype: "bfloat16".to_owned(),
            format: "script".to_owned(),
            vocabulary: 256,
            stop_tokens: stream.terms().in_force,
            ..ModelFacts::default()
        },
        phases: vec![LoadPhase {
            step: LoadStep::Evaluate,
            start_us: 0,
            end_us: 30_000,
            bytes: Some(ACTIVE_BYTES),
        }],
        resident_before: None,
        memory: Memory {
            active_bytes: Some(ACTIVE_BYTES),
            peak_bytes: Some(ACTIVE_BYTES),
            ..Memory::default()
        },
        roofline: None,
    }
}
