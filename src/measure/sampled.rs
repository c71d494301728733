//! What happens to a model becomes events of the sampler that looks at the machine meanwhile.

use super::{
    message::Message,
    outcome::{Outcome, Verdict},
    supervise::Observer,
};
use crate::{
    host::sampler::{Event, Sampler},
    plan::Cell,
};

/// An observer that tells a sampler what happens, and then another observer.
///
/// The events, in the order in which they may come:
///
/// | event | when |
/// | --- | --- |
/// | `child_start` | the child process lives, and is watched |
/// | `load` | MLX answered; the model is read |
/// | `loaded`, `load_failed` | it is in memory, or never will be |
/// | `cell` | a cell is prepared: each of the model, before the first repetition |
/// | `prefill` | a repetition begins, and reads its prompt |
/// | `decode` | it has its first token |
/// | `repetition_end` | it has its last token |
/// | `cell_end` | the cell has its outcome: `passed`, `skipped` or `failed` |
/// | `unload` | weights and buffers are released |
/// | `child_end` | the child process is gone |
///
/// An event has the time at which the parent heard of it.
pub struct Sampled<'a> {
    sampler: Option<&'a Sampler>,
    phases: Phases<'a>,
    inner: &'a mut dyn Observer,
}

impl<'a> Sampled<'a> {
    /// Tells `sampler`, where there is one, of the `cells` of `model`, and `inner` of everything.
    pub fn new(
        sampler: Option<&'a Sampler>,
        model: &'a str,
        cells: &'a [Cell],
        inner: &'a mut dyn Observer,
    ) -> Self {
        Self { sampler, phases: Phases::new(model, cells), inner }
    }

    fn note(&self, events: Vec<Event>) {
        if let Some(sampler) = self.sampler {
            for event in events {
                sampler.note(event);
            }
        }
    }
}

impl Observer for Sampled<'_> {
    fn child(&mut self, id: Option<u32>) {
        if let Some(sampler) = self.sampler {
            sampler.watch(id);
        }
        self.note(vec![self.phases.event(if id.is_some() { "child_start" } else { "child_end" })]);
        self.inner.child(id);
    }

    fn message(&mut self, message: &Message) {
        let events = self.phases.message(message);
        self.note(events);
        self.inner.message(message);
    }

    fn finished(&mut self, cell: usize, outcome: &Outcome) {
        let events = self.phases.finished(cell, &outcome.verdict);
        self.note(events);
        self.inner.finished(cell, outcome);
    }
}

/// Which phase a model is in, by what its child says.
struct Phases<'a> {
    model: &'a str,
    cells: &'a [Cell],
    /// Cells that began and have not ended.
    begun: Vec<usize>,
    in_hand: Option<InHand>,
}

/// A repetition on its way.
#[derive(Clone, Copy)]
struct InHand {
    cell: usize,
    warmup: bool,
    number: u32,
    /// Whether it has its first token.
    decodes: bool,
}

impl<'a> Phases<'a> {
    fn new(model: &'a str, cells: &'a [Cell]) -> Self {
        Self { model, cells, begun: Vec::new(), in_hand: None }
    }

    fn message(&mut self, message: &Message) -> Vec<Event> {
        match *message {
            Message::Started { .. } => vec![self.event("load")],
            Message::Loaded(_) => vec![self.event("loaded")],
            Message::LoadFailed { .. } => vec![self.event("load_failed")],
            Message::CellStarted { cell, .. } => self.begin(cell),
            Message::TrialStarted { cell, warmup, number } => {
                let in_hand = InHand { cell, warmup, number, decodes: false };
                self.in_hand = Some(in_hand);
                vec![self.of_repetition("prefill", in_hand)]
            }
            Message::Decoded { .. } => self.decode(),
            Message::Trial { .. } | Message::Answered { .. } | Message::Throttled { .. } => {
                let ended = self.in_hand.take();
                ended.map(|ended| self.of_repetition("repetition_end", ended)).into_iter().collect()
            }
            Message::CellDone { cell } => self.end(cell, "passed"),
            Message::CellSkipped { cell, .. } => self.end(cell, "skipped"),
            Message::CellFailed { cell, .. } => self.end(cell, "failed"),
            Message::Done { .. } => vec![self.event("unload")],
            Message::Alive { .. }
            | Message::Found { .. }
            | Message::Predicted { .. }
            | Message::Configured { .. }
            | Message::Prefilled { .. }
            | Message::Warning { .. } => Vec::new(),
        }
    }

    /// A cell whose child could not say so has ended too.
    fn finished(&mut self, cell: usize, verdict: &Verdict) -> Vec<Event> {
        if !self.begun.contains(&cell) {
            return Vec::new();
        }
        self.end(
            cell,
            match verdict {
                Verdict::Measured => "passed",
                Verdict::Skipped(_) => "skipped",
                Verdict::Failed(_) => "failed",
            },
        )
    }

    /// A cell that another child goes on with does not begin again.
    fn begin(&mut self, cell: usize) -> Vec<Event> {
        if self.begun.contains(&cell) {
            return Vec::new();
        }
        self.begun.push(cell);
        vec![self.of_cell("cell", cell)]
    }

    fn decode(&mut self) -> Vec<Event> {
        let Some(in_hand) = self.in_hand.as_mut().filter(|in_hand| !in_hand.decodes) else {
            return Vec::new();
        };
        in_hand.decodes = true;
        let in_hand = *in_hand;
        vec![self.of_repetition("decode", in_hand)]
    }

    fn end(&mut self, cell: usize, outcome: &'static str) -> Vec<Event> {
        self.begun.retain(|begun| *begun != cell);
        self.in_hand = self.in_hand.filter(|in_hand| in_hand.cell != cell);
        vec![Event { outcome: Some(outcome), ..self.of_cell("cell_end", cell) }]
    }

    fn event(&self, event: &'static str) -> Event {
        Event { event, model: Some(self.model.to_owned()), ..Event::default() }
    }

    fn of_cell(&self, event: &'static str, cell: usize) -> Event {
        let scenario = self.cells.get(cell).map(|cell| cell.work.scenario().name());
        Event { cell: Some(cell), scenario, ..self.event(event) }
    }

    fn of_repetition(&self, event: &'static str, in_hand: InHand) -> Event {
        let InHand { cell, warmup, number, .. } = in_hand;
        Event { repetition: Some(number), warmup: Some(warmup), ..self.of_cell(event, cell) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{
        message::Runtime,
        outcome::{Failure, Stage},
        trial::Trial,
    };

    fn cells() -> Vec<Cell> {
        vec![Cell::throughput([8, 4], 1, 1); 2]
    }

    fn started() -> Message {
        Message::Started {
            runtime: Runtime {
                mlx_version: "0".to_owned(),
                mlx_rs_version: "0".to_owned(),
                device: "cpu".to_owned(),
                device_name: None,
                working_set_bytes: None,
            },
        }
    }

    fn turn(cell: usize, warmup: bool) -> Message {
        Message::TrialStarted { cell, warmup, number: 1 }
    }

    fn trial(cell: usize, warmup: bool) -> Message {
        Message::Trial { cell, warmup, trial: Box::new(Trial::with_stamps(vec![1, 2])) }
    }

    /// An event in a few words.
    fn brief(event: &Event) -> String {
        let cell = event.cell.map_or_else(String::new, |cell| format!(" of {cell}"));
        let repetition = event.repetition.map_or_else(String::new, |number| {
            let kind = if event.warmup == Some(true) { "warm-up" } else { "repetition" };
            format!(", {kind} {number}")
        });
        let outcome = event.outcome.map_or_else(String::new, |outcome| format!(": {outcome}"));
        format!("{}{cell}{repetition}{outcome}", event.event)
    }

    #[test]
    fn cells_go_through_their_phases() {
        let cells = cells();
        let mut phases = Phases::new("m", &cells);
        let messages = [
            started(),
            Message::CellStarted { cell: 0, random_ids: true, packed: None },
            Message::CellStarted { cell: 1, random_ids: true, packed: None },
            turn(0, true),
            Message::Prefilled { cell: 0, tokens: 7 },
            Message::Decoded { cell: 0, tokens: 1 },
            Message::Decoded { cell: 0, tokens: 3 },
            trial(0, true),
            turn(0, false),
            Message::Decoded { cell: 0, tokens: 1 },
            trial(0, false),
            Message::CellDone { cell: 0 },
            turn(1, false),
            Message::Decoded { cell: 1, tokens: 1 },
            trial(1, false),
            Message::CellDone { cell: 1 },
            Message::Done { cleanup_us: 1 },
        ];
        let events: Vec<_> = messages.iter().flat_map(|message| phases.message(message)).collect();
        assert_eq!(
            events.iter().map(brief).collect::<Vec<_>>(),
            [
                "load",
                "cell of 0",
                "cell of 1",
                "prefill of 0, warm-up 1",
                "decode of 0, warm-up 1",
                "repetition_end of 0, warm-up 1",
                "prefill of 0, repetition 1",
                "decode of 0, repetition 1",
                "repetition_end of 0, repetition 1",
                "cell_end of 0: passed",
                "prefill of 1, repetition 1",
                "decode of 1, repetition 1",
                "repetition_end of 1, repetition 1",
                "cell_end of 1: passed",
                "unload",
            ]
        );
        assert!(phases.finished(0, &Verdict::Measured).is_empty(), "its child said so");
    }

    #[test]
    fn a_cell_whose_child_died_ends_with_its_outcome() {
        let cells = cells();
        let mut phases = Phases::new("m", &cells);
        phases.message(&Message::CellStarted { cell: 1, random_ids: true, packed: None });
        let failure = Failure::new(Stage::Decode, "sigkill", "it was killed");
        let verdict = Verdict::Failed(failure);
        assert!(phases.finished(0, &verdict).is_empty(), "it never began");
        let events = phases.finished(1, &verdict);
        assert_eq!(events.iter().map(brief).collect::<Vec<_>>(), ["cell_end of 1: failed"]);
    }
}
