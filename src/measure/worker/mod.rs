//! The child's side: a job comes in on standard input, messages go out on standard output.
//!
//! Standard input stays open as long as the parent lives. When it ends, the parent is gone and so is anyone who could
//! read an answer: the child ends at once, wherever it is. That works on every system and needs no signal.
//!
//! A panic is not caught here. Like a crash of MLX, which nothing can catch, it ends the process; the parent tells what
//! it was by exit status and standard error.

mod doubts;
mod parent;
mod pulse;
mod rounds;
mod stops;
mod throttle;

use std::{
    io::{self, Write},
    sync::atomic::AtomicBool,
};

use super::{
    clock::Clock,
    engine::Engine,
    message::{Job, Loaded, Message, Runtime},
    outcome::{Failure, Stage},
};
use crate::{
    plan::{Need, Settings},
    stops::Token,
};
use doubts::Doubts;
use parent::{Parent, receive};
use rounds::Rounds;

pub use parent::STOP;

/// Brings a model into memory and out of it again.
pub trait Loader {
    /// Asks for the MLX that this process runs on, with the device that `settings` want.
    ///
    /// # Errors
    ///
    /// When MLX does not answer, or has no such device.
    fn runtime(&mut self, settings: &Settings) -> Result<Runtime, Failure>;

    /// What the headers of the model's files say that it needs, where they say enough; nothing is loaded for it.
    fn need(&mut self, job: &Job) -> Option<Need>;

    /// The stop tokens that the model's files name, where they can be read; asked for where it could not be loaded.
    fn stop_tokens(&mut self, job: &Job) -> Option<Vec<Token>>;

    /// Loads the model as `job` wants it, until every parameter is evaluated.
    ///
    /// # Errors
    ///
    /// When it cannot be loaded; all cells have then failed.
    fn load(&mut self, job: &Job) -> Result<Loading, Failure>;

    /// Drops `engine` and hands back what MLX still keeps.
    fn release(&mut self, engine: Box<dyn Engine>);
}

/// A model that was loaded.
pub struct Loading {
    /// Runs it.
    pub engine: Box<dyn Engine>,
    /// What it is, and what loading took.
    pub loaded: Loaded,
    /// What a reader of every figure of this model must know, a sentence each.
    pub warnings: Vec<String>,
}

/// Works as a child: reads a job from standard input and answers on standard output.
///
/// # Errors
///
/// When the job cannot be read, or an answer cannot be written.
pub fn work(loader: &mut dyn Loader, clock: &dyn Clock) -> io::Result<()> {
    let (job, stop) = receive(io::stdin())?;
    pulse::begin()?;
    serve(loader, &job, clock, &stop, &mut io::stdout())
}

/// Tells on standard output which MLX this process runs on, and does nothing else.
///
/// # Errors
///
/// When standard output cannot be written.
pub fn describe(loader: &mut dyn Loader) -> io::Result<()> {
    let mut out = io::stdout();
    let mut parent = Parent { out: &mut out };
    parent.greet(loader, &Settings::default()).map(drop)
}

/// Does `job` until it is through or `stop` is set, and tells each step on `out` as it happens.
///
/// # Errors
///
/// When `out` cannot be written: the parent is gone.
pub fn serve(
    loader: &mut dyn Loader,
    job: &Job,
    clock: &dyn Clock,
    stop: &AtomicBool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut parent = Parent { out };
    if parent.greet(loader, &job.settings)?.is_break() {
        return Ok(());
    }
    if let Some(need) = loader.need(job) {
        parent.tell(&Message::Predicted { need })?;
    }
    pulse::enter(Stage::Load);
    let Loading { mut engine, loaded, warnings } = match loader.load(job) {
        Ok(loading) => loading,
        Err(failure) => {
            if let Some(stop_tokens) = loader.stop_tokens(job) {
                parent.tell(&Message::Configured { stop_tokens })?;
            }
            return parent.tell(&Message::LoadFailed { failure });
        }
    };
    for text in warnings {
        parent.tell(&Message::Warning { cell: None, text })?;
    }
    let doubts = Doubts::new(loaded.roofline.clone(), job.cells.len());
    parent.tell(&Message::Loaded(Box::new(loaded)))?;
    Rounds::new(job, (clock, stop), &mut parent, doubts).run(engine.as_mut())?;
    pulse::enter(Stage::Cleanup);
    let began_us = clock.now_us();
    loader.release(engine);
    parent.tell(&Message::Done { cleanup_us: clock.now_us().saturating_sub(began_us) })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        measure::{
            findings::Finding,
            schedule::Task,
            scripted::{At, Script},
        },
        plan::Cell,
    };

    fn job(cells: u32) -> Job {
        Job {
            revision: None,
            cold: false,
            settings: Settings::default(),
            aim: None,
            passages: None,
            greedy: false,
            cells: (1..=cells)
                .map(|budget| Task::new(Cell::throughput([4, budget], 1, 2)))
                .collect(),
        }
    }

    /// What a scripted child says, each message by its name, its cell and what matters of it.
    fn said(goes_wrong: Option<&str>, cells: u32) -> Vec<String> {
        let mut script = Script::new().token(Duration::from_millis(20));
        if let Some(at) = goes_wrong {
            script = script.goes_wrong(at.parse::<At>().expect("well formed"));
        }
        let clock = script.clock();
        let mut out = Vec::new();
        let stop = AtomicBool::new(false);
        serve(&mut script, &job(cells), &clock, &stop, &mut out).expect("a vector takes all");
        let text = String::from_utf8(out).expect("lines are text");
        text.lines().map(brief).collect()
    }

    fn brief(line: &str) -> String {
        let mut message: Message = serde_json::from_str(line).expect("each line is a message");
        let cell = message.cell_mut().map(|cell| format!(" {cell}"));
        let rest = if let Message::TrialStarted { warmup, number, .. } = message {
            format!(": {}{number}", if warmup { "warm-up " } else { "" })
        } else if let Message::Trial { trial, .. } = &message {
            format!(" at {}", trial.order.expect("it has its turn").place)
        } else if let Message::Found { finding, .. } = &message {
            match finding {
                Finding::Prompts(_) => ": prompts".to_owned(),
                Finding::Likelihood(_) => ": likelihood".to_owned(),
                Finding::Greedy(greedy) => format!(": {}", greedy.prompt_sha256),
                Finding::Roofline(_) => ": roofline".to_owned(),
            }
        } else if let Message::CellFailed { failure, .. } | Message::LoadFailed { failure } =
            &message
        {
            format!(": {} in {:?}", failure.kind, failure.stage)
        } else if let Message::Done { cleanup_us } = message {
            format!(": {cleanup_us} us")
        } else {
            String::new()
        };
        format!("{}{}{rest}", message.name(), cell.unwrap_or_default())
    }

    #[test]
    fn a_job_is_told_step_by_step() {
        insta::assert_snapshot!(said(None, 2).join("\n"), @r"
        started
        predicted
        warning
        loaded
        cell_started 0
        found 0: prompts
        cell_started 1
        found 1: prompts
        trial_started 0: warm-up 1
        decoded 0
        trial 0 at 0
        trial_started 1: warm-up 1
        decoded 1
        trial 1 at 1
        trial_started 0: 1
        decoded 0
        trial 0 at 2
        trial_started 1: 1
        decoded 1
        trial 1 at 3
        trial_started 0: 2
        decoded 0
        trial 0 at 4
        found 0: likelihood
        cell_done 0
        trial_started 1: 2
        decoded 1
        trial 1 at 5
        found 1: likelihood
        cell_done 1
        done: 5000 us
        ");
    }

    #[test]
    fn greedy_answers_to_each_prompt_come_last_where_they_are_wanted() {
        let mut script = Script::new();
        let clock = script.clock();
        let (mut out, stop) = (Vec::new(), AtomicBool::new(false));
        let job = Job { greedy: true, ..job(1) };
        serve(&mut script, &job, &clock, &stop, &mut out).expect("a vector takes all");
        let text = String::from_utf8(out).expect("lines are text");
        let said: Vec<_> = text.lines().map(brief).collect();
        let last = said.len() - 4;
        assert_eq!(
            said[last..last + 3],
            ["found 0: scripted 0", "found 0: scripted 1", "cell_done 0"]
        );
    }

    #[test]
    fn a_failed_cell_does_not_end_the_child() {
        insta::assert_snapshot!(said(Some("fail@decode:1"), 2).join("\n"), @r"
        started
        predicted
        warning
        loaded
        cell_started 0
        found 0: prompts
        cell_started 1
        found 1: prompts
        trial_started 0: warm-up 1
        decoded 0
        cell_failed 0: scripted in Decode
        trial_started 1: warm-up 1
        decoded 1
        trial 1 at 1
        trial_started 1: 1
        decoded 1
        trial 1 at 2
        trial_started 1: 2
        decoded 1
        trial 1 at 3
        found 1: likelihood
        cell_done 1
        done: 5000 us
        ");
    }

    #[test]
    fn a_broken_engine_ends_the_child() {
        insta::assert_snapshot!(said(Some("break@decode:1"), 2).join("\n"), @r"
        started
        predicted
        warning
        loaded
        cell_started 0
        found 0: prompts
        cell_started 1
        found 1: prompts
        trial_started 0: warm-up 1
        decoded 0
        cell_failed 0: scripted in Decode
        done: 5000 us
        ");
    }

    #[test]
    fn a_refused_cell_is_skipped() {
        insta::assert_snapshot!(said(Some("refuse@prepare:1"), 1).join("\n"), @r"
        started
        predicted
        warning
        loaded
        cell_skipped 0
        done: 5000 us
        ");
    }

    #[test]
    fn a_model_that_cannot_be_loaded_ends_the_child() {
        assert_eq!(
            said(Some("fail@load"), 2),
            ["started", "predicted", "configured", "load_failed: scripted in Load"]
        );
    }

    #[test]
    fn a_parent_that_is_gone_is_an_error() {
        let mut script = Script::new();
        let clock = script.clock();
        let mut full: &mut [u8] = &mut [0; 10];
        let stop = AtomicBool::new(false);
        assert!(serve(&mut script, &job(1), &clock, &stop, &mut full).is_err());
    }
}
