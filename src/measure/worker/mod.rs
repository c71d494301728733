//! The child's side: a job comes in on standard input, messages go out on standard output.
//!
//! Standard input stays open as long as the parent lives. When it ends, the parent is gone and so is anyone who could
//! read an answer: the child ends at once, wherever it is. That works on every system and needs no signal.
//!
//! A panic is not caught here. Like a crash of MLX, which nothing can catch, it ends the process; the parent tells what
//! it was by exit status and standard error.

mod parent;

use std::{
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    clock::Clock,
    engine::{Engine, EngineError, PromptKind},
    message::{Job, Loaded, Message, Runtime},
    outcome::{Failure, Skip, Stage},
    recorder::{News, record},
};
use crate::plan::{Cell, Need, Sampling, Settings};
use parent::{Parent, receive};

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
    let Loading { mut engine, loaded, warnings } = match loader.load(job) {
        Ok(loading) => loading,
        Err(failure) => return parent.tell(&Message::LoadFailed { failure }),
    };
    for text in warnings {
        parent.tell(&Message::Warning { text })?;
    }
    parent.tell(&Message::Loaded(Box::new(loaded)))?;
    for (index, cell) in job.cells.iter().enumerate() {
        let sampling = &job.settings.sampling;
        let mut run = Run { index, cell, sampling, clock, stop, parent: &mut parent };
        run.measure(engine.as_mut())?;
        if !engine.is_usable() || stop.load(Ordering::SeqCst) {
            break;
        }
    }
    let began_us = clock.now_us();
    loader.release(engine);
    parent.tell(&Message::Done { cleanup_us: clock.now_us().saturating_sub(began_us) })
}

/// One cell and all that its repetitions need.
struct Run<'a, 'out> {
    index: usize,
    cell: &'a Cell,
    sampling: &'a Sampling,
    clock: &'a dyn Clock,
    stop: &'a AtomicBool,
    parent: &'a mut Parent<'out>,
}

/// Why a cell's repetitions ended early.
enum Early {
    /// The parent wants an end.
    Asked,
    /// The engine could not go on.
    Engine(EngineError),
    /// The parent could not be told.
    Parent(io::Error),
}

impl From<EngineError> for Early {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<io::Error> for Early {
    fn from(error: io::Error) -> Self {
        Self::Parent(error)
    }
}

impl Run<'_, '_> {
    fn measure(&mut self, engine: &mut dyn Engine) -> io::Result<()> {
        let cell = self.index;
        let message = match self.repeat(engine) {
            Ok(()) => Message::CellDone { cell },
            Err(Early::Engine(EngineError::Refused { kind, reason })) => {
                Message::CellSkipped { cell, skip: Skip { kind: kind.to_owned(), reason } }
            }
            Err(Early::Engine(EngineError::Failed { stage, kind, message })) => {
                Message::CellFailed { cell, failure: Failure::new(stage, kind, message) }
            }
            Err(Early::Asked) => {
                // In prefill begins the repetition that is not done any more.
                let failure = Failure::new(Stage::Prefill, "interrupted", "it was interrupted");
                Message::CellFailed { cell, failure }
            }
            Err(Early::Parent(error)) => return Err(error),
        };
        self.parent.tell(&message)
    }

    /// Warm-ups have the very shapes of what is measured, since MLX makes kernels for each shape it meets.
    fn repeat(&mut self, engine: &mut dyn Engine) -> Result<(), Early> {
        let cell = self.index;
        let kind = engine.prepare(&self.cell.work)?;
        self.parent
            .tell(&Message::CellStarted { cell, random_ids: kind == PromptKind::RandomIds })?;
        let mut answers = Vec::new();
        for repetition in 0..self.cell.warmup + self.cell.repetitions {
            if self.stop.load(Ordering::SeqCst) {
                return Err(Early::Asked);
            }
            let mut told = Ok(());
            let trial = record(engine, &self.cell.work, self.sampling, self.clock, &mut |news| {
                let news = self.parent.tell(&progress(cell, news));
                if let (Ok(()), Err(error)) = (&told, news) {
                    told = Err(error);
                }
            })?;
            told?;
            answers.push((trial.prompt_sha256.clone(), trial.ids_sha256.clone()));
            self.parent.tell(&Message::Trial {
                cell,
                warmup: repetition < self.cell.warmup,
                trial: Box::new(trial),
            })?;
        }
        if let Some(text) = different_answers(&answers) {
            self.parent.tell(&Message::Warning { text })?;
        }
        Ok(())
    }
}

fn progress(cell: usize, news: News) -> Message {
    match news {
        News::Prefilled(tokens) => Message::Prefilled { cell, tokens },
        News::Decoded(tokens) => Message::Decoded { cell, tokens },
    }
}

/// Repetitions draw with the same seed, so one prompt has one answer.
fn different_answers(answers: &[(String, String)]) -> Option<String> {
    let (prompt, ids) = answers.first()?;
    let others = answers
        .iter()
        .filter(|(other_prompt, other_ids)| other_prompt == prompt && other_ids != ids)
        .count();
    (others > 0).then(|| {
        format!(
            "{others} of {} repetitions answered the same prompt with other tokens than the first",
            answers.len()
        )
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        measure::scripted::{At, Script},
        plan::Work,
    };

    fn job(cells: u32) -> Job {
        Job {
            revision: None,
            cold: false,
            settings: Settings::default(),
            cells: (1..=cells)
                .map(|budget| Cell {
                    work: Work::Throughput { prompt_tokens: 4, generation_tokens: budget },
                    warmup: 1,
                    repetitions: 2,
                })
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
        let rest = if let Message::Trial { warmup: true, .. } = message {
            " warmup".to_owned()
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
        decoded 0
        trial 0 warmup
        decoded 0
        trial 0
        decoded 0
        trial 0
        cell_done 0
        cell_started 1
        decoded 1
        trial 1 warmup
        decoded 1
        trial 1
        decoded 1
        trial 1
        cell_done 1
        done: 5000 us
        ");
    }

    #[test]
    fn a_failed_cell_does_not_end_the_child() {
        insta::assert_snapshot!(said(Some("fail@decode:1"), 2).join("\n"), @r"
        started
        predicted
        warning
        loaded
        cell_started 0
        decoded 0
        cell_failed 0: scripted in Decode
        cell_started 1
        decoded 1
        trial 1 warmup
        decoded 1
        trial 1
        decoded 1
        trial 1
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
            ["started", "predicted", "load_failed: scripted in Load"]
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

    #[test]
    fn other_tokens_for_the_same_prompt_are_worth_a_warning() {
        let answers = |ids: &[(&str, &str)]| {
            let owned: Vec<_> =
                ids.iter().map(|(prompt, ids)| ((*prompt).to_owned(), (*ids).to_owned())).collect();
            different_answers(&owned)
        };
        assert_eq!(answers(&[]), None);
        assert_eq!(answers(&[("p", "a"), ("p", "a"), ("q", "b")]), None);
        assert_eq!(
            answers(&[("p", "a"), ("p", "b"), ("p", "a")]).as_deref(),
            Some("1 of 3 repetitions answered the same prompt with other tokens than the first")
        );
    }
}
