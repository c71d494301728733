//! A run on its way: model after model, each cell's line appended as soon as it is known.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    Exit,
    printer::Printer,
    progress::{self, Progress},
    table::{self, Row},
};
use crate::{
    host::{self, Health, Host},
    measure::{
        message::{Job, Message},
        outcome::{Outcome, Verdict},
        supervise::{self, Observer, Request},
    },
    plan::{Plan, PlannedModel},
    report::{self, Context, Journal, JournalError, MlxKnifeVersion, Record, SchemaVersion},
};

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
pub(super) struct Session<'a> {
    printer: &'a Printer,
    host: Host,
    journal: Journal,
    format: Format,
    stop: &'a AtomicBool,
    rows: Vec<Row>,
    /// Why the report could not be written, if it could not.
    trouble: Option<JournalError>,
}

impl<'a> Session<'a> {
    /// A run that appends to `journal` until `stop` is set.
    pub(super) fn new(
        printer: &'a Printer,
        journal: Journal,
        format: Format,
        stop: &'a AtomicBool,
    ) -> Self {
        Self {
            printer,
            host: host::survey(),
            journal,
            format,
            stop,
            rows: Vec::new(),
            trouble: None,
        }
    }

    /// Measures model after model, until all are done or somebody wants an end.
    pub(super) fn measure(&mut self, plan: &Plan) {
        self.printer.begin(progress::steps(&plan.models));
        let all = plan.models.len();
        for (done, model) in plan.models.iter().enumerate() {
            if self.stop.load(Ordering::SeqCst) {
                self.printer
                    .note(format!("{} of {all} models were not run", all - done));
                break;
            }
            let heading = format!("[{}/{all}] {}", done + 1, model.label);
            self.measure_model(heading, model);
        }
        self.printer.end();
    }

    fn measure_model(&mut self, heading: String, model: &PlannedModel) {
        let request = Request {
            model: &model.source.to_argument(),
            job: Job {
                revision: model.source.revision().map(str::to_owned),
                settings: model.settings.clone(),
                cells: model.cells.clone(),
            },
            stop: self.stop,
        };
        let mut watch = Watch {
            progress: Progress::new(self.printer, heading, &model.cells),
            // Once a model, before its child lives: a look between two cells would disturb the next.
            health: Health::now(),
            model,
            session: self,
        };
        supervise::run_model(&request, &mut watch);
    }

    /// Appends the line of a cell; after a first failure none is tried.
    fn append(&mut self, line: &Record) {
        if self.trouble.is_some() {
            return;
        }
        if let Err(error) = self.journal.append(line) {
            self.printer.failure(&error, None);
            self.trouble = Some(error);
            self.stop.store(true, Ordering::SeqCst);
        }
    }

    /// Shows what was measured and says how it went.
    pub(super) fn conclude(&self, path: &Path) -> Exit {
        if self.format.view == View::Table {
            self.printer.data(&table::table(&self.rows));
        }
        let failed = |row: &Row| matches!(row.outcome.verdict, Verdict::Failed(_));
        if self.trouble.is_some() {
            return Exit::Io;
        }
        self.printer.note(format!(
            "appended {} lines to `{}`",
            self.rows.len(),
            path.display()
        ));
        if self.stop.load(Ordering::SeqCst) {
            Exit::Interrupted
        } else if self.rows.iter().any(failed) {
            Exit::No
        } else {
            Exit::Ok
        }
    }
}

/// Takes what one model's child gives.
struct Watch<'a, 'session> {
    progress: Progress<'a>,
    health: Health,
    model: &'a PlannedModel,
    session: &'a mut Session<'session>,
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
        let context = Context {
            schema: self.session.format.schema,
            mlx_knife_version: &self.session.format.mlx_knife_version,
            host: &self.session.host,
            health: &self.health,
            label: &self.model.label,
            size_gb: self.model.size_gb,
        };
        let line = report::record(&context, cell, &self.model.settings, outcome);
        self.session.append(&line);
        if self.session.format.view == View::Lines {
            self.session.printer.line(serde_json::json!(line));
        }
        self.session.rows.push(Row {
            label: self.model.label.clone(),
            cell: cell.clone(),
            outcome: outcome.clone(),
        });
    }
}
