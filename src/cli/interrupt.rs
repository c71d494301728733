//! What Ctrl-C does: once, it ends the run after the repetition in hand; twice, at once, and what was measured is still
//! written; a third time, it ends everything.

use std::process;

use super::Exit;
use crate::measure::Stop;

/// Whether the run is to end; a signal handler can reach nothing that is not static.
static STOP: Stop = Stop::new();

/// Listens for Ctrl-C, and for the signals that ask a process to end, from now on.
///
/// # Errors
///
/// When the system does not let us.
pub(super) fn listen() -> Result<&'static Stop, ctrlc::Error> {
    ctrlc::set_handler(|| {
        if STOP.ask() >= 2 {
            #[expect(clippy::exit, reason = "the user asked three times")]
            process::exit(Exit::Interrupted as i32);
        }
    })?;
    Ok(&STOP)
}
