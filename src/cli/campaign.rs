//! A run on its way: model after model, each cell's line appended as soon as it is known.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::SystemTime,
};

use super::{
    Exit,
    fetching::{Fetching, Found, Order},
    printer::Printer,
    progress::{self, Progress},
    table::{self, Row},
};
use crate::{
    checkpoint::sentence,
    host::{Health, Host},
    hub::{HubError, Network, Provided},
    measure::{
        message::{Job, Message},
        outcome::{Failure, Outcome, Stage, Verdict},
        supervise::{self, Observer, Request},
    },
    plan::{Plan, PlannedModel, Settings},
    report::{
        self, Context, Journal, JournalError, MlxKnifeVersion, ModelHint, Record, SchemaVersion,
        TestNames,
    },
};

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

/// A run on its way.
pub(super) struct Campaign<'a> {
    printer: &'a Printer,
    host: Host,
    journal: Journal,
    format: Format,
    stop: &'a AtomicBool,
    names: TestNames,
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
    pub(super) fn new(
        printer: &'a Printer,
        host: Host,
        journal: Journal,
        format: Format,
        stop: &'a AtomicBool,
    ) -> Self {
        Self {
            printer,
            host,
            journal,
            format,
            stop,
            names: TestNames::default(),
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
            if self.stop.load(Ordering::SeqCst) {
                self.printer.note(format!("{} of {all} models were not run", all - done));
                break;
            }
            let heading = format!("[{}/{all}] {}", done + 1, model.label);
            self.measure_model(heading, model, found);
        }
        self.printer.end();
    }

    fn measure_model(&mut self, heading: String, model: &PlannedModel, found: Found) {
        let provided = match found {
            Ok(provided) => provided,
            Err(error) => {
                self.fail(heading, model, &error);
                return;
            }
        };
        let request = Request {
            model: &model.source.to_argument(),
            job: Job {
                revision: revision(model, provided.as_ref()),
                settings: model.settings.clone(),
                cells: model.cells.clone(),
            },
            stop: self.stop,
        };
        let mut watch = Watch {
            progress: Progress::new(self.printer, heading, &model.cells),
            // Once a model, before its child lives: a look between two cells would disturb the next.
            health: Health::now(),
            provided,
            received: self.received.load(Ordering::SeqCst),
            model,
            campaign: self,
        };
        supervise::run_model(&request, &mut watch);
    }

    /// Ends every cell of a model that could not be fetched.
    fn fail(&mut self, heading: String, model: &PlannedModel, error: &HubError) {
        let mut failure = Failure::new(Stage::Resolve, error.kind(), sentence(error));
        failure.hint = error.hint();
        let mut watch = Watch {
            progress: Progress::new(self.printer, heading, &model.cells),
            health: Health::now(),
            provided: None,
            received: self.received.load(Ordering::SeqCst),
            model,
            campaign: self,
        };
        for cell in 0..model.cells.len() {
            let verdict = Verdict::Failed(failure.clone());
            watch.finished(cell, &Outcome::unbegun(verdict, SystemTime::now()));
        }
    }

    fn context(
        &self,
        model: &PlannedModel,
        provided: Option<&Provided>,
        health: &Health,
    ) -> Context {
        Context {
            schema: self.format.schema,
            mlx_knife_version: self.format.mlx_knife_version.clone(),
            host: self.host.clone(),
            health: health.clone(),
            model: ModelHint {
                id: model.label.clone(),
                revision: revision(model, provided),
                size_bytes: model.size_bytes(),
                fetched: provided.and_then(|provided| provided.fetched),
            },
            defaults: Settings::default(),
        }
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
                    self.stop.store(true, Ordering::SeqCst);
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

    /// Shows what was measured and says how it went.
    pub(super) fn conclude(&self) -> Exit {
        if self.format.view == View::Table {
            self.printer.data(&table::table(&self.rows));
        }
        let failed = |row: &Row| matches!(row.outcome.verdict, Verdict::Failed(_));
        let lines = if self.lines == 1 { "line" } else { "lines" };
        self.printer.note(format!(
            "appended {} {lines} to `{}`",
            self.lines,
            self.journal.path().display()
        ));
        if self.trouble != Trouble::None {
            Exit::Io
        } else if self.stop.load(Ordering::SeqCst) {
            Exit::Interrupted
        } else if self.rows.iter().any(failed) {
            Exit::No
        } else {
            Exit::Ok
        }
    }
}

/// The commit that a model was found at, or the revision that was asked for.
fn revision(model: &PlannedModel, provided: Option<&Provided>) -> Option<String> {
    let asked = || model.source.revision().map(str::to_owned);
    provided.map(|provided| provided.commit.clone()).or_else(asked)
}

/// Takes what one model's child gives.
struct Watch<'a, 'campaign> {
    progress: Progress<'a>,
    health: Health,
    /// Where the model came from, where that was the hub.
    provided: Option<Provided>,
    /// Bytes that had come from the hub when the cell began.
    received: u64,
    model: &'a PlannedModel,
    campaign: &'a mut Campaign<'campaign>,
}

impl Observer for Watch<'_, '_> {
    fn message(&mut self, message: &Message) {
        self.progress.message(message);
    }

    fn finished(&mut self, cell: usize, outcome: &Outcome) {
        self.progress.finished(cell, outcome);
        let Some(cell) = self.model.cells.get(cell) else {
            return;
        };
        let mut outcome = outcome.clone();
        let received = self.campaign.received.load(Ordering::SeqCst);
        if received != mem::replace(&mut self.received, received) {
            outcome.warnings.push(DISTURBED.to_owned());
        }
        let context = self.campaign.context(self.model, self.provided.as_ref(), &self.health);
        let mut line = report::record(&context, cell, &self.model.settings, &outcome);
        line.test = self.campaign.names.take(line.test);
        self.campaign.append(&line);
        self.campaign.rows.push(Row {
            label: self.model.label.clone(),
            cell: cell.clone(),
            outcome,
        });
    }
}
