//! How much longer a script takes than it says: a device that is hot, and one that idled.

use std::time::Duration;

/// Doing nothing for so long is to idle, in microseconds.
const IDLE_US: u64 = 100_000;

/// A device that becomes hot and cools down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heat {
    /// From this request on, counted from 1.
    pub(super) from: u32,
    /// How many times as long all takes.
    pub(super) factor: f64,
    /// Until it rested for so long.
    pub(super) rest: Duration,
}

/// What a script's device is like, and how it is now.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    /// What the fixed piece of work takes.
    pub(super) canary: Duration,
    pub(super) heat: Option<Heat>,
    /// How many times as long the first request takes after the device idled.
    pub(super) idle: Option<f64>,
    /// When it worked last.
    worked_us: u64,
    requests: u32,
    /// Time for which it rested since it became hot.
    rested: Duration,
    has_idled: bool,
}

impl Pace {
    /// A request begins at `now_us`: how many times as long it takes.
    pub(super) fn request(&mut self, now_us: u64) -> f64 {
        self.requests += 1;
        let heat = self.canary(now_us);
        let has_idled = std::mem::take(&mut self.has_idled);
        heat * self.idle.filter(|_| has_idled).unwrap_or(1.0)
    }

    /// The same of the fixed piece of work, which does not make good for an idle time.
    pub(super) fn canary(&mut self, now_us: u64) -> f64 {
        let rest_us = now_us - self.worked_us;
        self.has_idled |= rest_us > IDLE_US;
        let Some(heat) = self.heat.filter(|heat| self.requests >= heat.from) else {
            return 1.0;
        };
        self.rested = self.rested.saturating_add(Duration::from_micros(rest_us));
        if self.rested < heat.rest { heat.factor } else { 1.0 }
    }

    /// Something was done until `now_us`.
    pub(super) fn worked(&mut self, now_us: u64) {
        self.worked_us = now_us;
    }
}
