//! What one model's children give becomes lines, each as soon as its cell ends.

use std::{
    mem,
    sync::atomic::Ordering,
    time::{Instant, SystemTime},
};

use super::{Campaign, DISTURBED};
use crate::{
    checkpoint::sentence,
    cli::{memory, progress::Progress, table::Row, unfinished::Pending},
    host::Health,
    hub::HubError,
    measure::{
        message::Message,
        outcome::{Failure, Outcome, Stage, Verdict},
        supervise::Observer,
    },
    plan::{PlannedModel, Settings},
    report::{self, Context, MemoryBack, ModelHint},
};

/// Takes what one model's children give.
pub(super) struct Watch<'a, 'campaign> {
    pub(super) progress: Progress<'a>,
    /// Before the child was started: a look between two cells would disturb the next.
    pub(super) health: Health,
    pub(super) hint: ModelHint,
    /// Bytes that had come from the hub when the cell began.
    pub(super) received: u64,
    pub(super) model: &'a PlannedModel,
    pub(super) pending: &'a [Pending],
    /// What the machine lacked before the model was loaded.
    pub(super) lacking: Option<String>,
    /// When the child had released its model, after so many microseconds.
    pub(super) released: Option<(Instant, u64)>,
    /// What became of its cells, as they ended.
    pub(super) rows: Vec<(usize, Row)>,
    pub(super) campaign: &'a mut Campaign<'campaign>,
}

impl Watch<'_, '_> {
    /// Ends every cell of a model that could not be fetched.
    pub(super) fn not_fetched(&mut self, error: &HubError) {
        let mut failure = Failure::new(Stage::Resolve, error.kind(), sentence(error));
        failure.hint = error.hint();
        self.end_all(&Verdict::Failed(failure));
    }

    /// Ends every cell before it began.
    pub(super) fn end_all(&mut self, verdict: &Verdict) {
        for cell in 0..self.pending.len() {
            self.finished(cell, &Outcome::unbegun(verdict.clone(), SystemTime::now()));
        }
    }

    /// What is told beside a cell and its outcome.
    fn context(&self, pending: &Pending, outcome: &Outcome) -> Context {
        let campaign = &self.campaign;
        let memory_back = outcome.cleanup_us.and_then(|_| self.memory_back(outcome));
        // Only where nothing is left of the child can a look disturb nothing.
        let after = if outcome.loaded.is_none() {
            None
        } else if outcome.cleanup_us.is_some() {
            Some(Health::now())
        } else {
            Some(Health::glance())
        };
        Context {
            schema: campaign.format.schema,
            mlx_knife_version: campaign.format.mlx_knife_version.clone(),
            host: campaign.host.clone(),
            health: self.health.clone(),
            health_after: after,
            memory_back,
            model: self.hint.clone(),
            defaults: Settings::default(),
            mark: campaign.unfinished.mark(pending),
        }
    }

    /// Waits for the memory of a child that is gone.
    fn memory_back(&self, outcome: &Outcome) -> Option<MemoryBack> {
        let weights = outcome.loaded.as_ref()?.model.parameter_bytes;
        let peaks = outcome.trials.iter().filter_map(|trial| trial.memory.allocator_peak());
        let held = peaks.fold(weights, u64::max);
        memory::until_back(&self.health, held, self.released?, Health::of_memory)
    }
}

impl Observer for Watch<'_, '_> {
    fn child(&mut self, id: Option<u32>) {
        self.released = None;
        // Another child does the rest.
        if id.is_none() && self.rows.len() < self.pending.len() {
            self.health = Health::now();
        }
    }

    fn message(&mut self, message: &Message) {
        self.progress.message(message);
        if let Message::Done { cleanup_us } = message {
            self.released = Some((Instant::now(), *cleanup_us));
        }
        if let Message::Trial { cell, warmup: false, trial } = message
            && let Some(pending) = self.pending.get(*cell)
        {
            self.campaign.keep(pending, trial);
        }
    }

    fn finished(&mut self, cell: usize, outcome: &Outcome) {
        let Some(pending) = self.pending.get(cell) else {
            return;
        };
        let mut outcome = pending.whole(outcome);
        self.progress.finished(cell, &outcome);
        let received = self.campaign.received.load(Ordering::SeqCst);
        if received != mem::replace(&mut self.received, received) {
            outcome.warnings.push(DISTURBED.to_owned());
        }
        outcome.warnings.extend(self.lacking.clone());
        let printer = self.campaign.printer;
        self.campaign.references.look(&self.model.label, &mut outcome, printer);
        if outcome.verdict == Verdict::Measured {
            let aim = self.campaign.care.aim;
            outcome.warnings.extend(aim.and_then(|aim| aim.missed(&outcome.trials)));
        }
        let context = self.context(pending, &outcome);
        let mut line = report::record(&context, &pending.planned, &self.model.settings, &outcome);
        line.test = self.campaign.names.take(line.test);
        self.campaign.append(&line);
        let row = Row { label: self.model.label.clone(), cell: pending.planned.clone(), outcome };
        self.rows.push((cell, row));
    }
}
