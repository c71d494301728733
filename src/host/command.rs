//! Asks another program, in plain English and for a short while only.

use std::{
    io::Read,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// How often to look whether a program has ended, once its output has.
const PAUSE: Duration = Duration::from_millis(5);

/// What `program` prints on standard output, even if it reports an error beside it; none if it takes longer than
/// `patience`.
///
/// `sysctl`, asked for several names, prints those it knows and fails for the others.
pub(super) fn ask_within(patience: Duration, program: &str, arguments: &[&str]) -> Option<String> {
    let begin = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdout = child.stdout.take()?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.read_to_end(&mut bytes);
        // Nobody listens any more where the program took too long.
        let _ = sender.send(read.map(|_| bytes));
    });
    let answer = receiver.recv_timeout(patience);
    end(&mut child, || begin.elapsed() >= patience);
    let bytes = answer.ok()?.ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Waits for `child` while it is in time, then kills it, so that it leaves no zombie.
fn end(child: &mut Child, is_late: impl Fn() -> bool) {
    while matches!(child.try_wait(), Ok(None)) {
        if is_late() {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(program: &str, arguments: &[&str]) -> Option<String> {
        ask_within(Duration::from_secs(10), program, arguments)
    }

    #[test]
    fn an_answer_is_read_even_if_the_program_then_fails() {
        let answer = ask("sh", &["-c", "echo known; echo unknown oid >&2; exit 1"]);
        assert_eq!(answer.as_deref(), Some("known\n"));
    }

    #[test]
    fn programs_speak_english() {
        assert_eq!(ask("sh", &["-c", "echo $LC_ALL"]).as_deref(), Some("C\n"));
    }

    #[test]
    fn a_program_that_is_missing_tells_nothing() {
        assert_eq!(ask("mlxk-harness-has-no-such-program", &[]), None);
    }

    #[test]
    fn a_program_that_hangs_is_given_up() {
        assert_eq!(ask_within(Duration::from_millis(100), "sleep", &["30"]), None);
    }
}
