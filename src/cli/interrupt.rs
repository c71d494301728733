//! What Ctrl-C does: once, it ends the run after the repetition in hand; twice, at once, and what was measured is still
//! written; a third time, it ends everything.

use std::{
    process,
    time::{Duration, Instant},
};

use super::Exit;
use crate::measure::Stop;

/// Signals that come closer together are one: who ends a process and its group sends it two.
const SAME: Duration = Duration::from_millis(200);

/// Whether the run is to end; a signal handler can reach nothing that is not static.
static STOP: Stop = Stop::new();

/// Listens for Ctrl-C, and for the signals that ask a process to end, from now on.
///
/// # Errors
///
/// When the system does not let us.
pub(super) fn listen() -> Result<&'static Stop, ctrlc::Error> {
    let mut last: Option<Instant> = None;
    ctrlc::set_handler(move || {
        let is_same = last.is_some_and(|last| last.elapsed() < SAME);
        last = Some(Instant::now());
        if !is_same && STOP.ask() >= 2 {
            #[expect(clippy::exit, reason = "the user asked three times")]
            process::exit(Exit::Interrupted as i32);
        }
    })?;
    Ok(&STOP)
}
