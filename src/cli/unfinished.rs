//! What an unfinished run left of this one's cells, and what this one would leave.

use std::{collections::HashMap, io, path::Path};

use super::printer::Printer;
use crate::{
    measure::{
        outcome::Outcome,
        schedule::{Measured, Task},
        trial::Trial,
    },
    plan::{Cell, PlannedModel},
    report::{self, Left, Mark, ModelHint, Partial, Published},
};

/// What an unfinished run left, and what this one would leave.
pub(super) struct Unfinished {
    /// None where the report is no file that could be gone on with.
    partial: Option<Partial>,
    left: Left,
    /// Whether a cell may have more repetitions than were planned.
    keeps_all: bool,
    /// How often each configuration came until now.
    uses: HashMap<String, usize>,
}

/// A cell that is to be measured.
pub(super) struct Pending {
    /// As it was planned.
    pub(super) planned: Cell,
    configuration: String,
    /// Repetitions that an unfinished run measured.
    known: Vec<Trial>,
}

impl Unfinished {
    /// Begins to keep what a run measures for `report`; goes on with an unfinished one where `is_resumed` asks for it.
    pub(super) fn begin(report: &Path, is_resumed: bool, printer: &Printer) -> io::Result<Self> {
        let new = |partial, left| Self { partial, left, keeps_all: false, uses: HashMap::new() };
        if report.exists() && !report.is_file() {
            return Ok(new(None, Left::default()));
        }
        if is_resumed {
            if let Some((partial, left)) = Partial::resume(report)? {
                return Ok(new(Some(partial), left));
            }
            printer.note("no run was left unfinished: this one begins anew");
        } else if Partial::is_left(report) {
            let report = report.display();
            printer.note(format!(
                "a run was left unfinished at `{report}`: `--resume` goes on with it"
            ));
        }
        Ok(new(Some(Partial::begin(report)?), Left::default()))
    }

    /// Lets cells have more repetitions than were planned.
    pub(super) fn keep_all(self) -> Self {
        Self { keeps_all: true, ..self }
    }

    /// The cells of `model` that are to be measured, and what was published of the others.
    pub(super) fn pending(
        &mut self,
        model: &PlannedModel,
        hint: &ModelHint,
    ) -> (Vec<Pending>, Vec<Published>) {
        let (mut pending, mut published) = (Vec::new(), Vec::new());
        for planned in &model.cells {
            let same = report::configuration(hint, &model.settings, planned, 0);
            let before = self.uses.entry(same).or_default();
            let configuration = report::configuration(hint, &model.settings, planned, *before);
            *before += 1;
            match self.left.published.remove(&configuration) {
                Some(known) => published.push(known),
                None => pending.push(self.begun(planned.clone(), configuration)),
            }
        }
        (pending, published)
    }

    fn begun(&mut self, planned: Cell, configuration: String) -> Pending {
        let mut known = self.left.trials.remove(&configuration).unwrap_or_default();
        if !self.keeps_all {
            known.truncate(planned.repetitions as usize);
        }
        Pending { planned, configuration, known }
    }

    /// Keeps a measured repetition of `pending`.
    pub(super) fn keep(&mut self, pending: &Pending, trial: &Trial) -> io::Result<()> {
        match &mut self.partial {
            Some(partial) => partial.keep(&pending.configuration, trial),
            None => Ok(()),
        }
    }

    /// What tells the line of `pending` from others.
    pub(super) fn mark(&self, pending: &Pending) -> Option<Mark> {
        let run = self.partial.as_ref()?.run().to_owned();
        Some(Mark { run, configuration: pending.configuration.clone() })
    }

    /// Keeps nothing any more: all is published, or nothing can be kept.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.partial.take().map_or(Ok(()), Partial::end)
    }
}

impl Pending {
    /// What is to be done of it.
    pub(super) fn task(&self) -> Task {
        let known = self.known.iter().map(Measured::of).collect();
        Task { cell: self.planned.clone(), known }
    }

    /// `outcome` with the repetitions that were known before it.
    pub(super) fn whole(&self, outcome: &Outcome) -> Outcome {
        let mut whole = outcome.clone();
        if !self.known.is_empty() {
            whole.trials = [&self.known[..], &outcome.trials].concat();
            whole.warnings.push(format!(
                "{} of {} repetitions were measured before the run was interrupted",
                self.known.len(),
                whole.trials.len().max(self.planned.repetitions as usize)
            ));
        }
        whole.believed()
    }
}
