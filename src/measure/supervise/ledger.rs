//! What one child has said so far: its messages become outcomes.

use std::{mem, time::SystemTime};

use thiserror::Error;

use crate::{
    measure::{
        message::{Loaded, Message, Runtime},
        outcome::{Failure, Outcome, Stage, Verdict},
        trial::Trial,
    },
    plan::{Cell, Need},
};

/// Keeps account of one child.
pub(super) struct Ledger<'a> {
    cells: &'a [Cell],
    /// The number of the first of them.
    first: usize,
    /// Cells that ended.
    ended: usize,
    /// When the cell in hand had its turn; at first, when the child was started.
    turn: SystemTime,
    runtime: Option<Runtime>,
    need: Option<Need>,
    loaded: Option<Loaded>,
    load_failure: Option<Failure>,
    is_done: bool,
    stage: Stage,
    /// Warnings of every cell.
    warnings: Vec<String>,
    draft: Draft,
    last: Option<Outcome>,
}

/// The cell in hand.
#[derive(Default)]
struct Draft {
    started: Option<SystemTime>,
    random_ids: bool,
    warmups: Vec<Trial>,
    trials: Vec<Trial>,
    warnings: Vec<String>,
}

/// A message that has no place where it came.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the child said `{0}` out of turn")]
pub(super) struct OutOfTurn(pub(super) &'static str);

impl<'a> Ledger<'a> {
    /// An account of a child that was just started for `cells`, the first of which is counted as `first`.
    pub(super) fn new(cells: &'a [Cell], first: usize, now: SystemTime) -> Self {
        Self {
            cells,
            first,
            ended: 0,
            turn: now,
            runtime: None,
            need: None,
            loaded: None,
            load_failure: None,
            is_done: false,
            stage: Stage::Load,
            warnings: Vec::new(),
            draft: Draft::default(),
            last: None,
        }
    }

    /// Where the child is.
    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    /// Cells that ended.
    pub(super) fn ended(&self) -> usize {
        self.ended
    }

    /// Whether every cell ended.
    pub(super) fn is_complete(&self) -> bool {
        self.ended == self.cells.len()
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

    /// Refuses a message that cannot come now.
    pub(super) fn admit(&self, message: &Message) -> Result<(), OutOfTurn> {
        if self.has_place_for(message) { Ok(()) } else { Err(OutOfTurn(message.name())) }
    }

    /// Enters a message that was admitted, and gives the outcome of the cell that it ends.
    ///
    /// The last cell's outcome is kept back for [`Self::take_last`], since the child still has to release the model.
    pub(super) fn enter(&mut self, message: Message, now: SystemTime) -> Option<Outcome> {
        let verdict = self.note(message, now)?;
        let outcome = self.end_cell(verdict, now);
        if self.is_complete() {
            self.stage = Stage::Cleanup;
            self.last = Some(outcome);
            return None;
        }
        Some(outcome)
    }

    fn has_place_for(&self, message: &Message) -> bool {
        let is_loaded = self.loaded.is_some();
        let is_begun = self.draft.started.is_some();
        let is_in_hand =
            |cell: &usize| is_loaded && *cell == self.first + self.ended && !self.is_complete();
        let is_open = !self.is_done && self.load_failure.is_none();
        is_open
            && match message {
                Message::Started { .. } => self.runtime.is_none(),
                Message::Predicted { .. } => self.runtime.is_some() && !is_loaded,
                Message::Loaded(_) => self.runtime.is_some() && !is_loaded,
                Message::LoadFailed { .. } => !is_loaded,
                Message::Warning { .. } => true,
                Message::CellStarted { cell, .. } => is_in_hand(cell) && !is_begun,
                Message::Prefilled { cell, .. }
                | Message::Decoded { cell, .. }
                | Message::Trial { cell, .. } => is_in_hand(cell) && is_begun,
                Message::CellDone { cell } => is_in_hand(cell) && self.has_every_repetition(),
                Message::CellSkipped { cell, .. } | Message::CellFailed { cell, .. } => {
                    is_in_hand(cell)
                }
                Message::Done { .. } => is_loaded && !is_begun,
            }
    }

    fn has_every_repetition(&self) -> bool {
        let Draft { warmups, trials, .. } = &self.draft;
        self.cells.get(self.ended).is_some_and(|cell| {
            (warmups.len(), trials.len()) == (cell.warmup as usize, cell.repetitions as usize)
        })
    }

    /// Notes what a message tells, and gives the verdict of the cell that it ends.
    fn note(&mut self, message: Message, now: SystemTime) -> Option<Verdict> {
        match message {
            Message::Started { runtime } => self.runtime = Some(runtime),
            Message::Predicted { need } => self.need = Some(need),
            Message::Loaded(loaded) => {
                self.loaded = Some(*loaded);
                self.turn = now;
                self.stage = Stage::Prompt;
            }
            Message::LoadFailed { failure } => self.load_failure = Some(failure),
            Message::Warning { text } => match (&mut self.last, &self.loaded) {
                (Some(last), _) => last.warnings.push(text),
                (None, Some(_)) => self.draft.warnings.push(text),
                (None, None) => self.warnings.push(text),
            },
            Message::CellStarted { random_ids, .. } => {
                self.draft.started = Some(now);
                self.draft.random_ids = random_ids;
                self.stage = Stage::Prefill;
            }
            Message::Prefilled { .. } => self.stage = Stage::Prefill,
            Message::Decoded { .. } => self.stage = Stage::Decode,
            Message::Trial { warmup, trial, .. } => {
                let trials = if warmup { &mut self.draft.warmups } else { &mut self.draft.trials };
                trials.push(*trial);
                self.stage = Stage::Prefill;
            }
            Message::Done { cleanup_us } => {
                self.is_done = true;
                if let Some(last) = &mut self.last {
                    last.cleanup_us = Some(cleanup_us);
                }
            }
            Message::CellDone { .. } => return Some(Verdict::Measured),
            Message::CellSkipped { skip, .. } => return Some(Verdict::Skipped(skip)),
            Message::CellFailed { failure, .. } => return Some(Verdict::Failed(failure)),
        }
        None
    }

    /// Ends the cell in hand, with all that was measured of it.
    pub(super) fn end_cell(&mut self, verdict: Verdict, now: SystemTime) -> Outcome {
        let draft = mem::take(&mut self.draft);
        let turn = mem::replace(&mut self.turn, now);
        self.ended += 1;
        self.stage = Stage::Prompt;
        Outcome {
            verdict,
            started: draft.started.unwrap_or(turn),
            ended: now,
            runtime: self.runtime.clone(),
            need: self.need.clone(),
            loaded: self.loaded.clone(),
            warmups: draft.warmups,
            trials: draft.trials,
            random_ids: draft.random_ids,
            cleanup_us: None,
            warnings: [self.warnings.clone(), draft.warnings].concat(),
        }
    }

    /// The outcome of the last cell, once the child is gone.
    pub(super) fn take_last(&mut self) -> Option<Outcome> {
        self.last.take()
    }
}
