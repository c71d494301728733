//! What is said while a model is measured.

use super::{notes, printer::Printer};
use crate::{
    measure::{message::Message, outcome::Outcome, rates, trial::Trial},
    plan::{Cell, PlannedModel, Work},
};

/// Steps that measuring `models` takes, as they are counted here.
pub(super) fn steps(models: &[PlannedModel]) -> u64 {
    models.iter().flat_map(|model| &model.cells).map(repetitions).sum()
}

/// Follows one model.
pub(super) struct Progress<'a> {
    printer: &'a Printer,
    /// Which model of how many this is.
    heading: String,
    cells: &'a [Cell],
    /// Repetitions of the cell in hand that ended, warm-ups included.
    ended: u64,
}

impl<'a> Progress<'a> {
    pub(super) fn new(printer: &'a Printer, heading: String, cells: &'a [Cell]) -> Self {
        printer.flicker(format!("{heading}: loading"));
        Self { printer, heading, cells, ended: 0 }
    }

    /// Tells of what the child said.
    pub(super) fn message(&mut self, message: &Message) {
        match message {
            Message::Loaded(loaded) => {
                let seconds = loaded.load_us() as f64 / 1e6;
                self.step(&format!("loaded in {seconds:.2} s"));
            }
            Message::CellStarted { cell, .. } => {
                self.ended = 0;
                self.step(&self.cell(*cell));
            }
            Message::Prefilled { cell, tokens } => {
                self.flicker(&format!("{}, {tokens} tokens read", self.repetition(*cell)));
            }
            Message::Decoded { cell, tokens } => {
                self.flicker(&format!("{}, {tokens} tokens generated", self.repetition(*cell)));
            }
            Message::Trial { cell, trial, .. } => {
                self.step(&format!("{}{}", self.repetition(*cell), speed(trial)));
                self.ended += 1;
                self.printer.advance(1);
            }
            Message::Warning { text } => self.printer.warning(format!("{}: {text}", self.heading)),
            // Told when the outcome is known.
            Message::Started { .. }
            | Message::Predicted { .. }
            | Message::CellDone { .. }
            | Message::CellSkipped { .. }
            | Message::CellFailed { .. }
            | Message::LoadFailed { .. }
            | Message::Done { .. } => {}
        }
    }

    /// Tells how a cell ended.
    pub(super) fn finished(&mut self, cell: usize, outcome: &Outcome) {
        let name = self.cells.get(cell).map_or("", |cell| cell.work.scenario().name());
        self.step(&format!("{name} {}", notes::verdict(outcome)));
        let whole = self.cells.get(cell).map_or(0, repetitions);
        self.printer.advance(whole.saturating_sub(self.ended));
        self.ended = 0;
    }

    fn step(&self, what: &str) {
        self.printer.step(format!("{}: {what}", self.heading));
    }

    fn flicker(&self, what: &str) {
        self.printer.flicker(format!("{}: {what}", self.heading));
    }

    /// The cell, with its sizes.
    fn cell(&self, index: usize) -> String {
        match self.cells.get(index).map(|cell| &cell.work) {
            Some(Work::Throughput { prompt_tokens, generation_tokens }) => {
                format!("throughput, {prompt_tokens} tokens in, {generation_tokens} out")
            }
            Some(Work::Chat { max_tokens, .. }) => {
                format!("chat, at most {max_tokens} tokens out")
            }
            None => String::new(),
        }
    }

    /// The repetition in hand.
    fn repetition(&self, index: usize) -> String {
        let Some(cell) = self.cells.get(index) else {
            return String::new();
        };
        let name = cell.work.scenario().name();
        let warmup = u64::from(cell.warmup);
        match self.ended.checked_sub(warmup) {
            None => format!("{name}, warm-up {} of {warmup}", self.ended + 1),
            Some(measured) => {
                format!("{name}, repetition {} of {}", measured + 1, cell.repetitions)
            }
        }
    }
}

fn repetitions(cell: &Cell) -> u64 {
    u64::from(cell.warmup) + u64::from(cell.repetitions)
}

fn speed(trial: &Trial) -> String {
    rates::decode_rate(trial).map_or_else(String::new, |rate| format!(": {rate:.1} tokens/s"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::printer::Quiet;

    #[test]
    fn repetitions_are_counted_after_the_warm_ups() {
        let cells = [Cell {
            work: Work::Throughput { prompt_tokens: 64, generation_tokens: 32 },
            warmup: 1,
            repetitions: 2,
        }];
        let printer = Printer::new(Quiet::Yes);
        let mut progress = Progress::new(&printer, "[1/1] tiny".to_owned(), &cells);
        assert_eq!(progress.cell(0), "throughput, 64 tokens in, 32 out");
        assert_eq!(progress.repetition(0), "throughput, warm-up 1 of 1");
        progress.ended = 1;
        assert_eq!(progress.repetition(0), "throughput, repetition 1 of 2");
        progress.ended = 2;
        assert_eq!(progress.repetition(0), "throughput, repetition 2 of 2");
        assert_eq!(repetitions(&cells[0]), 3);
    }
}
