//! What is done where the device has become slow: it rests, is warmed up again, and the repetition does not count.

use std::{io, sync::atomic::Ordering, time::Duration};

use super::rounds::Rounds;
use crate::measure::{engine::Engine, message::Message, schedule::Turn};

/// How many repetitions are withdrawn, one after the other, until they count as they are: by then a device that is still
/// slow stays so.
pub(super) const MOST_AGAIN: u32 = 2;

/// The longest rest.
const LONGEST: Duration = Duration::from_secs(30);

/// A rest is no longer than so many repetitions.
const REPETITIONS: u64 = 10;

/// The longest time without a look, and without a word to the parent.
const LOOK_EVERY: Duration = Duration::from_millis(500);

impl Rounds<'_, '_> {
    /// Withdraws the repetition of `turn`, which took `ended_us`, waits until the device is as fast as before or time is
    /// up, and warms it up with the shapes of that repetition: a device that idled is slow at first.
    pub(super) fn rest(
        &mut self,
        turn: Turn,
        ended_us: u64,
        engine: &mut dyn Engine,
    ) -> io::Result<()> {
        let cell = turn.cell;
        let longest = Duration::from_micros(ended_us.saturating_mul(REPETITIONS)).min(LONGEST);
        let began_us = self.clock.now_us();
        let has_time = |now_us: u64| u128::from(now_us - began_us) < longest.as_micros();
        self.parent.tell(&Message::Throttled { cell })?;
        while has_time(self.clock.now_us()) && !self.stop.load(Ordering::SeqCst) {
            self.clock.wait(LOOK_EVERY.min(longest));
            self.parent.tell(&Message::Throttled { cell })?;
            match self.pace.look(engine, self.clock) {
                Ok(canary) if canary.is_slow() => {}
                Ok(_) => break,
                Err(error) => return self.give_up(cell, error),
            }
        }
        let again = Turn { warmup: true, ..turn };
        match self.request(again, engine)? {
            Ok(trial) => {
                let trial = Box::new(trial);
                self.parent.tell(&Message::Trial { cell, warmup: true, trial })
            }
            Err(error) => self.give_up(cell, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::{
        measure::{
            message::Job,
            rates,
            schedule::Task,
            scripted::Script,
            steadiness::{Flag, flags},
            trial::Trial,
            worker::serve,
        },
        plan::{Cell, Settings, Work},
    };

    /// The measured repetitions of a scripted cell of eight, and how often the child told that it rests.
    fn measured(script: Script) -> (Vec<Trial>, usize) {
        let mut script = script.token(Duration::from_millis(20)).canary(Duration::from_millis(50));
        let work = Work::Throughput { prompt_tokens: 4, generation_tokens: 32 };
        let cell = Cell { work, ..Cell::throughput([8, 4], 2, 8) };
        let job = Job {
            aim: None,
            revision: None,
            cold: false,
            settings: Settings::default(),
            passages: None,
            greedy: false,
            cells: vec![Task::new(cell)],
        };
        let clock = script.clock();
        let (mut out, stop) = (Vec::new(), AtomicBool::new(false));
        serve(&mut script, &job, &clock, &stop, &mut out).expect("a vector takes all");
        let (mut trials, mut rests) = (Vec::new(), 0);
        for line in String::from_utf8(out).expect("text").lines() {
            let message = serde_json::from_str(line).expect("each line is a message");
            rests += usize::from(matches!(message, Message::Throttled { .. }));
            if let Message::Trial { warmup: false, trial, .. } = message {
                trials.push(*trial);
            }
        }
        (trials, rests)
    }

    fn gaps(trials: &[Trial]) -> Vec<f64> {
        let mut gaps: Vec<f64> = trials.iter().flat_map(rates::token_gaps).collect();
        gaps.sort_by(f64::total_cmp);
        gaps.dedup();
        gaps
    }

    #[test]
    fn a_steady_device_never_rests() {
        let (trials, rests) = measured(Script::new());
        assert_eq!((trials.len(), rests), (8, 0));
        assert!(trials.iter().all(|trial| !trial.canary.expect("it was looked at").is_slow()));
        assert_eq!(flags(&trials, 0), []);
    }

    #[test]
    fn what_a_hot_device_or_an_idle_one_gave_does_not_count() {
        // From the fifth request on it is 1.5 times as slow until it rested for two seconds, and then, having idled, five
        // times as slow for one request.
        let rest = Duration::from_secs(2);
        let (trials, rests) = measured(Script::new().throttles(5, 1.5, rest).idles(5.0));
        assert_eq!(trials.len(), 8);
        assert!(rests > 0);
        assert_eq!(gaps(&trials), [0.02]);
        assert_eq!(flags(&trials, 0), []);
    }

    #[test]
    fn a_device_that_stays_slow_is_measured_and_flagged() {
        let never = Duration::from_secs(1 << 30);
        let (trials, rests) = measured(Script::new().throttles(7, 1.5, never).idles(5.0));
        assert_eq!(trials.len(), 8);
        assert!(rests > 0);
        assert_eq!(gaps(&trials), [0.02, 0.03]);
        assert_eq!(flags(&trials, 0), [Flag::Jump, Flag::Throttled]);
    }
}
