//! Memory before a model is loaded: whether it may be, and whether that of the one before is free again.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    checkpoint::Location,
    host::{Health, Host},
    measure::{Stop, outcome::Skip},
    plan::{MemoryBudget, PlannedModel},
};

/// Memory that must be free before the next model is loaded; of a small machine a quarter of all.
const FLOOR: u64 = 8 << 30;

/// The longest that is waited for it.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why `model` is not to be loaded, where it is too large for `budget`.
pub(super) fn too_large(
    model: &PlannedModel,
    commit: Option<&str>,
    budget: MemoryBudget,
    host: &Host,
) -> Option<Skip> {
    let location = Location::find(&model.source.to_argument(), commit).ok();
    let size = location.map(|location| location.size_bytes()).or_else(|| model.size_bytes())?;
    let reason = budget.refusal(size, host.memory_bytes)?;
    Some(Skip { kind: "memory_budget".to_owned(), reason })
}

/// Waits until a machine with `total` bytes of memory has enough of it free, and says what there is to say where it does
/// not: a machine that does not tell, or one that is to stop, is not waited for.
pub(super) fn wait_for_room(total: Option<u64>, stop: &Stop) -> Option<String> {
    let floor = total.map_or(FLOOR, |total| FLOOR.min(total / 4));
    let began = Instant::now();
    loop {
        let health = Health::now();
        let lacking = lack(&health, floor)?;
        if stop.is_asked() || began.elapsed() >= LONGEST_WAIT {
            return Some(lacking);
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// What a machine in this health lacks.
fn lack(health: &Health, floor: u64) -> Option<String> {
    let gib = |bytes: u64| bytes as f64 / 1_073_741_824.0;
    let free = health.free_bytes.filter(|&free| free < floor);
    let is_pressed = health.memory_pressure.is_some_and(|pressure| pressure > 1);
    match free {
        Some(free) => Some(format!(
            "only {:.1} GiB of memory were free before the model was loaded, and {:.1} are wanted",
            gib(free),
            gib(floor)
        )),
        None if is_pressed => {
            Some("memory was under pressure before the model was loaded".to_owned())
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_lacking_where_little_is_free_or_the_system_says_so() {
        let health = |free_bytes, memory_pressure| Health {
            free_bytes,
            memory_pressure,
            ..Health::default()
        };
        let lacks = |health: &Health| lack(health, FLOOR).is_some();
        assert!(!lacks(&health(None, None)));
        assert!(!lacks(&health(Some(FLOOR), Some(1))));
        assert!(lacks(&health(Some(FLOOR - 1), Some(1))));
        assert!(lacks(&health(Some(FLOOR), Some(2))));
    }
}
