//! What a user types, and what is printed.

use std::process::ExitCode;

/// How a command ended, as the system sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything asked for was done, every check passed.
    Ok = 0,
    /// The answer is no: a cell failed, a line does not fit its schema.
    No = 1,
    /// Arguments or manifest are wrong; nothing was measured.
    Usage = 2,
    /// What was needed could not be read or written.
    Io = 4,
    /// Interrupted; what was measured is written.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Runs the command that the arguments name.
pub fn run() -> Exit {
    Exit::Ok
}
