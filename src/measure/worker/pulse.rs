//! The child says that it lives, and in which stage it is, whatever its other threads do.

use std::{
    io::{self, Write},
    sync::atomic::{AtomicU8, Ordering},
    thread,
    time::Duration,
};

use super::parent::Parent;
use crate::measure::{message::Message, outcome::Stage};

/// Time between two beats.
const EVERY: Duration = Duration::from_millis(500);

const STAGES: [Stage; 6] =
    [Stage::Load, Stage::Resolve, Stage::Prompt, Stage::Prefill, Stage::Decode, Stage::Cleanup];

/// Where this process is, and what it said of that last: places in [`STAGES`]. A process is one child.
static AT: AtomicU8 = AtomicU8::new(0);
static TOLD: AtomicU8 = AtomicU8::new(UNTOLD);

/// No beat came since the stage began.
const UNTOLD: u8 = u8::MAX;

/// Notes that a stage begins, which takes no longer than to write a number, and tells whether a beat told of another one
/// since the last stage began.
pub(super) fn enter(stage: Stage) -> bool {
    let place = STAGES.iter().position(|other| *other == stage);
    let place = place.and_then(|place| place.try_into().ok()).unwrap_or_default();
    AT.store(place, Ordering::SeqCst);
    TOLD.swap(UNTOLD, Ordering::SeqCst) != UNTOLD
}

/// Begins to beat on standard output, until nobody listens.
pub(super) fn begin() -> io::Result<()> {
    let beat = || {
        loop {
            thread::sleep(EVERY);
            // Held before the stage is read, or a message about a later one could come first.
            let mut out = io::stdout().lock();
            if beat(&mut out).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("pulse".to_owned()).spawn(beat).map(drop)
}

fn beat(out: &mut dyn Write) -> io::Result<()> {
    let place = AT.load(Ordering::SeqCst);
    TOLD.store(place, Ordering::SeqCst);
    let stage = STAGES.get(usize::from(place)).copied();
    Parent { out }.tell(&Message::Alive { stage: stage.unwrap_or(Stage::Load) })
}
