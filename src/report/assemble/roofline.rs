//! What a cell made use of, and of what.

use super::{Context, figures::counted};
use crate::{
    measure::{
        outcome::Outcome,
        roofline::{Surroundings, Utilization, reasons, utilization},
    },
    plan::Cell,
    report::provenance::RooflineDetail,
};

pub(super) fn detail(context: &Context, cell: &Cell, outcome: &Outcome) -> Option<RooflineDetail> {
    let measured = outcome.loaded.as_ref()?.roofline.as_ref()?;
    let trials = counted(outcome);
    let Utilization { decode, prefill } = utilization(measured, trials);
    let around =
        Surroundings { host: &context.host, health: &context.health, conditions: &cell.conditions };
    let low_use = decode.as_ref().map(|decode| reasons(measured, decode, trials, around));
    Some(RooflineDetail {
        decode,
        prefill,
        low_use: low_use.unwrap_or_default(),
        measured: measured.clone(),
    })
}
