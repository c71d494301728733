//! Another look at model and machine, where tokens came faster than the first one allows for: a neighbour may have kept
//! the machine busy then, and what is honest must not fail for it.

use std::io;

use super::rounds::Rounds;
use crate::measure::{
    engine::Engine,
    findings::Finding,
    message::Message,
    roofline::{PackedRows, Roofline, deserves_another_look},
    trial::Trial,
};

/// What a child measured, and what the machine was seen to give.
pub(super) struct Doubts {
    /// With the demand of no cell in particular; none where nothing is known of the machine.
    roofline: Option<Roofline>,
    cells: Vec<Measured>,
}

/// What was measured of a cell.
#[derive(Clone, Default)]
struct Measured {
    packed: Option<PackedRows>,
    depth: u64,
    trials: Vec<Trial>,
}

impl Doubts {
    pub(super) fn new(roofline: Option<Roofline>, cells: usize) -> Self {
        Self { roofline, cells: vec![Measured::default(); cells] }
    }

    /// Notes what the demand of a cell has of its own.
    pub(super) fn prepare(&mut self, cell: usize, packed: Option<PackedRows>, depth: u32) {
        if let Some(measured) = self.cells.get_mut(cell) {
            (measured.packed, measured.depth) = (packed, u64::from(depth));
        }
    }

    /// Notes a repetition that counts.
    pub(super) fn note(&mut self, cell: usize, trial: &Trial) {
        if let (Some(measured), Some(_)) = (self.cells.get_mut(cell), &self.roofline) {
            measured.trials.push(trial.clone());
        }
    }

    /// Whether half of a cell's repetitions or more are beyond what the machine was seen to give.
    fn deserves_another_look(&self, cell: usize) -> bool {
        let (Some(roofline), Some(measured)) = (&self.roofline, self.cells.get(cell)) else {
            return false;
        };
        let Measured { packed, depth, trials } = measured;
        let mut roofline = roofline.clone();
        (roofline.demand.packed, roofline.demand.depth) = (packed.clone(), *depth);
        let beyond = trials.iter().filter(|trial| deserves_another_look(&roofline, trial)).count();
        beyond > 0 && beyond * 2 >= trials.len()
    }
}

impl Rounds<'_, '_> {
    /// Looks again where the repetitions of `cell`, which are all measured, give a reason to, and tells what was found;
    /// what was known stands where that fails.
    pub(super) fn look_again(&mut self, cell: usize, engine: &mut dyn Engine) -> io::Result<()> {
        if !self.doubts.deserves_another_look(cell) {
            return Ok(());
        }
        match engine.roofline() {
            Ok(None) => Ok(()),
            Ok(Some(again)) => {
                let known = self.doubts.roofline.take();
                self.doubts.roofline = known.map(|known| known.or_better(&again));
                let finding = Finding::Roofline(Box::new(again));
                self.parent.tell(&Message::Found { cell, finding })
            }
            Err(error) => {
                let text = format!("the ceilings of this machine were measured once only: {error}");
                self.parent.tell(&Message::Warning { cell: Some(cell), text })
            }
        }
    }
}
