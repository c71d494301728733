//! Real children, played by the shell: they say canned messages and end as children may.

mod deaths;
mod words;

use std::process::Command;

use super::*;
use crate::{
    measure::{
        message::{Loaded, ModelFacts},
        outcome::Verdict,
        schedule::Task,
        trial::{Memory, Trial},
    },
    plan::{Cell, Settings},
};

fn job(cells: usize) -> Job {
    let cell = Cell::throughput([4, 3], 0, 1);
    Job {
        revision: None,
        cold: false,
        settings: Settings::default(),
        aim: None,
        passages: None,
        greedy: false,
        cells: vec![Task::new(cell); cells],
    }
}

fn started() -> Message {
    Message::Started {
        runtime: Runtime {
            mlx_version: "0.32.2".to_owned(),
            mlx_rs_version: "0.33.0".to_owned(),
            device: "cpu".to_owned(),
            device_name: None,
            working_set_bytes: None,
        },
    }
}

fn loaded() -> Message {
    Message::Loaded(Box::new(Loaded {
        model: ModelFacts::default(),
        phases: Vec::new(),
        resident_before: None,
        memory: Memory::default(),
        roofline: None,
    }))
}

fn begun(cell: usize) -> Message {
    Message::CellStarted { cell, random_ids: true, packed: None }
}

fn turn(cell: usize) -> Message {
    turn_of(cell, 1)
}

fn turn_of(cell: usize, number: u32) -> Message {
    Message::TrialStarted { cell, warmup: false, number }
}

fn decoded(cell: usize) -> Message {
    Message::Decoded { cell, tokens: 1 }
}

fn trial(cell: usize) -> Message {
    Message::Trial { cell, warmup: false, trial: Box::new(Trial::with_stamps(vec![1, 2, 3])) }
}

fn done(cell: usize) -> Message {
    Message::CellDone { cell }
}

fn left() -> Message {
    Message::Done { cleanup_us: 42 }
}

/// A shell script that says `messages`.
fn says(messages: &[Message]) -> String {
    messages.iter().fold(String::new(), |script, message| {
        let line = serde_json::to_string(message).expect("a message is JSON");
        script + "printf '%s\\n' '" + &line + "'\n"
    })
}

/// What a child says that loads and gets ready for `cells`.
fn ready_for(cells: usize) -> String {
    says(&[started(), loaded()]) + &(0..cells).map(|cell| says(&[begun(cell)])).collect::<String>()
}

/// What a child says that loads and then does `cells`.
fn work_of(cells: usize) -> String {
    ready_for(cells)
        + &(0..cells)
            .map(|cell| says(&[turn(cell), decoded(cell), trial(cell), done(cell)]))
            .collect::<String>()
}

#[derive(Default)]
struct Seen {
    messages: Vec<String>,
    finished: Vec<usize>,
}

impl Observer for Seen {
    fn message(&mut self, message: &Message) {
        let mut message = message.clone();
        let cell = message.cell_mut().map(|cell| format!(" {cell}"));
        self.messages.push(format!("{}{}", message.name(), cell.unwrap_or_default()));
    }

    fn finished(&mut self, cell: usize, _: &Outcome) {
        self.finished.push(cell);
    }
}

fn request(job: Job, stop: &Stop) -> Request<'_> {
    let patience = Patience::default();
    Request {
        model: "model",
        job,
        patience,
        isolation: Isolation::Model,
        cooldown: Duration::ZERO,
        stop,
    }
}

/// Runs `cells` cells by children of which each follows its script.
fn run_until(cells: usize, scripts: &[String], stop: &Stop) -> (Vec<Outcome>, Seen) {
    run_job(job(cells), scripts, stop)
}

fn run_job(job: Job, scripts: &[String], stop: &Stop) -> (Vec<Outcome>, Seen) {
    let cells = job.cells.len();
    let request = request(job, stop);
    let mut seen = Seen::default();
    let mut scripts = scripts.iter();
    let outcomes = Run::new(&request, &mut seen).all(&mut || {
        let script = scripts.next().expect("no more children than scripts");
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Ok(command)
    });
    assert_eq!(scripts.len(), 0, "each script has its child");
    let mut finished = seen.finished.clone();
    finished.sort_unstable();
    assert_eq!(finished, (0..cells).collect::<Vec<_>>(), "each cell is finished once");
    (outcomes, seen)
}

fn run(cells: usize, scripts: &[String]) -> Vec<Outcome> {
    run_until(cells, scripts, &Stop::new()).0
}

/// An outcome in a few words: verdict, repetitions, time of cleanup.
fn brief(outcomes: &[Outcome]) -> Vec<String> {
    outcomes
        .iter()
        .map(|outcome| {
            let verdict = match &outcome.verdict {
                Verdict::Measured => "measured".to_owned(),
                Verdict::Skipped(skip) => format!("skipped: {}", skip.kind),
                Verdict::Failed(failure) => {
                    format!("failed: {} in {:?}", failure.kind, failure.stage)
                }
            };
            let cleanup =
                outcome.cleanup_us.map_or(String::new(), |micros| format!(", cleanup {micros}"));
            format!("{verdict}, {} trials{cleanup}", outcome.trials.len())
        })
        .collect()
}

fn failure(outcome: &Outcome) -> &Failure {
    match &outcome.verdict {
        Verdict::Failed(failure) => failure,
        verdict @ (Verdict::Measured | Verdict::Skipped(_)) => panic!("{verdict:?}"),
    }
}
