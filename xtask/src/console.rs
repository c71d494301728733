//! The only door to the terminal: everything goes to stderr, so that a task's own output stays clean.

/// Prints one line.
#[expect(clippy::print_stderr, reason = "the one place that prints")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}
