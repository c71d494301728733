//! The parent's side: starts a child for the cells of a model, watches it, and has an outcome for every cell.
//!
//! MLX ends the whole process when Metal fails or memory runs out, so a model runs in a child. A child's death fails the
//! cell it had in hand, with what was measured of it and the stage it had come to by its last message; a fresh child does
//! the rest. Loading belongs to all cells: if it fails, or the child dies of it, they have all failed. A cell that is
//! no smaller than one that memory did not suffice for is not tried.

mod child;
mod classify;
mod ledger;
mod memory;

#[cfg(test)]
mod tests;

use std::{
    io,
    process::Command,
    time::{Duration, Instant, SystemTime},
};

use super::{
    Stop,
    message::{Job, Message, Runtime},
    outcome::{Failure, Outcome, Skip, Stage, Verdict},
    worker,
};
use child::{Child, Line, Look};
use classify::End;
use ledger::{Ledger, OutOfTurn};

/// Time between two looks at a child that says nothing.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Time in which a child that has nothing left to do, or that closed its standard output, must end.
const END_GRACE: Duration = Duration::from_secs(10);
/// Time in which MLX must say what it is.
const DESCRIBE_GRACE: Duration = Duration::from_mins(1);

/// Follows what happens.
pub trait Observer {
    /// A child lives now, with this process id; or it is gone.
    fn child(&mut self, id: Option<u32>) {
        let _ = id;
    }

    /// A child said something; cells are counted from the first of the request.
    fn message(&mut self, message: &Message);

    /// A cell has its outcome. This comes as soon as the cell ends, so that nothing is lost if all goes down, but for the
    /// last cell of a model: it comes when the child is gone, with the time that releasing the model took.
    fn finished(&mut self, cell: usize, outcome: &Outcome);
}

/// The cells of one model.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The model, as a child is told it on its command line.
    pub model: &'a str,
    /// What is to be done.
    pub job: Job,
    /// How long a child may say nothing; then it is killed, and the cell in hand fails as `timeout`.
    pub patience: Duration,
    /// What a child is for.
    pub isolation: Isolation,
    /// Asked by another thread to end it all: the cell in hand fails as `interrupted` once its repetition is through, and
    /// the rest is skipped. A model that is still being loaded is not waited for, nor is anything once that is urgent.
    pub stop: &'a Stop,
}

/// What a child is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// All cells of a model, as long as it lives.
    #[default]
    Model,
    /// One cell.
    Cell,
}

/// Runs all cells of a model and gives their outcomes in order, one for each.
pub fn run_model(request: &Request<'_>, observer: &mut dyn Observer) -> Vec<Outcome> {
    let mut program = own_program;
    Run::new(request, observer).all(&mut program)
}

/// Asks a child which MLX this machine has.
///
/// # Errors
///
/// When the child has no MLX to tell of, or dies of it.
pub fn describe() -> Result<Runtime, Failure> {
    let command = own_program().map(|mut command| {
        command.arg("--describe");
        command
    });
    describe_by(command)
}

/// The hidden command of this very program, to which a model is added.
fn own_program() -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("worker");
    Ok(command)
}

fn describe_by(command: io::Result<Command>) -> Result<Runtime, Failure> {
    let mut child = match command.and_then(|mut command| Child::start(&mut command, Vec::new())) {
        Ok(child) => child,
        Err(error) => return Err(not_started(&error).failure(Stage::Load, Vec::new())),
    };
    let began = Instant::now();
    let end = loop {
        let message = match child.look(LOOK_EVERY) {
            Look::Said(line) => understood(line),
            Look::Gone(status) => break gone(status),
            Look::Silent | Look::Closed if began.elapsed() < DESCRIBE_GRACE => continue,
            Look::Silent | Look::Closed => break End::Lingered,
        };
        match message {
            Ok(Message::Started { runtime }) => return Ok(runtime),
            Ok(Message::LoadFailed { failure }) => return Err(failure),
            Ok(other) => break out_of_turn(OutOfTurn(other.name())),
            Err(end) => break end,
        }
    };
    child.kill();
    Err(end.failure(Stage::Load, child.last_words()))
}

/// A request on its way to outcomes.
struct Run<'a> {
    request: &'a Request<'a>,
    observer: &'a mut dyn Observer,
    outcomes: Vec<Outcome>,
}

impl<'a> Run<'a> {
    fn new(request: &'a Request<'a>, observer: &'a mut dyn Observer) -> Self {
        Self { request, observer, outcomes: Vec::with_capacity(request.job.cells.len()) }
    }

    /// Starts child after child; each leaves at least one outcome.
    fn all(mut self, program: &mut dyn FnMut() -> io::Result<Command>) -> Vec<Outcome> {
        let cells = self.request.job.cells.len();
        while self.outcomes.len() < cells && !self.request.stop.is_asked() {
            match self.known_to_be_too_large() {
                Some(skip) => self.skip(skip),
                None => self.one_child(program()),
            }
        }
        while self.outcomes.len() < cells {
            let skip = Skip {
                kind: "interrupted".to_owned(),
                reason: "an earlier cell was interrupted".to_owned(),
            };
            self.skip(skip);
        }
        self.outcomes
    }

    /// Why the next cell is not to be tried, where a smaller one was already too large.
    fn known_to_be_too_large(&self) -> Option<Skip> {
        let cells = &self.request.job.cells;
        memory::too_large(cells.get(self.outcomes.len())?, cells.iter().zip(&self.outcomes))
    }

    fn skip(&mut self, skip: Skip) {
        self.finish(Outcome::unbegun(Verdict::Skipped(skip), SystemTime::now()));
    }

    fn finish(&mut self, outcome: Outcome) {
        self.observer.finished(self.outcomes.len(), &outcome);
        self.outcomes.push(outcome);
    }

    fn one_child(&mut self, program: io::Result<Command>) {
        let request = self.request;
        let done = self.outcomes.len();
        let mut cells = request.job.cells.get(done..).unwrap_or_default();
        if request.isolation == Isolation::Cell {
            cells = cells.get(..1).unwrap_or_default();
        }
        let mut ledger = Ledger::new(cells, done, SystemTime::now());
        let job = Job { cells: cells.to_vec(), ..request.job.clone() };
        let child = program.and_then(|mut command| {
            let mut line = serde_json::to_vec(&job)?;
            line.push(b'\n');
            Child::start(command.arg(request.model), line)
        });
        match child {
            Ok(mut child) => {
                self.observer.child(Some(child.id()));
                let end = self.watch(&mut child, &mut ledger, done);
                self.settle(ledger, &end, || child.last_words());
                self.observer.child(None);
            }
            Err(error) => self.settle(ledger, &not_started(&error), Vec::new),
        }
    }

    /// Takes what `child` says until it is gone; `done` cells came before its own.
    fn watch(&mut self, child: &mut Child, ledger: &mut Ledger<'_>, done: usize) -> End {
        let Request { stop, patience, .. } = *self.request;
        let mut through: Option<Instant> = None;
        let mut heard = Instant::now();
        let mut is_told = false;
        loop {
            let look = child.look(LOOK_EVERY);
            if matches!(look, Look::Said(_)) {
                heard = Instant::now();
            }
            let is_closed = matches!(look, Look::Closed);
            let end = match look {
                Look::Said(line) => self.hear(line, ledger, done).err(),
                Look::Gone(status) => Some(gone(status)),
                Look::Silent | Look::Closed => None,
            };
            if let Some(end) = end {
                child.kill();
                return end;
            }
            if is_closed || ledger.is_through() {
                through.get_or_insert_with(Instant::now);
            }
            if stop.is_asked() && !is_told {
                child.tell(worker::STOP);
                is_told = true;
            }
            let end = if stop.is_urgent() || stop.is_asked() && ledger.is_loading() {
                End::Interrupted
            } else if heard.elapsed() >= patience && through.is_none() {
                End::TimedOut(patience)
            } else if through.is_some_and(|through| through.elapsed() >= END_GRACE) {
                End::Lingered
            } else {
                continue;
            };
            child.kill();
            self.hear_out(child, ledger, done);
            return end;
        }
    }

    /// Takes what a killed child had said before.
    fn hear_out(&mut self, child: &mut Child, ledger: &mut Ledger<'_>, done: usize) {
        while let Look::Said(line) = child.look(LOOK_EVERY) {
            if self.hear(line, ledger, done).is_err() {
                return; // Its end has a reason already.
            }
        }
    }

    fn hear(&mut self, line: Line, ledger: &mut Ledger<'_>, done: usize) -> Result<(), End> {
        let mut message = understood(line)?;
        if let Some(cell) = message.cell_mut() {
            *cell = cell.saturating_add(done);
        }
        ledger.admit(&message).map_err(out_of_turn)?;
        self.observer.message(&message);
        if let Some(outcome) = ledger.enter(message, SystemTime::now()) {
            self.finish(outcome);
        }
        Ok(())
    }

    /// Finds the outcomes that a child's end decides.
    fn settle(
        &mut self,
        mut ledger: Ledger<'_>,
        end: &End,
        last_words: impl FnOnce() -> Vec<String>,
    ) {
        let now = SystemTime::now();
        if let Some(last) = ledger.take_last() {
            self.finish(released(last, end, ledger.is_done(), last_words));
            return;
        }
        if ledger.is_done() && ledger.ended() > 0 {
            return; // It could not go on, said so and left; the next child does the rest.
        }
        let failure = match ledger.load_failure() {
            Some(failure) => Failure { stderr: last_words(), ..failure.clone() },
            None => end.failure(ledger.stage(), last_words()),
        };
        let is_wanted = matches!(end, End::Interrupted) && ledger.load_failure().is_none();
        let fails_all = ledger.is_loading() && !is_wanted;
        self.finish(ledger.end_cell(Verdict::Failed(failure.clone()), now));
        while fails_all && !ledger.is_complete() {
            self.finish(ledger.end_cell(Verdict::Failed(failure.clone()), now));
        }
    }
}

/// The outcome of the last cell of a child that ended so.
fn released(
    mut outcome: Outcome,
    end: &End,
    is_done: bool,
    last_words: impl FnOnce() -> Vec<String>,
) -> Outcome {
    if end.is_clean() && is_done || matches!(end, End::Interrupted) {
        return outcome;
    }
    let is_death = !is_done && !matches!(end, End::Lingered);
    if outcome.verdict == Verdict::Measured && is_death {
        outcome.verdict = Verdict::Failed(end.failure(Stage::Cleanup, last_words()));
    } else {
        outcome.warnings.push(format!("after the last answer, {}", end.message()));
    }
    outcome
}

fn understood(line: Line) -> Result<Message, End> {
    match line {
        Line::Text(text) => serde_json::from_str(&text).map_err(|_| {
            let beginning: String = text.chars().take(80).collect();
            protocol(format!("the child printed what is no message: `{beginning}`"))
        }),
        Line::Garbage(what) => Err(protocol(format!("the child printed {what}"))),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is the form that `map_err` wants")]
fn out_of_turn(error: OutOfTurn) -> End {
    protocol(error.to_string())
}

fn protocol(message: String) -> End {
    End::Broken { kind: "protocol", message }
}

fn not_started(error: &io::Error) -> End {
    End::Broken { kind: "spawn", message: format!("the child could not be started: {error}") }
}

fn gone(status: io::Result<std::process::ExitStatus>) -> End {
    match status {
        Ok(status) => End::Status(status),
        Err(error) => End::Broken {
            kind: "wait",
            message: format!("the child could not be watched: {error}"),
        },
    }
}
