//! What goes wrong in a script, and where.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsRawFd,
    process::{self, Command},
    str::FromStr,
    thread,
    time::Duration,
};

use rustix::process::{Resource, Rlimit, setrlimit};
use thiserror::Error;

use crate::{
    host::process as process_memory,
    measure::{engine::EngineError, outcome::Stage},
};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incident {
    /// The process aborts, as MLX does when Metal fails.
    Abort,
    /// The engine fails and says that it is of no more use.
    Break,
    /// Standard output is closed, and nothing happens any more.
    Close,
    /// The process ends as if all were well.
    Exit,
    /// The engine fails.
    Fail,
    /// A long text is printed on standard error, and the work goes on.
    Flood,
    /// The whole process stands still, and says no more that it lives.
    Freeze,
    /// A line that is no message is printed on standard output, and the work goes on.
    Garbage,
    /// Nothing happens any more.
    Hang,
    /// The process is killed, as the system does when memory runs out.
    Kill,
    /// Nothing happens for two seconds, and the work goes on.
    Pause,
    /// A bug ends the process.
    Panic,
    /// The engine says that it cannot do such work.
    Refuse,
    /// Memory is taken without end.
    Swell,
}

const INCIDENTS: &[(&str, Incident)] = &[
    ("abort", Incident::Abort),
    ("break", Incident::Break),
    ("close", Incident::Close),
    ("exit", Incident::Exit),
    ("fail", Incident::Fail),
    ("flood", Incident::Flood),
    ("freeze", Incident::Freeze),
    ("garbage", Incident::Garbage),
    ("hang", Incident::Hang),
    ("kill", Incident::Kill),
    ("panic", Incident::Panic),
    ("pause", Incident::Pause),
    ("refuse", Incident::Refuse),
    ("swell", Incident::Swell),
];

const STAGES: &[(&str, Stage)] = &[
    ("load", Stage::Load),
    ("prepare", Stage::Resolve),
    ("prompt", Stage::Prompt),
    ("prefill", Stage::Prefill),
    ("decode", Stage::Decode),
    ("cleanup", Stage::Cleanup),
];

/// What goes wrong, and where: written `kill@decode`, or `kill@decode:32` for answers of at most 32 tokens only, or
/// `kill@decode:32#4` for the fourth of them that a child gives, warm-ups included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// What.
    pub incident: Incident,
    /// In which stage; `Resolve` stands for getting ready for a cell.
    pub stage: Stage,
    /// Only in cells whose answers are cut after so many tokens.
    pub budget: Option<u32>,
    /// Only in this request of those, counted from 1.
    pub request: Option<u32>,
}

/// No such behaviour can be scripted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is neither `measured` nor of the form `kill@decode`, `kill@decode:32` or `kill@decode:32#4`"
)]
pub struct UnknownBehaviour(String);

impl FromStr for At {
    type Err = UnknownBehaviour;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownBehaviour(text.to_owned());
        let (what, place) = text.split_once('@').ok_or_else(unknown)?;
        let number = |text: &str| text.parse::<u32>().map_err(|_| unknown());
        let (place, request) = match place.split_once('#') {
            Some((place, request)) => (place, Some(number(request)?)),
            None => (place, None),
        };
        let (stage, budget) = match place.split_once(':') {
            Some((stage, budget)) => (stage, Some(number(budget)?)),
            None => (place, None),
        };
        Ok(Self {
            incident: named(INCIDENTS, what).ok_or_else(unknown)?,
            stage: named(STAGES, stage).ok_or_else(unknown)?,
            budget,
            request,
        })
    }
}

fn named<T: Copy>(list: &[(&str, T)], name: &str) -> Option<T> {
    list.iter().find_map(|(other, value)| (*other == name).then_some(*value))
}

impl At {
    /// Whether it happens in `stage` of a cell whose answers are cut after `budget` tokens, in so many a request.
    pub(super) fn is_now(self, stage: Stage, budget: Option<u32>, request: u32) -> bool {
        self.stage == stage && self.concerns(budget) && self.request.is_none_or(|at| at == request)
    }

    /// Whether it may happen in a cell whose answers are cut after `budget` tokens.
    pub(super) fn concerns(self, budget: Option<u32>) -> bool {
        self.budget.is_none() || self.budget == budget
    }

    /// Lets it happen.
    pub(super) fn happen(self) -> Result<(), EngineError> {
        match self.incident {
            Incident::Abort => process::abort(),
            Incident::Break | Incident::Fail => Err(EngineError::Failed {
                stage: self.stage,
                kind: "scripted",
                message: "it was scripted to fail".to_owned(),
            }),
            Incident::Close => {
                close();
                hang()
            }
            Incident::Exit => exit(),
            Incident::Flood => {
                // Whether it can be written does not matter: who reads it is under test.
                for line in 1..=2_000 {
                    let _ = writeln!(io::stderr(), "line {line} of a flood");
                }
                Ok(())
            }
            Incident::Freeze => {
                signal("STOP");
                hang()
            }
            Incident::Garbage => {
                let _ = writeln!(io::stdout(), "this is no message");
                Ok(())
            }
            Incident::Hang => hang(),
            Incident::Kill => {
                signal("KILL");
                hang()
            }
            Incident::Panic => bug(),
            Incident::Pause => {
                thread::sleep(Duration::from_secs(2));
                Ok(())
            }
            Incident::Refuse => Err(EngineError::Refused {
                kind: "scripted",
                reason: "it was scripted to refuse".to_owned(),
            }),
            Incident::Swell => swell(),
        }
    }
}

/// Sends a signal to this process.
fn signal(name: &str) {
    let kill = format!("kill -{name} {}", process::id());
    let _ = Command::new("sh").args(["-c", &kill]).status();
}

/// Lets go of the pipe to the parent: nothing else in this process has it.
#[expect(unsafe_code, reason = "std has no safe way to close standard output")]
fn close() {
    if let Ok(nowhere) = File::options().write(true).open("/dev/null") {
        // SAFETY: both descriptors are open, and whoever writes to standard output writes to nowhere from now on.
        unsafe { libc::dup2(nowhere.as_raw_fd(), libc::STDOUT_FILENO) };
    }
}

/// Takes memory until there is none, within a limit that it sets itself, so that the machine does not suffer.
///
/// A system that does not hold a process to its limit would kill it one day; this is killed at twice the limit.
fn swell() -> ! {
    const PIECE: u64 = 16 << 20;
    let limit = 16 * PIECE;
    let mapped = process_memory::mapped_bytes().unwrap_or_default();
    let most = Some(mapped + limit);
    let _ = setrlimit(Resource::As, Rlimit { current: most, maximum: most });
    let mut held = Vec::new();
    for _ in 0..2 * limit / PIECE {
        held.push(std::hint::black_box(vec![1_u8; 16 << 20]));
    }
    signal("KILL");
    drop(held);
    hang()
}

#[expect(clippy::exit, reason = "an end without a word is what is scripted")]
fn exit() -> ! {
    process::exit(0)
}

#[expect(clippy::panic, reason = "a bug is what is scripted")]
fn bug() -> ! {
    panic!("it was scripted to panic")
}

fn hang() -> ! {
    loop {
        thread::sleep(Duration::from_hours(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_behaviour_names_what_and_where() {
        assert_eq!(
            "kill@decode:32".parse(),
            Ok(At {
                incident: Incident::Kill,
                stage: Stage::Decode,
                budget: Some(32),
                request: None
            })
        );
        assert_eq!("kill@decode:32#4".parse::<At>().map(|at| at.request), Ok(Some(4)));
        assert_eq!(
            "hang@load".parse(),
            Ok(At { incident: Incident::Hang, stage: Stage::Load, budget: None, request: None })
        );
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "kill", "kill@nowhere", "dance@decode", "kill@decode:x", "kill@decode#x"] {
            assert_eq!(text.parse::<At>(), Err(UnknownBehaviour(text.to_owned())));
        }
    }

    #[test]
    fn it_happens_in_its_stage_and_for_its_budget_only() {
        let at: At = "fail@decode:32".parse().expect("well formed");
        assert!(at.is_now(Stage::Decode, Some(32), 1));
        assert!(!at.is_now(Stage::Decode, Some(16), 1));
        assert!(!at.is_now(Stage::Prefill, Some(32), 1));
        let at: At = "fail@decode:32#2".parse().expect("well formed");
        assert!(!at.is_now(Stage::Decode, Some(32), 1));
        assert!(at.is_now(Stage::Decode, Some(32), 2));
    }
}
