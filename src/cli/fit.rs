//! Whether the machine is fit for a run: judged before anything is measured, and said where it is not.

use super::{Exit, campaign::View, notes, printer::Printer};
use crate::host::{
    self, Health, Host, Probe,
    fitness::{Fitness, Grade, fitness},
};

/// The machine of a run.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    host: Host,
    fitness: Fitness,
    /// Whether somebody asked for a grade, and so wants to read of it beside the figures.
    was_asked: bool,
}

/// The machine, unless its grade is worse than `required`.
///
/// How steadily it runs is tried only where a grade is required: that takes two seconds and a busy core, which a run that
/// asks for nothing should not pay. The rules that need it are then not judged, and the report says so.
pub(super) fn machine(required: Option<Grade>, printer: &Printer) -> Result<Machine, Exit> {
    // Before anything that this program starts is work itself.
    let health = Health::now();
    let probe = match required {
        Some(_) => Probe::whole(Probe::LENGTH),
        None => Probe::brief(),
    };
    let host = host::survey();
    let fitness = fitness(&host, &health, &probe);
    if let Some(required) = required.filter(|required| fitness.grade > *required) {
        let hint = "`mlxk-harness system` tells all that is looked at";
        printer.error(refusal(&fitness, required), Some(hint));
        return Err(Exit::Unfit);
    }
    Ok(Machine { host, fitness, was_asked: required.is_some() })
}

impl Machine {
    /// The machine as a report tells of it, with its fitness.
    pub(super) fn host(&self) -> Host {
        Host { fitness: Some(self.fitness.clone()), ..self.host.clone() }
    }

    /// Says above the table how fit the machine was, where a grade was asked for.
    pub(super) fn tell(&self, view: View, printer: &Printer) {
        if self.was_asked && view == View::Table {
            printer.data(&notes::grade(&self.fitness));
        }
    }

    /// Says what speaks against the figures of a run that asked for no grade, where that is more than a little.
    pub(super) fn warn(&self, printer: &Printer) {
        let Fitness { grade, .. } = self.fitness;
        if !self.was_asked && grade > Grade::B {
            let faults = faults(&self.fitness, Grade::B);
            printer.warning(format!("this machine is of grade {grade} for timing: {faults}"));
        }
    }
}

/// Everything that must change before the machine is of grade `required`.
fn refusal(fitness: &Fitness, required: Grade) -> String {
    let faults = faults(fitness, required);
    format!("this machine is of grade {} for timing, not {required}: {faults}", fitness.grade)
}

/// What leaves a worse grade than `wanted` at best.
fn faults(fitness: &Fitness, wanted: Grade) -> String {
    let faults = fitness.reasons.iter().filter(|reason| reason.grade > wanted);
    faults.map(|reason| reason.text.as_str()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fitness::Reason;

    #[test]
    fn a_refusal_names_what_stands_in_the_way_and_nothing_else() {
        let reason = |grade, text: &str| Reason { grade, rule: "a_rule", text: text.to_owned() };
        let reasons = vec![
            reason(Grade::D, "it is slow"),
            reason(Grade::C, "it is hot"),
            reason(Grade::B, "it is late"),
        ];
        let fitness = Fitness { grade: Grade::D, reasons, not_judged: Vec::new() };
        let expected = "this machine is of grade D for timing, not B: it is slow; it is hot";
        assert_eq!(refusal(&fitness, Grade::B), expected);
    }
}
