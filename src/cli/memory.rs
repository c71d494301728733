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
    report::MemoryBack,
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
        let health = Health::of_memory();
        let lacking = lack(&health, floor)?;
        if stop.is_asked() || began.elapsed() >= LONGEST_WAIT {
            return Some(lacking);
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Memory that a machine takes and gives back by itself meanwhile; of a large model a tenth.
const WAVERS: u64 = 64 << 20;

/// Time between two looks for memory to be back.
const SOON: Duration = Duration::from_millis(50);

/// Waits until no more memory is taken than `before` a child had `held` so much, give or take what a machine wavers by
/// itself; `released` is when the child had released its model, after so many microseconds. None where that little was held,
/// the machine does not tell, or the memory does not come back in ten seconds.
pub(super) fn until_back(
    before: &Health,
    held: u64,
    released: (Instant, u64),
    mut look: impl FnMut() -> Health,
) -> Option<MemoryBack> {
    let within_bytes = WAVERS.max(held / 10);
    let limit = before.taken_bytes?.checked_add(within_bytes).filter(|_| held > within_bytes)?;
    let began = Instant::now();
    while look().taken_bytes? > limit {
        if began.elapsed() >= LONGEST_WAIT {
            return None;
        }
        thread::sleep(SOON);
    }
    let (since, cleanup_us) = released;
    let more_us = u64::try_from(since.elapsed().as_micros()).ok()?;
    Some(MemoryBack { us: cleanup_us.checked_add(more_us)?, within_bytes })
}

/// What a machine in this health lacks.
fn lack(health: &Health, floor: u64) -> Option<String> {
    let gib = |bytes: u64| bytes as f64 / 1_073_741_824.0;
    // As mlx-knife's gate counts: neither is in anybody's hand.
    let free = health.free_bytes.map(|free| free + health.speculative_bytes.unwrap_or(0));
    let free = free.filter(|&free| free < floor);
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
    fn memory_is_back_when_no_more_is_taken_than_before_or_little_more() {
        const GIB: u64 = 1 << 30;
        let taken = |taken| Health { taken_bytes: taken, ..Health::default() };
        let back = |before, held, looks: &[Option<u64>]| {
            let mut looks = looks.iter();
            let released = (Instant::now(), 1_000);
            let look = || taken(*looks.next().expect("no more looks than are needed"));
            (until_back(&taken(before), held, released, look), looks.len())
        };
        // Of 10 GiB a tenth may be missing; the first look finds nothing back, the second some, the third enough.
        let looks = [Some(12 * GIB), Some(4 * GIB), Some(3 * GIB), Some(2 * GIB)];
        let (found, left) = back(Some(2 * GIB), 10 * GIB, &looks);
        let found = found.expect("it is back");
        assert_eq!((found.within_bytes, left), (GIB, 1));
        assert!(found.us >= 1_000);
        assert_eq!(back(None, 10 * GIB, &[]), (None, 0), "what was taken before is unknown");
        assert_eq!(back(Some(0), 10 * GIB, &[None]), (None, 0), "what is taken now is unknown");
        assert_eq!(back(Some(0), WAVERS, &[]), (None, 0), "so little is not seen");
    }

    #[test]
    fn memory_is_lacking_where_little_is_free_or_the_system_says_so() {
        let health = |free_bytes, memory_pressure| Health {
            free_bytes,
            memory_pressure,
            ..Health::default()
        };
        let lacks = |health: &Health| lack(health, FLOOR).is_some();
        assert!(!lacks(&health(None, None)));
        let speculative_bytes = Some(1 << 30);
        let nearly = Health { speculative_bytes, ..health(Some(FLOOR - (1 << 30)), Some(1)) };
        assert!(!lacks(&nearly), "what was read ahead of need can be had at once");
        assert!(!lacks(&health(Some(FLOOR), Some(1))));
        assert!(lacks(&health(Some(FLOOR - 1), Some(1))));
        assert!(lacks(&health(Some(FLOOR), Some(2))));
    }
}
