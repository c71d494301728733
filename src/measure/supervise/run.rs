//! A request on its way to outcomes, by one child after another.

use std::{
    io,
    process::Command,
    time::{Instant, SystemTime},
};

use super::{
    FROZEN_AFTER, Isolation, LOOK_EVERY, Observer, Request,
    child::{Child, Line, Look},
    classify::End,
    draft::Draft,
    gone,
    ledger::{Entry, Ledger, State},
    memory, not_started, out_of_turn, understood,
};
use crate::measure::{
    message::{Job, Message},
    outcome::{Failure, Outcome, Skip, Stage, Verdict},
    worker,
};

/// A request on its way to outcomes.
pub(super) struct Run<'a> {
    request: &'a Request<'a>,
    observer: &'a mut dyn Observer,
    cells: Vec<Course>,
}

/// A cell on its way.
enum Course {
    Open(Draft),
    Ended(Outcome),
}

impl<'a> Run<'a> {
    pub(super) fn new(request: &'a Request<'a>, observer: &'a mut dyn Observer) -> Self {
        let cells = request.job.cells.iter().map(|_| Course::Open(Draft::default())).collect();
        Self { request, observer, cells }
    }

    /// Starts child after child; each leaves at least one outcome.
    pub(super) fn all(mut self, program: &mut dyn FnMut() -> io::Result<Command>) -> Vec<Outcome> {
        while !self.request.stop.is_asked() {
            self.skip_what_is_too_large();
            if self.open().next().is_none() {
                break;
            }
            let has_rested = self.cells.iter().all(|course| matches!(course, Course::Open(_)));
            if self.request.isolation == Isolation::Cell && !has_rested {
                self.request.stop.wait(self.request.cooldown);
            }
            self.one_child(program());
        }
        self.give_up();
        let ended = self.cells.into_iter().filter_map(|course| match course {
            Course::Ended(outcome) => Some(outcome),
            Course::Open(_) => None,
        });
        ended.collect()
    }

    /// The cells that have no outcome.
    fn open(&self) -> impl Iterator<Item = (usize, &Draft)> {
        self.cells.iter().enumerate().filter_map(|(cell, course)| match course {
            Course::Open(draft) => Some((cell, draft)),
            Course::Ended(_) => None,
        })
    }

    /// Skips what was not tried yet and is no smaller than what was too large.
    fn skip_what_is_too_large(&mut self) {
        let tasks = &self.request.job.cells;
        let ended = || {
            tasks.iter().zip(&self.cells).filter_map(|(task, course)| match course {
                Course::Ended(outcome) => Some((&task.cell, outcome)),
                Course::Open(_) => None,
            })
        };
        let blank = self.open().filter(|(_, draft)| draft.is_blank());
        let skips: Vec<_> = blank
            .filter_map(|(cell, _)| {
                Some((cell, memory::too_large(&tasks.get(cell)?.cell, ended())?))
            })
            .collect();
        for (cell, skip) in skips {
            self.finish(cell, Outcome::unbegun(Verdict::Skipped(skip), SystemTime::now()));
        }
    }

    /// Ends every cell that has no outcome, since somebody wanted an end.
    fn give_up(&mut self) {
        let open: Vec<_> = self.open().map(|(cell, draft)| (cell, draft.clone())).collect();
        for (cell, draft) in open {
            let verdict = if draft.started.is_some() {
                Verdict::Failed(Failure::interrupted(Stage::Prefill))
            } else {
                Verdict::Skipped(Skip {
                    kind: "interrupted".to_owned(),
                    reason: "an earlier cell was interrupted".to_owned(),
                })
            };
            self.finish(cell, draft.end(verdict, SystemTime::now()));
        }
    }

    fn finish(&mut self, cell: usize, outcome: Outcome) {
        self.observer.finished(cell, &outcome);
        if let Some(course) = self.cells.get_mut(cell) {
            *course = Course::Ended(outcome);
        }
    }

    /// What the next child is to do.
    fn entries(&self) -> Vec<Entry> {
        let most = match self.request.isolation {
            Isolation::Model => usize::MAX,
            Isolation::Cell => 1,
        };
        let entry = |(cell, draft): (usize, &Draft)| {
            let task = self.request.job.cells.get(cell)?;
            let (known, draft) = (draft.rest_of(task), draft.clone());
            Some(Entry {
                cell,
                task: known,
                before: draft.trials.len(),
                draft,
                state: State::Waiting,
            })
        };
        self.open().filter_map(entry).take(most).collect()
    }

    fn one_child(&mut self, program: io::Result<Command>) {
        let request = self.request;
        let entries = self.entries();
        let tasks = entries.iter().map(|entry| entry.task.clone()).collect();
        let job = Job { cells: tasks, ..request.job.clone() };
        let mut ledger = Ledger::new(entries);
        let child = program.and_then(|mut command| {
            let mut line = serde_json::to_vec(&job)?;
            line.push(b'\n');
            Child::start(command.arg(request.model), line)
        });
        match child {
            Ok(mut child) => {
                self.observer.child(Some(child.id()));
                let end = self.watch(&mut child, &mut ledger);
                self.settle(ledger, &end, || child.last_words());
                self.observer.child(None);
            }
            Err(error) => self.settle(ledger, &not_started(&error), Vec::new),
        }
    }

    /// Takes what `child` says until it is gone.
    fn watch(&mut self, child: &mut Child, ledger: &mut Ledger) -> End {
        let Request { stop, patience, .. } = *self.request;
        let mut through: Option<Instant> = None;
        let mut heard = Instant::now();
        let mut is_told = false;
        loop {
            let look = child.look(LOOK_EVERY);
            if matches!(look, Look::Said(_)) {
                heard = Instant::now();
            }
            let is_closed = matches!(look, Look::Closed);
            let end = match look {
                Look::Said(line) => self.hear(line, ledger).err(),
                Look::Gone(status) => Some(gone(status)),
                Look::Silent | Look::Closed => None,
            };
            if let Some(end) = end {
                child.kill();
                return end;
            }
            if is_closed || ledger.is_through() {
                through.get_or_insert_with(Instant::now);
            }
            if stop.is_asked() && !is_told {
                child.tell(worker::STOP);
                is_told = true;
            }
            let end = if stop.is_urgent() || stop.is_asked() && ledger.is_loading() {
                End::Interrupted
            } else if through.is_none() && ledger.moved().elapsed() >= patience.of(ledger.stage()) {
                let waited = patience.of(ledger.stage());
                End::TimedOut { waited, is_frozen: heard.elapsed() >= FROZEN_AFTER }
            } else if through.is_some_and(|through| through.elapsed() >= patience.cleanup) {
                End::Lingered(patience.cleanup)
            } else {
                continue;
            };
            child.kill();
            self.hear_out(child, ledger);
            return end;
        }
    }

    /// Takes what a killed child had said before.
    fn hear_out(&mut self, child: &mut Child, ledger: &mut Ledger) {
        while let Look::Said(line) = child.look(LOOK_EVERY) {
            if self.hear(line, ledger).is_err() {
                return; // Its end has a reason already.
            }
        }
    }

    fn hear(&mut self, line: Line, ledger: &mut Ledger) -> Result<(), End> {
        let message = understood(line)?;
        if let Message::Alive { stage } = message {
            ledger.live(stage);
            return Ok(());
        }
        let told = ledger.admit(&message).map_err(out_of_turn)?;
        self.observer.message(&told);
        if let Some((cell, outcome)) = ledger.enter(message) {
            self.finish(cell, outcome);
        }
        Ok(())
    }

    /// Finds the outcomes that a child's end decides, and keeps what it said of the other cells.
    fn settle(&mut self, mut ledger: Ledger, end: &End, last_words: impl FnOnce() -> Vec<String>) {
        if let Some((cell, last)) = ledger.take_last() {
            self.finish(cell, released(last, end, ledger.is_done(), last_words));
            return;
        }
        // One that could not go on says so and leaves; the next child does the rest.
        let has_left = ledger.is_done() && ledger.has_ended_any();
        if !has_left {
            self.blame(&mut ledger, end, last_words());
        }
        for (cell, draft) in ledger.into_rest() {
            if let Some(course) = self.cells.get_mut(cell) {
                *course = Course::Open(draft);
            }
        }
    }

    /// Fails the cell that the child had in hand; all, where it came to no load.
    fn blame(&mut self, ledger: &mut Ledger, end: &End, last_words: Vec<String>) {
        let failure = match ledger.load_failure() {
            Some(failure) => Failure { stderr: last_words, ..failure.clone() },
            None => end.failure(ledger.stage(), last_words),
        };
        let is_wanted = matches!(end, End::Interrupted) && ledger.load_failure().is_none();
        let fails_all = ledger.is_loading() && !is_wanted;
        while let Some(at) = ledger.in_hand() {
            let ended = ledger.end_cell(at, Verdict::Failed(failure.clone()));
            if let Some((cell, outcome)) = ended {
                self.finish(cell, outcome);
            }
            if !fails_all {
                return;
            }
        }
    }
}

/// The outcome of the last cell of a child that ended so.
fn released(
    mut outcome: Outcome,
    end: &End,
    is_done: bool,
    last_words: impl FnOnce() -> Vec<String>,
) -> Outcome {
    if end.is_clean() && is_done || matches!(end, End::Interrupted) {
        return outcome;
    }
    let is_death = !is_done && !matches!(end, End::Lingered(_));
    if outcome.verdict == Verdict::Measured && is_death {
        outcome.verdict = Verdict::Failed(end.failure(Stage::Cleanup, last_words()));
    } else {
        outcome.warnings.push(format!("after the last answer, {}", end.message()));
    }
    outcome
}
