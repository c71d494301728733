//! Brings the models of a run here: all of them before the first is measured, or each while the one before it is.

use std::{
    sync::{atomic::AtomicU64, mpsc},
    thread,
};

use super::{downloads::Bars, line::Line, printer::Printer};
use crate::{
    hub::{self, HubError, Network, Provided},
    measure::Stop,
    plan::{Plan, PlannedModel, Source},
};

/// When models are fetched that are not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// All of them before the first is measured: nothing else runs while a clock does.
    Before,
    /// Each while the one before it is measured.
    Beside,
}

/// What was found of a model: nothing where it is none of the hub.
pub(super) type Found = Result<Option<Provided>, HubError>;

/// Brings the models of a run here.
pub(super) struct Fetching<'a> {
    pub(super) printer: &'a Printer,
    pub(super) stop: &'a Stop,
    /// Counts the bytes that came.
    pub(super) received: &'a AtomicU64,
}

impl Fetching<'_> {
    /// Gives `measure` what was found of each model of `plan`, in their order.
    pub(super) fn run(
        &self,
        plan: &Plan,
        network: Network,
        order: Order,
        measure: impl FnOnce(&mut dyn Iterator<Item = Found>),
    ) {
        let mut line = Line::new(network);
        let mut each = plan.models.iter().map(move |model| self.provide(model, &mut line));
        match order {
            Order::Before => measure(&mut each.collect::<Vec<_>>().into_iter()),
            Order::Beside => thread::scope(|scope| {
                // Without room: what is sent is being measured, and only the next one is fetched.
                let (sender, receiver) = mpsc::sync_channel(0);
                scope.spawn(move || each.try_for_each(|found| sender.send(found)));
                measure(&mut receiver.into_iter());
            }),
        }
    }

    fn provide(&self, model: &PlannedModel, line: &mut Line) -> Found {
        let Source::Hub(reference) = &model.source else {
            return Ok(None);
        };
        if self.stop.is_asked() {
            return Err(HubError::Interrupted);
        }
        let bars = Bars::new(self.printer, &model.label, Some(self.stop)).counting(self.received);
        line.ask(|network| hub::provide(reference, network, &bars)).map(Some)
    }
}
