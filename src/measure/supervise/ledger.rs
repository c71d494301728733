//! What one child has said so far: its messages become outcomes.

use std::time::{Instant, SystemTime};

use thiserror::Error;

use super::draft::Draft;
use crate::{
    measure::{
        findings::Finding,
        message::{Loaded, Message, Runtime},
        outcome::{Failure, Outcome, Stage, Verdict},
        roofline::{PackedRows, Roofline},
        schedule::Task,
    },
    plan::Need,
    stops::Token,
};

/// Keeps account of one child.
pub(super) struct Ledger {
    entries: Vec<Entry>,
    /// When the last message of a cell came; at first, when the child was started, then when it had its model.
    mark: Mark,
    runtime: Option<Runtime>,
    need: Option<Need>,
    /// The stop tokens of a model that was not loaded.
    configured: Option<Vec<Token>>,
    /// When the child last came further.
    moved: Instant,
    loaded: Option<Loaded>,
    load_failure: Option<Failure>,
    is_done: bool,
    stage: Stage,
    /// Warnings of every cell.
    warnings: Vec<String>,
    /// The cell whose repetition began last, by its place in the child's job.
    hand: Option<usize>,
    /// Whether that repetition is on its way, and then whether it is a warm-up.
    running: Option<bool>,
    last: Option<(usize, Outcome)>,
}

/// A cell of the child's job.
pub(super) struct Entry {
    /// Its place in the request.
    pub(super) cell: usize,
    /// What this child is to do of it.
    pub(super) task: Task,
    /// Its repetitions that earlier children of this request measured: part of what is known, and of the draft.
    pub(super) before: usize,
    /// What was said of it until now.
    pub(super) draft: Draft,
    /// How far it is, in this child.
    pub(super) state: State,
}

/// How far a cell is in one child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    Prepared,
    Ended,
}

#[derive(Clone, Copy)]
struct Mark {
    instant: Instant,
    time: SystemTime,
}

impl Mark {
    fn now() -> Self {
        Self { instant: Instant::now(), time: SystemTime::now() }
    }
}

/// A message that has no place where it came.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the child said `{0}` out of turn")]
pub(super) struct OutOfTurn(pub(super) &'static str);

impl Ledger {
    /// An account of a child that was just started for `entries`.
    pub(super) fn new(entries: Vec<Entry>) -> Self {
        Self {
            entries,
            mark: Mark::now(),
            runtime: None,
            need: None,
            configured: None,
            moved: Instant::now(),
            loaded: None,
            load_failure: None,
            is_done: false,
            stage: Stage::Load,
            warnings: Vec::new(),
            hand: None,
            running: None,
            last: None,
        }
    }

    /// Where the child is.
    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    /// When the child last came further, by what it said.
    pub(super) fn moved(&self) -> Instant {
        self.moved
    }

    /// The child lives and says that it is in `stage`.
    pub(super) fn live(&mut self, stage: Stage) {
        if stage != self.stage && !self.is_complete() {
            self.stage = stage;
            self.moved = Instant::now();
        }
    }

    /// Whether a cell ended.
    pub(super) fn has_ended_any(&self) -> bool {
        self.entries.iter().any(|entry| entry.state == State::Ended)
    }

    /// Whether every cell ended.
    pub(super) fn is_complete(&self) -> bool {
        self.entries.iter().all(|entry| entry.state == State::Ended)
    }

    /// Whether the child said that it is done.
    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    /// Whether the model is still to be loaded, or never will be.
    pub(super) fn is_loading(&self) -> bool {
        self.loaded.is_none()
    }

    /// Why the model could not be loaded, if the child said so.
    pub(super) fn load_failure(&self) -> Option<&Failure> {
        self.load_failure.as_ref()
    }

    /// Whether nothing more is awaited but the child's end.
    pub(super) fn is_through(&self) -> bool {
        self.is_complete() || self.is_done || self.load_failure.is_some()
    }

    /// `message` with its cell as the request counts it, or a refusal of what cannot come now.
    pub(super) fn admit(&self, message: &Message) -> Result<Message, OutOfTurn> {
        let out_of_turn = || OutOfTurn(message.name());
        let mut renumbered = message.clone();
        if let Some(cell) = renumbered.cell_mut() {
            *cell = self.entries.get(*cell).ok_or_else(out_of_turn)?.cell;
        }
        if self.has_place_for(message) { Ok(renumbered) } else { Err(out_of_turn()) }
    }

    /// Enters a message that was admitted, and gives the outcome of the cell that it ends.
    ///
    /// The last cell's outcome is kept back for [`Self::take_last`], since the child still has to release the model.
    pub(super) fn enter(&mut self, mut message: Message) -> Option<(usize, Outcome)> {
        self.moved = Instant::now();
        let at = message.cell_mut().copied();
        let verdict = self.note(message);
        let at = at?;
        let Some(verdict) = verdict else {
            self.charge(at);
            return None;
        };
        let ended = self.end_cell(at, verdict)?;
        if self.is_complete() {
            self.stage = Stage::Cleanup;
            self.last = Some(ended);
            return None;
        }
        Some(ended)
    }

    fn has_place_for(&self, message: &Message) -> bool {
        let is_loaded = self.loaded.is_some();
        let is = |cell: usize, state| {
            is_loaded && self.entries.get(cell).is_some_and(|entry| entry.state == state)
        };
        let is_running = |cell: usize| is(cell, State::Prepared) && self.hand == Some(cell);
        let is_talking = !self.is_done && self.load_failure.is_none();
        is_talking
            && match *message {
                Message::Started { .. } => self.runtime.is_none(),
                Message::Predicted { .. } | Message::Configured { .. } | Message::Loaded(_) => {
                    self.runtime.is_some() && !is_loaded
                }
                Message::LoadFailed { .. } => !is_loaded,
                Message::Warning { cell: Some(cell), .. } => self.is_open(cell),
                Message::Alive { .. } | Message::Warning { cell: None, .. } => true,
                Message::CellStarted { cell, .. } => is(cell, State::Waiting),
                Message::TrialStarted { cell, .. } => {
                    is(cell, State::Prepared) && self.running.is_none()
                }
                Message::Prefilled { cell, .. } | Message::Decoded { cell, .. } => {
                    is_running(cell) && self.running.is_some()
                }
                Message::Trial { cell, warmup, .. } => {
                    is_running(cell) && self.running == Some(warmup)
                }
                Message::Found { cell, .. } => is(cell, State::Prepared) && self.running.is_none(),
                Message::Throttled { cell } => is_running(cell) && self.running != Some(true),
                Message::Answered { cell, .. } => is_running(cell) && self.running == Some(false),
                Message::CellDone { cell } => {
                    is(cell, State::Prepared)
                        && self.running.is_none()
                        && self.has_every_repetition(cell)
                }
                Message::CellSkipped { cell, .. } | Message::CellFailed { cell, .. } => {
                    is_loaded && self.is_open(cell) && (is_running(cell) || self.running.is_none())
                }
                Message::Done { .. } => is_loaded && self.running.is_none(),
            }
    }

    fn is_open(&self, at: usize) -> bool {
        self.entries.get(at).is_some_and(|entry| entry.state != State::Ended)
    }

    fn has_every_repetition(&self, at: usize) -> bool {
        self.entries.get(at).is_some_and(|entry| {
            let Entry { task, before, draft, .. } = entry;
            let measured = task.known.len() + draft.trials.len() - before;
            measured >= task.cell.repetitions as usize
        })
    }

    /// Notes what a message tells, and gives the verdict of the cell that it ends.
    fn note(&mut self, message: Message) -> Option<Verdict> {
        match message {
            Message::Started { runtime } => self.runtime = Some(runtime),
            Message::Alive { .. } => {}
            Message::Predicted { need } => self.need = Some(need),
            Message::Configured { stop_tokens } => self.configured = Some(stop_tokens),
            Message::Loaded(loaded) => {
                self.loaded = Some(*loaded);
                self.mark = Mark::now();
                self.stage = Stage::Prompt;
            }
            Message::LoadFailed { failure } => self.load_failure = Some(failure),
            Message::Warning { cell, text } => self.warn(cell, text),
            Message::CellStarted { cell, random_ids, packed } => {
                self.begin(cell, random_ids, packed);
            }
            Message::Found { finding: Finding::Roofline(again), .. } => self.look_again(&again),
            Message::Found { cell, finding } => {
                if let Some(Entry { draft, .. }) = self.entries.get_mut(cell) {
                    draft.findings.add(finding);
                }
            }
            Message::TrialStarted { cell, warmup, .. } => {
                self.hand = Some(cell);
                self.running = Some(warmup);
                self.stage = Stage::Prefill;
            }
            Message::Prefilled { .. } => self.stage = Stage::Prefill,
            Message::Decoded { .. } => self.stage = Stage::Decode,
            Message::Trial { cell, warmup, trial } => {
                if let Some(Entry { draft, .. }) = self.entries.get_mut(cell) {
                    let trials = if warmup { &mut draft.warmups } else { &mut draft.trials };
                    trials.push(*trial);
                }
                self.running = None;
                self.stage = Stage::Prefill;
            }
            Message::Answered { cell, answer } => {
                if let Some(Entry { draft, .. }) = self.entries.get_mut(cell) {
                    draft.answers.push(*answer);
                }
                self.running = None;
                self.stage = Stage::Prefill;
            }
            Message::Throttled { .. } => {
                self.running = None;
                self.stage = Stage::Prefill;
            }
            Message::Done { cleanup_us } => {
                self.is_done = true;
                if let Some((_, last)) = &mut self.last {
                    last.cleanup_us = Some(cleanup_us);
                }
            }
            Message::CellDone { .. } => return Some(Verdict::Measured),
            Message::CellSkipped { skip, .. } => return Some(Verdict::Skipped(skip)),
            Message::CellFailed { failure, .. } => return Some(Verdict::Failed(failure)),
        }
        None
    }

    fn begin(&mut self, at: usize, random_ids: bool, packed: Option<PackedRows>) {
        let (runtime, mut loaded, mark) = (self.runtime.clone(), self.loaded.clone(), self.mark);
        if let Some(Entry { draft, state, task, .. }) = self.entries.get_mut(at) {
            *state = State::Prepared;
            // What is asked of the machine is the cell's own from here on.
            if let Some(roofline) = loaded.as_mut().and_then(|loaded| loaded.roofline.as_mut()) {
                roofline.demand.packed = packed;
                roofline.demand.depth = u64::from(task.cell.conditions.depth);
            }
            draft.started.get_or_insert(mark.time);
            draft.random_ids = random_ids;
            (draft.runtime, draft.loaded) = (runtime, loaded);
        }
    }

    /// Takes the better of what is known of the machine and of another look, for all cells that have not ended.
    fn look_again(&mut self, again: &Roofline) {
        let of_cells = self.entries.iter_mut().map(|entry| &mut entry.draft.loaded);
        for loaded in of_cells.chain([&mut self.loaded]).flatten() {
            loaded.roofline = loaded.roofline.take().map(|known| known.or_better(again));
        }
    }

    fn warn(&mut self, at: Option<usize>, text: String) {
        match (at.and_then(|at| self.entries.get_mut(at)), &mut self.last) {
            (Some(entry), _) => entry.draft.warnings.push(text),
            (None, Some((_, last))) => last.warnings.push(text),
            (None, None) => self.warnings.push(text),
        }
    }

    /// Puts the time since the last message down to a cell.
    fn charge(&mut self, at: usize) {
        let now = Mark::now();
        if let Some(entry) = self.entries.get_mut(at) {
            let since = now.instant.saturating_duration_since(self.mark.instant);
            entry.draft.spent = entry.draft.spent.saturating_add(since);
        }
        self.mark = now;
    }

    /// The cell to blame for the child's end: the one whose repetition ran last, else the next one to be prepared.
    pub(super) fn in_hand(&self) -> Option<usize> {
        let first = |wanted| self.entries.iter().position(|entry| entry.state == wanted);
        self.hand
            .filter(|at| self.is_open(*at))
            .or_else(|| first(State::Waiting))
            .or_else(|| first(State::Prepared))
    }

    /// Ends a cell, with all that was measured of it.
    pub(super) fn end_cell(&mut self, at: usize, verdict: Verdict) -> Option<(usize, Outcome)> {
        let began = self.mark.time;
        self.charge(at);
        let entry = self.entries.get_mut(at).filter(|entry| entry.state != State::Ended)?;
        entry.state = State::Ended;
        let mut draft = std::mem::take(&mut entry.draft);
        draft.started.get_or_insert(began);
        draft.runtime = self.runtime.clone().or(draft.runtime);
        draft.need = self.need.clone().or(draft.need);
        draft.configured = self.configured.clone().or(draft.configured);
        draft.loaded = draft.loaded.or_else(|| self.loaded.clone());
        draft.warnings = merged(&self.warnings, &draft.warnings);
        if self.hand == Some(at) {
            self.running = None;
        }
        self.stage = Stage::Prompt;
        Some((entry.cell, draft.end(verdict, SystemTime::now())))
    }

    /// The outcome of the last cell, once the child is gone.
    pub(super) fn take_last(&mut self) -> Option<(usize, Outcome)> {
        self.last.take()
    }

    /// The cells that have no outcome, with what was said of them.
    pub(super) fn into_rest(self) -> impl Iterator<Item = (usize, Draft)> {
        let Self { entries, warnings, .. } = self;
        let is_open = |entry: &Entry| entry.state != State::Ended;
        entries.into_iter().filter(is_open).map(move |entry| {
            let warnings = merged(&warnings, &entry.draft.warnings);
            (entry.cell, Draft { warnings, ..entry.draft })
        })
    }
}

/// The warnings of every cell, then its own; another child may have said the same.
fn merged(common: &[String], own: &[String]) -> Vec<String> {
    let own = own.iter().filter(|text| !common.contains(text));
    common.iter().chain(own).cloned().collect()
}
