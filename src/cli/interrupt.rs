//! What Ctrl-C does: once, it ends the run in good order; twice, it ends everything at once.

use std::{
    process,
    sync::atomic::{AtomicBool, Ordering},
};

use super::Exit;

/// Whether the run is to end; a signal handler can reach nothing that is not static.
static STOP: AtomicBool = AtomicBool::new(false);

/// Listens for Ctrl-C, and for the signals that ask a process to end, from now on.
///
/// # Errors
///
/// When the system does not let us.
pub(super) fn listen() -> Result<&'static AtomicBool, ctrlc::Error> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            #[expect(clippy::exit, reason = "the user asked twice")]
            process::exit(Exit::Interrupted as i32);
        }
    })?;
    Ok(&STOP)
}
