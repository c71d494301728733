//! The parent's side: starts a child for the cells of a model, watches it, and has an outcome for every cell.
//!
//! MLX ends the whole process when Metal fails or memory runs out, so a model runs in a child. A child's death fails the
//! cell it had in hand, with what was measured of it and the stage it had come to by its last message; the others keep what
//! was measured of them, and a fresh child does the rest. Loading belongs to all cells: if it fails, or the child dies of
//! it, they have all failed. A cell that is no smaller than one that memory did not suffice for, and of which nothing was
//! measured yet, is not tried.

mod child;
mod classify;
mod draft;
mod ledger;
mod memory;
mod run;

#[cfg(test)]
mod tests;

use std::{
    io,
    process::Command,
    time::{Duration, Instant},
};

use super::{
    Stop,
    message::{Job, Message, Runtime},
    outcome::{Failure, Outcome, Stage},
    patience::Patience,
};
use child::{Child, Line, Look};
use classify::End;
use ledger::OutOfTurn;
use run::Run;

/// Time between two looks at a child that says nothing.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A child that says twice a second that it lives, and said nothing for so long, is frozen: stopped, or without memory
/// to run in.
const FROZEN_AFTER: Duration = Duration::from_secs(3);
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
    /// last one of a child: that comes when the child is gone, with the time that releasing the model took. A cell that
    /// fails ends before those that take more turns, also where it stands behind them.
    fn finished(&mut self, cell: usize, outcome: &Outcome);
}

/// The cells of one model.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The model, as a child is told it on its command line.
    pub model: &'a str,
    /// What is to be done.
    pub job: Job,
    /// How long a child may come no further; then it is killed, and the cell in hand fails as `timeout`, or as `frozen`
    /// where it did not even say that it lives.
    pub patience: Patience,
    /// What a child is for.
    pub isolation: Isolation,
    /// How long the machine rests before each child for one cell but the first; that then warms up.
    pub cooldown: Duration,
    /// Asked by another thread to end it all: once the repetition in hand is through, every cell that was begun and is not
    /// through fails as `interrupted`, and the rest is skipped. A model that is still being loaded is not waited for, nor
    /// is anything once that is urgent.
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
            Look::Silent | Look::Closed => break End::Lingered(DESCRIBE_GRACE),
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
