//! Memory from three sources, by the samples, the load and the prediction that stand beside it.

use super::{
    derived::{Account, Derived},
    evidence::{Evidence, OURS},
};
use crate::measure::trial::Memory;

/// The derived numbers of `memory`.
pub(super) fn memory(evidence: &Evidence<'_>) -> Vec<Derived> {
    let most = |of: fn(&Memory) -> Option<u64>| {
        evidence.trials.iter().filter_map(|trial| of(&trial.memory)).max().map(signed)
    };
    let stated = |name: &str| {
        let pointer = format!("{OURS}/memory/prediction/{name}");
        evidence.line.pointer(&pointer)?.as_u64().map(signed)
    };
    let (peak, process_peak) =
        (most(Memory::allocator_peak), most(|memory| memory.process_peak_bytes));
    let loaded = evidence.load.as_ref().and_then(|load| load.memory.active_bytes).map(signed);
    let weights = stated("weight_bytes");
    let parts = [weights, stated("cache_bytes"), stated("allowance_bytes")];
    let total = parts.into_iter().sum::<Option<i64>>();
    let of_samples = "the most of any repetition";
    vec![
        bytes("allocator/active_bytes", of_samples, most(|memory| memory.active_bytes)),
        bytes("allocator/cache_bytes", of_samples, most(|memory| memory.cache_bytes)),
        bytes("allocator/peak_bytes", of_samples, peak),
        bytes("process/bytes", of_samples, most(|memory| memory.process_bytes)),
        bytes("process/peak_bytes", of_samples, process_peak),
        bytes("prediction/total_bytes", "weights + keys and values + allowance", total),
        gap("loaded_minus_predicted_weights", loaded, weights),
        gap("allocator_peak_minus_prediction", peak, total),
        gap("process_peak_minus_allocator_peak", process_peak, peak),
        gap("process_peak_minus_prediction", process_peak, total),
    ]
}

fn gap(name: &str, one: Option<i64>, other: Option<i64>) -> Derived {
    let definition = name.replace('_', " ");
    let difference = one.zip(other).map(|(one, other)| one - other);
    let mut gap = bytes(&format!("gaps/{name}"), &definition, difference);
    if let (Some(account), Some((one, other))) = (&mut gap.account, one.zip(other)) {
        account.steps = vec![format!("{one} - {other}")];
    }
    gap
}

fn bytes(name: &str, definition: &str, value: Option<i64>) -> Derived {
    Derived {
        pointer: format!("{OURS}/memory/{name}"),
        unit: "bytes",
        definition: definition.to_owned(),
        account: value.map(|value| Account { steps: vec![value.to_string()], value: value as f64 }),
    }
}

/// No memory has 2⁶³ bytes.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
