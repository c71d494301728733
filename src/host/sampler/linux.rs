//! Readings of Linux: files below `/proc`.

use std::{
    fs::{self, File},
    io::Read,
    time::{Duration, Instant},
};

use super::reading::{Reading, Shares};
use crate::host::{
    linux::{bytes_of, swap_used},
    process,
};

/// Shortest time whose shares are told: the kernel counts in hundredths of a second.
const SPAN: Duration = Duration::from_millis(100);

/// What was counted before.
#[derive(Debug)]
pub(super) struct Source {
    before: Option<(Instant, Ticks)>,
}

/// Time of all cores since the machine began, in ticks of the kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ticks {
    user: u64,
    system: u64,
    idle: u64,
}

impl Source {
    pub(super) fn new() -> Self {
        Self { before: ticks().map(|ticks| (Instant::now(), ticks)) }
    }

    pub(super) fn read(&mut self, id: Option<u32>) -> Reading {
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let stalls = fs::read_to_string("/proc/pressure/memory").unwrap_or_default();
        Reading {
            free_bytes: bytes_of(&memory, "MemAvailable"),
            swap_used_bytes: swap_used(&memory),
            memory_stall: stall(&stalls),
            cpu: self.shares(),
            resident_bytes: id.and_then(process::resident_bytes),
            ..Reading::default()
        }
    }

    fn shares(&mut self) -> Shares {
        if self.before.is_some_and(|(at, _)| at.elapsed() < SPAN) {
            return Shares::default();
        }
        let now = ticks();
        let before = std::mem::replace(&mut self.before, now.map(|now| (Instant::now(), now)));
        before.zip(now).and_then(|((_, before), now)| now.since(before)).unwrap_or_default()
    }
}

/// The first line of `/proc/stat`; what follows it can be long.
fn ticks() -> Option<Ticks> {
    let mut beginning = [0; 256];
    let read = File::open("/proc/stat").ok()?.read(&mut beginning).ok()?;
    Ticks::of(str::from_utf8(beginning.get(..read)?).ok()?.lines().next()?)
}

impl Ticks {
    /// Those of `cpu  user nice system idle iowait irq softirq steal …`; see `proc_stat(5)`.
    fn of(line: &str) -> Option<Self> {
        let values: Vec<u64> = line
            .strip_prefix("cpu ")?
            .split_whitespace()
            .map_while(|word| word.parse().ok())
            .collect();
        let &[user, nice, system, idle, waiting, interrupt, soft_interrupt, ..] = &values[..]
        else {
            return None;
        };
        // What a host took away from this machine was neither idle nor used here.
        Some(Self {
            user: user.checked_add(nice)?,
            system: system.checked_add(interrupt)?.checked_add(soft_interrupt)?,
            idle: idle.checked_add(waiting)?,
        })
    }

    /// Shares of the time since `before`; none where no time is counted.
    fn since(self, before: Self) -> Option<Shares> {
        let user = self.user.checked_sub(before.user)?;
        let system = self.system.checked_sub(before.system)?;
        // Idle time may run backwards a little; see `proc_stat(5)`.
        let idle = self.idle.saturating_sub(before.idle);
        let whole = user + system + idle;
        let share = |part| (whole > 0).then(|| part as f64 * 100.0 / whole as f64);
        Some(Shares { user: share(user), system: share(system), idle: share(idle) })
    }
}

/// `avg10` of the line `some` of `/proc/pressure/memory`.
fn stall(pressure: &str) -> Option<f64> {
    let some = pressure.lines().find_map(|line| line.strip_prefix("some "))?;
    some.split_whitespace().find_map(|word| word.strip_prefix("avg10="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_told_apart() {
        let line = "cpu  100 20 30 400 50 6 7 8 0 0";
        assert_eq!(Ticks::of(line), Some(Ticks { user: 120, system: 43, idle: 450 }));
        assert_eq!(Ticks::of("cpu0 100 20 30 400 50 6 7 8 0 0"), None);
        assert_eq!(Ticks::of("cpu  100 20"), None);
    }

    #[test]
    fn shares_are_of_the_time_between() {
        let before = Ticks { user: 100, system: 50, idle: 1_000 };
        let now = Ticks { user: 130, system: 60, idle: 1_060 };
        let shares = Shares { user: Some(30.0), system: Some(10.0), idle: Some(60.0) };
        assert_eq!(now.since(before), Some(shares));
    }

    #[test]
    fn where_no_time_is_counted_no_share_is_known() {
        let ticks = Ticks { user: 1, system: 2, idle: 3 };
        assert_eq!(ticks.since(ticks), Some(Shares::default()));
        assert_eq!(Ticks { user: 0, ..ticks }.since(ticks), None, "it was counted anew");
    }

    #[test]
    fn stalls_are_of_ten_seconds() {
        let pressure = "some avg10=1.25 avg60=0.50 avg300=0.00 total=1\n\
                        full avg10=0.75 avg60=0.00 avg300=0.00 total=1\n";
        assert_eq!(stall(pressure), Some(1.25));
        assert_eq!(stall(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_and_one_that_is_none_has_not() {
        let mut source = Source::new();
        let reading = source.read(Some(std::process::id()));
        assert!(reading.resident_bytes.is_some_and(|bytes| bytes > 1 << 20));
        assert!(reading.free_bytes.is_some_and(|bytes| bytes > 0));
        assert_eq!(source.read(Some(u32::MAX)).resident_bytes, None);
        assert_eq!(source.read(None).resident_bytes, None);
    }
}
