//! The wish for an end, said by one thread and heard by others.

use std::{
    sync::atomic::{AtomicU8, Ordering},
    thread,
    time::{Duration, Instant},
};

/// The longest that an end is not seen while time passes.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Whether somebody wants an end, and how soon.
#[derive(Debug, Default)]
pub struct Stop(AtomicU8);

impl Stop {
    /// Nobody wants an end yet.
    pub const fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    /// Wants an end once the repetition in hand is through; said again, at once. Tells how often it was said before.
    pub fn ask(&self) -> u8 {
        self.0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |asked| Some(asked.saturating_add(1)))
            .unwrap_or(u8::MAX)
    }

    /// Whether an end is wanted.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }

    /// Whether it is wanted at once.
    pub fn is_urgent(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 1
    }

    /// Lets `time` pass, or less where an end is wanted.
    pub fn wait(&self, time: Duration) {
        let began = Instant::now();
        while let Some(left) = time.checked_sub(began.elapsed())
            && !left.is_zero()
            && !self.is_asked()
        {
            thread::sleep(left.min(LOOK_EVERY));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_urgent_once_it_was_asked_for_twice() {
        let stop = Stop::new();
        assert!(!stop.is_asked() && !stop.is_urgent());
        assert_eq!(stop.ask(), 0);
        assert!(stop.is_asked() && !stop.is_urgent());
        assert_eq!(stop.ask(), 1);
        assert!(stop.is_urgent());
        assert_eq!(stop.ask(), 2);
    }

    #[test]
    fn no_time_passes_where_an_end_is_wanted() {
        let stop = Stop::new();
        stop.ask();
        stop.wait(Duration::MAX);
    }
}
