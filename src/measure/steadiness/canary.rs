//! A small piece of work that is always the same: its time tells how fast the device is now.

use serde::{Deserialize, Serialize};

use crate::measure::{
    clock::Clock,
    engine::{Engine, EngineError},
};

/// A device is slow that takes this much longer than at its best, as a part of it.
const SLOW: f64 = 0.15;

/// Of so many in a row the fastest counts, since anything but the device can only add time.
const RUNS: u32 = 3;

/// What the canary took after a repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// Microseconds that it took.
    pub us: u64,
    /// Microseconds that it took at its best until then, in the same child.
    pub best_us: u64,
}

impl Canary {
    /// Whether the device was more than 15 % slower than at its best.
    pub fn is_slow(self) -> bool {
        self.us.saturating_sub(self.best_us) as f64 > self.best_us as f64 * SLOW
    }
}

/// How fast the device was at its best.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    best_us: Option<u64>,
}

impl Pace {
    /// Whether nothing is known yet.
    pub fn is_unknown(self) -> bool {
        self.best_us.is_none()
    }

    /// Runs the canary, outside of any timing of a request.
    ///
    /// # Errors
    ///
    /// When the engine cannot run it.
    pub fn look(
        &mut self,
        engine: &mut dyn Engine,
        clock: &dyn Clock,
    ) -> Result<Canary, EngineError> {
        let mut us = u64::MAX;
        for _ in 0..RUNS {
            let began_us = clock.now_us();
            engine.canary()?;
            us = us.min(clock.now_us().saturating_sub(began_us));
        }
        let best_us = self.best_us.map_or(us, |best| best.min(us));
        self.best_us = Some(best_us);
        Ok(Canary { us, best_us })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_is_what_takes_fifteen_percent_more() {
        assert!(!Canary { us: 115, best_us: 100 }.is_slow());
        assert!(Canary { us: 116, best_us: 100 }.is_slow());
    }
}
