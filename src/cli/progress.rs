//! What is said while a model is measured.

use super::{notes, printer::Printer};
use crate::{
    measure::{message::Message, outcome::Outcome, rates, trial::Trial},
    plan::{Cell, PlannedModel, STOP_PROMPTS, Work, stop_samplings},
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
    /// Steps that were counted, by cell.
    ended: Vec<u64>,
    /// The repetition in hand: whether it is a warm-up, and which of the cell's.
    turn: (bool, u32),
}

impl<'a> Progress<'a> {
    pub(super) fn new(printer: &'a Printer, heading: String, cells: &'a [Cell]) -> Self {
        printer.flicker(format!("{heading}: loading"));
        Self { printer, heading, cells, ended: vec![0; cells.len()], turn: (true, 1) }
    }

    /// Tells of what the child said.
    pub(super) fn message(&mut self, message: &Message) {
        match message {
            Message::Loaded(loaded) => {
                let seconds = loaded.load_us() as f64 / 1e6;
                self.step(&format!("loaded in {seconds:.2} s"));
            }
            Message::CellStarted { cell, .. } => self.step(&self.cell(*cell)),
            Message::TrialStarted { cell, warmup, number } => {
                self.turn = (*warmup, *number);
                self.flicker(&self.repetition(*cell));
            }
            Message::Prefilled { cell, tokens } => {
                self.flicker(&format!("{}, {tokens} tokens read", self.repetition(*cell)));
            }
            Message::Decoded { cell, tokens } => {
                self.flicker(&format!("{}, {tokens} tokens generated", self.repetition(*cell)));
            }
            Message::Trial { cell, trial, .. } => {
                self.step(&format!("{}{}", self.repetition(*cell), speed(trial)));
                self.advance(*cell, 1);
            }
            Message::Throttled { cell } => {
                let repetition = self.repetition(*cell);
                self.flicker(&format!(
                    "{repetition}: the device is slow, waiting to measure again"
                ));
            }
            Message::Answered { cell, .. } => {
                self.flicker(&self.repetition(*cell));
                self.advance(*cell, 1);
            }
            Message::Warning { text, .. } => {
                self.printer.warning(format!("{}: {text}", self.heading));
            }
            // Told when the outcome is known.
            Message::Started { .. }
            | Message::Found { .. }
            | Message::Alive { .. }
            | Message::Predicted { .. }
            | Message::Configured { .. }
            | Message::CellDone { .. }
            | Message::CellSkipped { .. }
            | Message::CellFailed { .. }
            | Message::LoadFailed { .. }
            | Message::Done { .. } => {}
        }
    }

    /// Tells how a cell ended.
    pub(super) fn finished(&mut self, cell: usize, outcome: &Outcome) {
        let name = self.name(cell);
        self.step(&format!("{name} {}", notes::verdict(outcome)));
        self.advance(cell, u64::MAX);
    }

    /// Counts so many steps of a cell, but no more than were announced.
    fn advance(&mut self, cell: usize, steps: u64) {
        let whole = self.cells.get(cell).map_or(0, repetitions);
        if let Some(ended) = self.ended.get_mut(cell) {
            let steps = steps.min(whole.saturating_sub(*ended));
            *ended += steps;
            self.printer.advance(steps);
        }
    }

    fn step(&self, what: &str) {
        self.printer.step(format!("{}: {what}", self.heading));
    }

    fn flicker(&self, what: &str) {
        self.printer.flicker(format!("{}: {what}", self.heading));
    }

    fn name(&self, index: usize) -> String {
        self.cells.get(index).map_or_else(String::new, |cell| cell.name_among(self.cells.iter()))
    }

    /// The cell, with its sizes.
    fn cell(&self, index: usize) -> String {
        let name = self.name(index);
        match self.cells.get(index).map(|cell| &cell.work) {
            Some(Work::Throughput { prompt_tokens, generation_tokens }) => {
                format!("{name}, {prompt_tokens} tokens in, {generation_tokens} out")
            }
            Some(Work::Chat { max_tokens, .. }) => {
                format!("{name}, at most {max_tokens} tokens out")
            }
            Some(Work::Stop { max_tokens, .. }) => {
                format!("stop, at most {max_tokens} tokens out")
            }
            None => String::new(),
        }
    }

    /// The repetition in hand.
    fn repetition(&self, index: usize) -> String {
        let Some(cell) = self.cells.get(index) else {
            return String::new();
        };
        let name = self.name(index);
        match self.turn {
            (_, number) if is_untimed(cell) => {
                format!("{name}, prompt {number} of {}", repetitions(cell))
            }
            (true, number) => format!("{name}, warm-up {number}"),
            (false, number) => format!("{name}, repetition {number} of {}", cell.repetitions),
        }
    }
}

fn repetitions(cell: &Cell) -> u64 {
    if is_untimed(cell) {
        return (STOP_PROMPTS.len() * stop_samplings().len()) as u64;
    }
    u64::from(cell.warmup) + u64::from(cell.repetitions)
}

fn is_untimed(cell: &Cell) -> bool {
    matches!(cell.work, Work::Stop { .. })
}

fn speed(trial: &Trial) -> String {
    rates::decode_rate(trial).map_or_else(String::new, |rate| format!(": {rate:.1} tokens/s"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::printer::Quiet;

    #[test]
    fn repetitions_are_named_as_the_child_counts_them() {
        let cells = [Cell::throughput([64, 32], 1, 2)];
        let printer = Printer::new(Quiet::Yes);
        let mut progress = Progress::new(&printer, "[1/1] tiny".to_owned(), &cells);
        assert_eq!(progress.cell(0), "throughput, 64 tokens in, 32 out");
        for (warmup, number, expected) in [
            (true, 1, "throughput, warm-up 1"),
            (false, 1, "throughput, repetition 1 of 2"),
            (false, 2, "throughput, repetition 2 of 2"),
        ] {
            progress.message(&Message::TrialStarted { cell: 0, warmup, number });
            assert_eq!(progress.repetition(0), expected);
        }
        progress.advance(0, 2);
        progress.advance(0, 2);
        assert_eq!(progress.ended, [3], "more warm-ups than were announced are no steps");
        assert_eq!(repetitions(&cells[0]), 3);
    }
}
