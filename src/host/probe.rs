//! What can only be found out by trying: how this process was built, and whether the machine lets it run on time.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;
use sysinfo::{MINIMUM_CPU_UPDATE_INTERVAL, System};

/// How long a step of the probe should last.
const STEP: Duration = Duration::from_millis(1);
/// Reads of the clock among which its resolution is sought.
const READS: usize = 10_000;

/// What this process found out by itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Probe {
    /// Whether this program was built without optimization.
    pub debug_build: Option<bool>,
    /// The smallest step of the clock that was seen, in nanoseconds.
    pub clock_resolution_ns: Option<u64>,
    /// How late this process was let run, where that was tried.
    pub jitter: Option<Jitter>,
    /// Cores that others kept busy while this process slept, where that was tried.
    pub busy_cores: Option<f64>,
}

/// How much longer than asked the steps of a probe took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Jitter {
    /// Steps that were tried: a quarter of the time asleep, three quarters awake, a millisecond each.
    pub steps: usize,
    /// The 99th percentile, by nearest rank, in microseconds.
    pub p99_us: u64,
    /// The worst, in microseconds.
    pub worst_us: u64,
}

impl Probe {
    /// How long a whole probe takes.
    pub const LENGTH: Duration = Duration::from_secs(2);

    /// What costs no time to find out: jitter and the work of others stay unknown.
    pub fn brief() -> Self {
        Self {
            debug_build: Some(cfg!(debug_assertions)),
            clock_resolution_ns: clock_resolution(),
            ..Self::default()
        }
    }

    /// Everything, which takes `length` and keeps one core busy for three quarters of it.
    ///
    /// A sleeper is woken late where the system saves power or is crowded. One that never sleeps is set aside where more
    /// want to run than there are cores. Neither sees a neighbour on a core of its own; the system's count of busy cores
    /// does.
    pub fn whole(length: Duration) -> Self {
        let mut system = System::new().ok();
        system.as_mut().map(System::refresh_cpu_usage);
        let begin = Instant::now();
        let mut late = Vec::new();
        while begin.elapsed() < length / 4 {
            late.push(overshoot(thread::sleep));
        }
        let is_long_enough = begin.elapsed() >= MINIMUM_CPU_UPDATE_INTERVAL;
        system.as_mut().map(System::refresh_cpu_usage);
        let busy_cores = system.filter(|_| is_long_enough).and_then(|system| {
            let cores = system.cpus().len();
            busy_cores(system.global_cpu_usage(), cores)
        });
        while begin.elapsed() < length {
            late.push(overshoot(spin));
        }
        Self { jitter: Jitter::of(late), busy_cores, ..Self::brief() }
    }
}

impl Jitter {
    fn of(mut late: Vec<Duration>) -> Option<Self> {
        late.sort_unstable();
        let rank = (late.len() * 99).div_ceil(100).checked_sub(1)?;
        Some(Self {
            steps: late.len(),
            p99_us: microseconds(*late.get(rank)?),
            worst_us: microseconds(*late.last()?),
        })
    }
}

fn microseconds(time: Duration) -> u64 {
    time.as_micros().try_into().unwrap_or(u64::MAX)
}

/// How much longer than a step `wait` takes for one.
fn overshoot(wait: fn(Duration)) -> Duration {
    let begin = Instant::now();
    wait(STEP);
    begin.elapsed().saturating_sub(STEP)
}

fn spin(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// The smallest difference between two reads of the clock that is one.
fn clock_resolution() -> Option<u64> {
    let reads: Vec<_> = (0..READS).map(|_| Instant::now()).collect();
    let steps =
        reads.windows(2).filter_map(|pair| pair.last()?.checked_duration_since(*pair.first()?));
    let smallest = steps.filter(|step| !step.is_zero()).min()?;
    smallest.as_nanos().try_into().ok()
}

/// How many of `cores` a share of all of them is; unknown where the system does not tell.
fn busy_cores(percent_of_all: f32, cores: usize) -> Option<f64> {
    let is_told = cores > 0 && percent_of_all.is_finite();
    is_told.then(|| f64::from(percent_of_all) / 100.0 * cores as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_99th_percentile_is_the_nearest_rank() {
        let late = |count: u64| (1..=count).rev().map(Duration::from_micros).collect();
        let jitter = |steps, p99_us, worst_us| Some(Jitter { steps, p99_us, worst_us });
        assert_eq!(Jitter::of(late(1000)), jitter(1000, 990, 1000));
        assert_eq!(Jitter::of(late(150)), jitter(150, 149, 150));
        assert_eq!(Jitter::of(late(1)), jitter(1, 1, 1));
        assert_eq!(Jitter::of(late(0)), None);
    }

    #[test]
    fn a_share_of_all_cores_is_told_in_cores() {
        assert_eq!(busy_cores(12.5, 8), Some(1.0));
        assert_eq!(busy_cores(50.0, 0), None);
        assert_eq!(busy_cores(f32::NAN, 8), None);
    }

    #[test]
    fn a_brief_probe_leaves_open_what_takes_time() {
        let probe = Probe::brief();
        assert_eq!(probe.debug_build, Some(cfg!(debug_assertions)));
        assert_eq!((probe.jitter, probe.busy_cores), (None, None));
    }

    #[test]
    fn a_probe_that_is_too_short_to_count_busy_cores_says_nothing_of_them() {
        let probe = Probe::whole(Duration::ZERO);
        assert_eq!((probe.jitter, probe.busy_cores), (None, None));
        let jitter = Probe::whole(Duration::from_millis(8)).jitter.unwrap();
        assert!(jitter.p99_us <= jitter.worst_us);
    }
}
