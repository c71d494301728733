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
/// | `cell` | a cell begins |
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
        Self { sampler, phases: Phases { model, cells, in_hand: None }, inner }
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
    in_hand: Option<InHand>,
}

/// A cell on its way.
struct InHand {
    cell: usize,
    /// Repetitions that ended, warm-ups included.
    ended: u32,
    /// Whether the repetition in hand has its first token.
    decodes: bool,
}

impl Phases<'_> {
    fn message(&mut self, message: &Message) -> Vec<Event> {
        match message {
            Message::Started { .. } => vec![self.event("load")],
            Message::Loaded(_) => vec![self.event("loaded")],
            Message::LoadFailed { .. } => vec![self.event("load_failed")],
            Message::CellStarted { cell, .. } => self.begin(*cell),
            Message::Decoded { .. } => self.decode(),
            Message::Trial { .. } => self.end_repetition(),
            Message::CellDone { cell } => self.end(*cell, "passed"),
            Message::CellSkipped { cell, .. } => self.end(*cell, "skipped"),
            Message::CellFailed { cell, .. } => self.end(*cell, "failed"),
            Message::Done { .. } => vec![self.event("unload")],
            Message::Predicted { .. } | Message::Prefilled { .. } | Message::Warning { .. } => {
                Vec::new()
            }
        }
    }

    /// A cell whose child could not say so has ended too.
    fn finished(&mut self, cell: usize, verdict: &Verdict) -> Vec<Event> {
        if self.in_hand.as_ref().is_none_or(|in_hand| in_hand.cell != cell) {
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

    fn begin(&mut self, cell: usize) -> Vec<Event> {
        self.in_hand = Some(InHand { cell, ended: 0, decodes: false });
        let mut events = vec![self.of_cell("cell", cell)];
        events.extend(self.of_repetition("prefill"));
        events
    }

    fn decode(&mut self) -> Vec<Event> {
        let is_first = |in_hand: &mut InHand| !std::mem::replace(&mut in_hand.decodes, true);
        if self.in_hand.as_mut().is_some_and(is_first) {
            self.of_repetition("decode").into_iter().collect()
        } else {
            Vec::new()
        }
    }

    fn end_repetition(&mut self) -> Vec<Event> {
        let mut events: Vec<_> = self.of_repetition("repetition_end").into_iter().collect();
        if let Some(in_hand) = &mut self.in_hand {
            *in_hand = InHand { cell: in_hand.cell, ended: in_hand.ended + 1, decodes: false };
        }
        events.extend(self.of_repetition("prefill"));
        events
    }

    fn end(&mut self, cell: usize, outcome: &'static str) -> Vec<Event> {
        self.in_hand = None;
        vec![Event { outcome: Some(outcome), ..self.of_cell("cell_end", cell) }]
    }

    fn event(&self, event: &'static str) -> Event {
        Event { event, model: Some(self.model.to_owned()), ..Event::default() }
    }

    fn of_cell(&self, event: &'static str, cell: usize) -> Event {
        let scenario = self.cells.get(cell).map(|cell| cell.work.scenario().name());
        Event { cell: Some(cell), scenario, ..self.event(event) }
    }

    /// An event of the repetition in hand, where there is one more.
    fn of_repetition(&self, event: &'static str) -> Option<Event> {
        let &InHand { cell, ended, .. } = self.in_hand.as_ref()?;
        let &Cell { warmup, repetitions, .. } = self.cells.get(cell)?;
        let (is_warmup, before) = match ended.checked_sub(warmup) {
            None => (true, ended),
            Some(measured) if measured < repetitions => (false, measured),
            Some(_) => return None,
        };
        Some(Event {
            repetition: Some(before + 1),
            warmup: Some(is_warmup),
            ..self.of_cell(event, cell)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        measure::{
            message::Runtime,
            outcome::{Failure, Stage},
            trial::Trial,
        },
        plan::Work,
    };

    fn cells() -> Vec<Cell> {
        let work = Work::Throughput { prompt_tokens: 8, generation_tokens: 4 };
        vec![Cell { work, warmup: 1, repetitions: 1 }; 2]
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
    fn a_cell_goes_through_its_phases() {
        let cells = cells();
        let mut phases = Phases { model: "m", cells: &cells, in_hand: None };
        let messages = [
            started(),
            Message::CellStarted { cell: 0, random_ids: true },
            Message::Prefilled { cell: 0, tokens: 7 },
            Message::Decoded { cell: 0, tokens: 1 },
            Message::Decoded { cell: 0, tokens: 3 },
            trial(0, true),
            Message::Decoded { cell: 0, tokens: 1 },
            trial(0, false),
            Message::CellDone { cell: 0 },
            Message::Done { cleanup_us: 1 },
        ];
        let events: Vec<_> = messages.iter().flat_map(|message| phases.message(message)).collect();
        assert_eq!(
            events.iter().map(brief).collect::<Vec<_>>(),
            [
                "load",
                "cell of 0",
                "prefill of 0, warm-up 1",
                "decode of 0, warm-up 1",
                "repetition_end of 0, warm-up 1",
                "prefill of 0, repetition 1",
                "decode of 0, repetition 1",
                "repetition_end of 0, repetition 1",
                "cell_end of 0: passed",
                "unload",
            ]
        );
        assert!(phases.finished(0, &Verdict::Measured).is_empty(), "its child said so");
    }

    #[test]
    fn a_cell_whose_child_died_ends_with_its_outcome() {
        let cells = cells();
        let mut phases = Phases { model: "m", cells: &cells, in_hand: None };
        phases.message(&Message::CellStarted { cell: 1, random_ids: true });
        let failure = Failure::new(Stage::Decode, "sigkill", "it was killed");
        let verdict = Verdict::Failed(failure);
        assert!(phases.finished(0, &verdict).is_empty(), "it never began");
        let events = phases.finished(1, &verdict);
        assert_eq!(events.iter().map(brief).collect::<Vec<_>>(), ["cell_end of 1: failed"]);
    }
}
