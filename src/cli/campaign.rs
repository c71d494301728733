//! A run on its way: model after model, each cell's line appended as soon as it is known.

mod watch;

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    Exit,
    fetching::{Fetching, Found, Order},
    memory,
    printer::Printer,
    progress::{self, Progress},
    references::References,
    table::{self, Row},
    unfinished::{Pending, Unfinished},
};
use crate::{
    host::{Health, Host, sampler::Sampler},
    hub::{Network, Provided},
    measure::{
        Stop,
        message::Job,
        outcome::Verdict,
        patience::Patience,
        sampled::Sampled,
        schedule::Aim,
        stop_answers::MISBEHAVED,
        supervise::{self, Isolation, Request},
        trial::Trial,
    },
    plan::{MemoryBudget, Plan, PlannedModel},
    report::{Journal, JournalError, MlxKnifeVersion, ModelHint, Record, SchemaVersion, TestNames},
};
use watch::Watch;

/// What a reader must know of a cell during which bytes came from the hub.
const DISTURBED: &str =
    "another model was downloaded meanwhile, which may have slowed this one down";

/// What lines look like, and where they are shown.
#[derive(Clone, Debug)]
pub(super) struct Format {
    pub(super) schema: SchemaVersion,
    pub(super) mlx_knife_version: MlxKnifeVersion,
    pub(super) view: View,
}

/// What goes to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Table,
    Lines,
}

/// How children are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Care {
    /// How long one may come no further.
    pub(super) patience: Patience,
    /// What each is for.
    pub(super) isolation: Isolation,
    /// Whether the system is asked to let go of a model's files before each load.
    pub(super) cold: bool,
    /// How long the machine rests before each but the first.
    pub(super) cooldown: Duration,
    /// What the model in one may need.
    pub(super) budget: MemoryBudget,
    /// How well figures are to be known.
    pub(super) aim: Option<Aim>,
}

/// What a run begins with.
pub(super) struct Setup<'a> {
    pub(super) printer: &'a Printer,
    pub(super) host: Host,
    pub(super) journal: Journal,
    pub(super) format: Format,
    pub(super) unfinished: Unfinished,
    pub(super) care: Care,
    /// What greedy answers are compared with, and where they are kept.
    pub(super) references: References,
    /// Whether stop tokens that misbehave make the run fail.
    pub(super) is_strict: bool,
    /// What looks at the machine meanwhile.
    pub(super) sampler: Option<&'a Sampler>,
    pub(super) stop: &'a Stop,
}

/// A run on its way.
pub(super) struct Campaign<'a> {
    printer: &'a Printer,
    host: Host,
    journal: Journal,
    format: Format,
    care: Care,
    references: References,
    stop: &'a Stop,
    names: TestNames,
    unfinished: Unfinished,
    /// Whether a model was loaded already.
    is_warm: bool,
    sampler: Option<&'a Sampler>,
    /// Whether stop tokens that misbehave make the run fail.
    is_strict: bool,
    /// Cells that failed before this run was resumed.
    failed_before: usize,
    /// Bytes that came from the hub until now.
    received: Arc<AtomicU64>,
    rows: Vec<Row>,
    /// Lines that were appended.
    lines: usize,
    trouble: Trouble,
}

/// What befell the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    /// A line did not fit its schema and was left out.
    Unfit,
    /// It cannot be written any more.
    Unwritable,
}

impl<'a> Campaign<'a> {
    /// A run on `host` that appends to `journal` until `stop` is set.
    pub(super) fn new(setup: Setup<'a>) -> Self {
        let Setup {
            printer,
            host,
            journal,
            format,
            unfinished,
            care,
            references,
            is_strict,
            sampler,
            stop,
        } = setup;
        let unfinished = if care.aim.is_some() { unfinished.keep_all() } else { unfinished };
        Self {
            printer,
            host,
            journal,
            format,
            care,
            references,
            stop,
            names: TestNames::default(),
            unfinished,
            is_warm: false,
            sampler,
            is_strict,
            failed_before: 0,
            received: Arc::default(),
            rows: Vec::new(),
            lines: 0,
            trouble: Trouble::None,
        }
    }

    /// Measures model after model, until all are done or somebody wants an end; what is not here is fetched in `order`.
    pub(super) fn measure(&mut self, plan: &Plan, network: Network, order: Order) {
        let received = Arc::clone(&self.received);
        let fetching = Fetching { printer: self.printer, stop: self.stop, received: &received };
        fetching.run(plan, network, order, |found| self.measure_found(plan, found));
    }

    fn measure_found(&mut self, plan: &Plan, found: &mut dyn Iterator<Item = Found>) {
        self.printer.begin(progress::steps(&plan.models));
        let all = plan.models.len();
        for (done, (model, found)) in plan.models.iter().zip(found).enumerate() {
            if self.stop.is_asked() {
                self.printer.note(format!("{} of {all} models were not run", all - done));
                break;
            }
            let heading = format!("[{}/{all}] {}", done + 1, model.label);
            self.measure_model(heading, model, found);
        }
        self.printer.end();
    }

    fn measure_model(&mut self, heading: String, model: &PlannedModel, found: Found) {
        let (provided, error) =
            found.map_or_else(|error| (None, Some(error)), |provided| (provided, None));
        let hint = hint(model, provided.as_ref());
        let (pending, published) = self.unfinished.pending(model, &hint);
        for line in &published {
            self.names.note(&line.test);
            let counts = line.has_failed || line.has_misbehaved && self.is_strict;
            self.failed_before += usize::from(counts);
        }
        if pending.is_empty() {
            self.printer.note(format!("{heading}: was measured before"));
            return;
        }
        let skip = memory::too_large(model, hint.revision.as_deref(), self.care.budget, &self.host);
        let is_loaded = error.is_none() && skip.is_none();
        let lacking = is_loaded.then(|| self.wait()).flatten();
        let cells: Vec<_> = pending.iter().map(|pending| pending.planned.clone()).collect();
        let request = Request {
            model: &model.source.to_argument(),
            job: self.job(model, &hint, &pending),
            patience: self.care.patience,
            isolation: self.care.isolation,
            cooldown: self.care.cooldown,
            stop: self.stop,
        };
        let looks = self.sampler;
        let mut watch = Watch {
            progress: Progress::new(self.printer, heading, &cells),
            health: Health::now(),
            hint,
            received: self.received.load(Ordering::SeqCst),
            model,
            pending: &pending,
            lacking,
            released: None,
            rows: Vec::new(),
            campaign: self,
        };
        if let Some(error) = error {
            watch.not_fetched(&error);
        } else if let Some(skip) = skip {
            watch.end_all(&Verdict::Skipped(skip));
        } else {
            let mut sampled = Sampled::new(looks, &model.label, &cells, &mut watch);
            supervise::run_model(&request, &mut sampled);
        }
        // The table shows them as they were planned, however they ended.
        let mut rows = watch.rows;
        rows.sort_by_key(|(cell, _)| *cell);
        self.rows.extend(rows.into_iter().map(|(_, row)| row));
    }

    /// What a child is asked to do for `model`.
    fn job(&self, model: &PlannedModel, hint: &ModelHint, pending: &[Pending]) -> Job {
        Job {
            revision: hint.revision.clone(),
            cold: self.care.cold,
            settings: model.settings.clone(),
            aim: self.care.aim,
            passages: model.passages.clone(),
            greedy: self.references.are_wanted(),
            cells: pending.iter().map(Pending::task).collect(),
        }
    }

    /// Has the machine rest and get its memory back before a model is loaded, the first excepted, which finds it as the
    /// user left it; what was lacking in the end.
    fn wait(&mut self) -> Option<String> {
        if !mem::replace(&mut self.is_warm, true) {
            return None;
        }
        self.stop.wait(self.care.cooldown);
        memory::wait_for_room(self.host.memory_bytes, self.stop)
    }

    /// Appends the line of a cell, and shows it where lines are shown; once the report cannot be written, neither.
    fn append(&mut self, line: &Record) {
        if self.trouble == Trouble::Unwritable {
            return;
        }
        if let Err(error) = self.journal.append(line) {
            self.printer.failure(&error, error.hint());
            self.trouble = match error {
                JournalError::Unfit { .. } => Trouble::Unfit,
                JournalError::Open { .. } | JournalError::Append { .. } => {
                    // What is measured from now on would be lost.
                    self.stop.ask();
                    Trouble::Unwritable
                }
            };
            return;
        }
        self.lines += 1;
        if self.format.view == View::Lines {
            self.printer.line(serde_json::json!(line));
        }
    }

    /// Keeps a repetition for a run that goes on with this one; where that cannot be, it is said once.
    fn keep(&mut self, pending: &Pending, trial: &Trial) {
        if let Err(error) = self.unfinished.keep(pending, trial) {
            self.printer.warning(format!("this run cannot be resumed: {error}"));
            // A file that cannot be written may not be removed either.
            let _ = self.unfinished.end();
        }
    }

    /// Shows what was measured and says how it went.
    pub(super) fn conclude(&mut self) -> Exit {
        if self.format.view == View::Table {
            self.printer.data(&table::table(&self.rows));
        }
        let failed = |row: &Row| match &row.outcome.verdict {
            Verdict::Failed(failure) => self.is_strict || failure.kind != MISBEHAVED,
            Verdict::Measured | Verdict::Skipped(_) => false,
        };
        let lines = if self.lines == 1 { "line" } else { "lines" };
        self.printer.note(format!(
            "appended {} {lines} to `{}`",
            self.lines,
            self.journal.path().display()
        ));
        if self.trouble == Trouble::None && self.stop.is_asked() {
            self.printer.note("`--resume` goes on with this run");
        } else if self.trouble != Trouble::Unwritable
            && let Err(error) = self.unfinished.end()
        {
            self.printer
                .warning(format!("what was kept for `--resume` cannot be removed: {error}"));
        }
        if self.trouble != Trouble::None {
            Exit::Io
        } else if self.stop.is_asked() {
            Exit::Interrupted
        } else if self.failed_before > 0
            || self.rows.iter().any(failed)
            || self.references.have_diverged()
        {
            Exit::No
        } else {
            Exit::Ok
        }
    }
}

/// What is known of a model before it is loaded.
fn hint(model: &PlannedModel, provided: Option<&Provided>) -> ModelHint {
    let asked = || model.source.revision().map(str::to_owned);
    ModelHint {
        id: model.label.clone(),
        revision: provided.map(|provided| provided.commit.clone()).or_else(asked),
        size_bytes: model.size_bytes(),
        fetched: provided.and_then(|provided| provided.fetched),
    }
}
