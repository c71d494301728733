//! How a child ended, and what that means for the cell it had in hand.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

use crate::measure::outcome::{Failure, Stage};

/// How a child ended.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// By itself, or by the hand of another.
    Status(ExitStatus),
    /// It could not be started, or understood, or watched.
    Broken {
        /// A stable name for machines.
        kind: &'static str,
        /// Why, for people.
        message: String,
    },
    /// The user asked for an end, so it was killed.
    Interrupted,
    /// It had nothing left to say and did not end, so it was killed.
    Lingered(Duration),
    /// It came no further for so long that it was killed.
    TimedOut {
        /// How long.
        waited: Duration,
        /// Whether it did not even say that it lives.
        is_frozen: bool,
    },
}

impl End {
    /// Whether the child left as it should.
    pub(super) fn is_clean(&self) -> bool {
        matches!(self, Self::Status(status) if status.success())
    }

    /// What it means for a cell that was in hand.
    pub(super) fn failure(&self, stage: Stage, stderr: Vec<String>) -> Failure {
        let (kind, message) = match self.explained() {
            ("sigabrt", _) if stderr.iter().any(|line| tells_of_memory(line)) => {
                ("out_of_memory", "memory ran out, and the child aborted".to_owned())
            }
            explained => explained,
        };
        Failure { hint: hint(kind), stderr, ..Failure::new(stage, kind, message) }
    }

    /// The end as part of a sentence.
    pub(super) fn message(&self) -> String {
        self.explained().1
    }

    fn explained(&self) -> (&'static str, String) {
        match self {
            Self::Status(status) => by_status(*status),
            Self::Broken { kind, message } => (kind, message.clone()),
            Self::Interrupted => ("interrupted", "it was interrupted".to_owned()),
            Self::TimedOut { waited, is_frozen } => {
                let seconds = waited.as_secs_f64();
                if *is_frozen {
                    let what = "gave no sign of life";
                    (
                        "frozen",
                        format!("the child {what}, came no further for {seconds} s and was killed"),
                    )
                } else {
                    ("timeout", format!("the child came no further for {seconds} s and was killed"))
                }
            }
            Self::Lingered(waited) => {
                let seconds = waited.as_secs_f64();
                let what = "said no more, did not end either";
                ("lingered", format!("the child {what} within {seconds} s and was killed"))
            }
        }
    }
}

/// Whether a line of standard error says that memory could not be had: in the words of Rust, C++, and MLX.
fn tells_of_memory(line: &str) -> bool {
    ["memory allocation of", "std::bad_alloc", "Unable to allocate", "Attempting to allocate"]
        .iter()
        .any(|words| line.contains(words))
}

fn by_status(status: ExitStatus) -> (&'static str, String) {
    if let Some(signal) = status.signal() {
        return by_signal(signal);
    }
    match status.code() {
        Some(0) => ("ended_early", "the child ended without an answer".to_owned()),
        Some(101) => ("panic", "the child panicked, which is a bug".to_owned()),
        Some(code) => ("exit", format!("the child ended with exit status {code}")),
        None => ("exit", format!("the child ended: {status}")),
    }
}

/// Numbers that Linux and macOS share, but for SIGBUS.
fn by_signal(signal: i32) -> (&'static str, String) {
    let (kind, name, meaning) = match signal {
        2 => ("sigint", "SIGINT", "it was interrupted"),
        4 => ("sigill", "SIGILL", "this processor lacks an instruction"),
        5 => ("sigtrap", "SIGTRAP", "a check of the system failed"),
        6 => ("sigabrt", "SIGABRT", "MLX or Metal aborted"),
        SIGBUS => ("sigbus", "SIGBUS", "a mapped file could not be read"),
        8 => ("sigfpe", "SIGFPE", "an integer was divided by zero"),
        9 => ("sigkill", "SIGKILL", "it was killed, most likely for want of memory"),
        11 => ("sigsegv", "SIGSEGV", "it touched memory that is not its own"),
        15 => ("sigterm", "SIGTERM", "it was asked to end"),
        _ => return ("signal", format!("the child was ended by signal {signal}")),
    };
    (kind, format!("the child was ended by {name}: {meaning}"))
}

#[cfg(target_os = "macos")]
const SIGBUS: i32 = 10;
#[cfg(not(target_os = "macos"))]
const SIGBUS: i32 = 7;

fn hint(kind: &str) -> Option<String> {
    let hint = match kind {
        "sigkill" | "out_of_memory" => {
            "try a smaller size, a stronger quantization or a smaller model"
        }
        "sigabrt" => "the lines from standard error say what MLX or Metal refused",
        "timeout" => "give it more time with `--timeout SECONDS`, or `--timeout STAGE=SECONDS`",
        "frozen" => "somebody stopped it, or the machine had no memory left to run it in",
        "panic" => "please report it with the lines from standard error",
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wait statuses as `waitpid` gives them: the signal in the low byte, the exit status in the next.
    #[track_caller]
    fn case(wait_status: i32, kind: &str, message: &str) {
        let end = End::Status(ExitStatus::from_raw(wait_status));
        let failure = end.failure(Stage::Decode, vec!["last words".to_owned()]);
        assert_eq!((failure.kind.as_str(), failure.message.as_str()), (kind, message));
        assert_eq!(failure.stage, Stage::Decode);
        assert_eq!(failure.stderr, ["last words"]);
    }

    #[test]
    fn every_end_has_its_name() {
        case(0, "ended_early", "the child ended without an answer");
        case(3 << 8, "exit", "the child ended with exit status 3");
        case(101 << 8, "panic", "the child panicked, which is a bug");
        case(6, "sigabrt", "the child was ended by SIGABRT: MLX or Metal aborted");
        case(
            9,
            "sigkill",
            "the child was ended by SIGKILL: it was killed, most likely for want of memory",
        );
        case(
            11,
            "sigsegv",
            "the child was ended by SIGSEGV: it touched memory that is not its own",
        );
        case(30, "signal", "the child was ended by signal 30");
    }

    #[test]
    fn an_abort_for_want_of_memory_is_told_by_its_last_words() {
        let kind = |line: &str| {
            let end = End::Status(ExitStatus::from_raw(6));
            end.failure(Stage::Load, vec![line.to_owned(), "stack backtrace:".to_owned()]).kind
        };
        assert_eq!(kind("memory allocation of 4194304 bytes failed"), "out_of_memory");
        assert_eq!(
            kind("terminate called after throwing an instance of 'std::bad_alloc'"),
            "out_of_memory"
        );
        assert_eq!(kind("[METAL] Command buffer execution failed"), "sigabrt");
    }

    #[test]
    fn a_core_dump_does_not_hide_the_signal() {
        case(6 | 0x80, "sigabrt", "the child was ended by SIGABRT: MLX or Metal aborted");
    }

    #[test]
    fn a_kill_comes_with_advice() {
        let end = End::Status(ExitStatus::from_raw(9));
        assert_eq!(
            end.failure(Stage::Load, vec![]).hint.as_deref(),
            Some("try a smaller size, a stronger quantization or a smaller model")
        );
    }

    #[test]
    fn only_exit_status_0_is_clean() {
        assert!(End::Status(ExitStatus::from_raw(0)).is_clean());
        assert!(!End::Status(ExitStatus::from_raw(1 << 8)).is_clean());
        assert!(!End::Status(ExitStatus::from_raw(9)).is_clean());
        assert!(!End::Lingered(Duration::ZERO).is_clean());
    }
}
