//! Time that never goes back: the system's, or one that a test tells.

use std::{
    cell::Cell,
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

/// Tells the time since some moment that never changes.
pub trait Clock {
    /// Microseconds since that moment; never less than before.
    fn now_us(&self) -> u64;

    /// Lets `time` pass.
    fn wait(&self, time: Duration);
}

/// The system's monotonic clock, which no change of the date moves.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock that counts from now on.
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now_us(&self) -> u64 {
        let elapsed = self.origin.elapsed();
        elapsed.as_secs() * 1_000_000 + u64::from(elapsed.subsec_micros())
    }

    fn wait(&self, time: Duration) {
        thread::sleep(time);
    }
}

/// A clock that stands still until it is moved; its clones move with it.
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    now_us: Rc<Cell<u64>>,
}

impl ManualClock {
    /// Lets `time` pass; what is below a microsecond is lost.
    pub fn advance(&self, time: Duration) {
        let micros = time.as_secs() * 1_000_000 + u64::from(time.subsec_micros());
        self.now_us.set(self.now_us.get() + micros);
    }
}

impl Clock for ManualClock {
    fn now_us(&self) -> u64 {
        self.now_us.get()
    }

    fn wait(&self, time: Duration) {
        self.advance(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told_and_its_clones_follow() {
        let clock = ManualClock::default();
        let clone = clock.clone();
        assert_eq!(clone.now_us(), 0);
        clock.advance(Duration::from_millis(1_500));
        clock.advance(Duration::from_nanos(2_999));
        assert_eq!(clone.now_us(), 1_500_002);
    }

    #[test]
    fn the_system_clock_counts_microseconds_from_its_start() {
        let clock = SystemClock::new();
        let before = clock.now_us();
        clock.wait(Duration::from_millis(5));
        let slept = clock.now_us() - before;
        assert!(before < 1_000_000, "{before}");
        assert!((5_000..5_000_000).contains(&slept), "{slept}");
    }
}
