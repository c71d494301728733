//! The thread that looks at the machine.

use std::{
    fs::File,
    io::{self, Write},
    sync::mpsc,
    time::{Duration, Instant, SystemTime},
};

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use super::{
    Ended,
    gpu::Watcher,
    line::{Last, Moment, Range, Sample, Stamped, Summary, rounded},
    reading::{Reading, Source},
};

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Said {
    Watch(Option<u32>),
    Event(Stamped),
    End { exit_code: Option<u8> },
}

/// The thread's work.
#[derive(Debug)]
pub(super) struct Work {
    heard: mpsc::Receiver<Said>,
    began: Instant,
    interval: Duration,
    source: Source,
    gpu: Option<Watcher>,
    child: Option<u32>,
    events: Vec<Stamped>,
    last: Option<Duration>,
    totals: Totals,
    file: Option<File>,
    error: Option<io::Error>,
}

/// What all looks say together, so far.
#[derive(Debug, Default)]
struct Totals {
    samples: u64,
    interval_ms: Range,
    ram_free_gb: Range,
    swap_used_mb: Range,
    swap_max_mb: Option<u64>,
    load: Range,
    cpu_user: Range,
    cpu_sys: Range,
    child_resident_mb: Range,
    gpu: Range,
    gpu_power: Range,
}

impl Work {
    pub(super) fn new(
        heard: mpsc::Receiver<Said>,
        began: Instant,
        interval: Duration,
        file: Option<File>,
    ) -> Self {
        Self {
            heard,
            began,
            interval,
            source: Source::new(),
            gpu: Watcher::begin(),
            child: None,
            events: Vec::new(),
            last: None,
            totals: Totals::default(),
            file,
            error: None,
        }
    }

    /// Looks until it is told to end, or until nobody is left to tell it.
    pub(super) fn run(mut self) -> Ended {
        let mut next = Duration::ZERO;
        loop {
            let wait = next.saturating_sub(self.began.elapsed());
            match self.heard.recv_timeout(wait) {
                Ok(Said::Watch(child)) => self.child = child,
                Ok(Said::Event(event)) => self.events.push(event),
                Ok(Said::End { exit_code }) => return self.end(exit_code),
                Err(mpsc::RecvTimeoutError::Disconnected) => return self.end(None),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    let interval_ms = self.look();
                    self.totals.interval_ms.take(interval_ms);
                    next = after(self.began.elapsed(), self.interval);
                }
            }
        }
    }

    /// Looks now, and gives the time since the look before, in milliseconds.
    fn look(&mut self) -> Option<f64> {
        let elapsed = self.began.elapsed();
        let interval = self.last.replace(elapsed).map(|last| elapsed.saturating_sub(last));
        let moment = Moment { at: SystemTime::now(), elapsed, interval };
        let gpu = self.gpu.as_ref().and_then(Watcher::latest);
        let reading = Reading { gpu, ..self.source.read(self.child) };
        let events = std::mem::take(&mut self.events);
        let sample = Sample::new(&reading, moment, self.child, events);
        self.totals.take(&sample);
        self.write(&sample);
        sample.interval_ms
    }

    fn end(mut self, exit_code: Option<u8>) -> Ended {
        self.look();
        let totals = &self.totals;
        let summary = Summary {
            duration_s: rounded(self.began.elapsed().as_secs_f64(), 3),
            interval_ms: u64::try_from(self.interval.as_millis()).unwrap_or(u64::MAX),
            sampler_cpu_s: rounded(own_time().as_secs_f64(), 6),
            exit_code,
            timestamp: Timestamp::now().to_string(),
            ..totals.summary()
        };
        self.write(&Last { summary: &summary });
        Ended { summary, error: self.error }
    }

    /// Writes a line whole; after one that could not be, none.
    fn write(&mut self, line: &impl Serialize) {
        let Some(file) = &mut self.file else { return };
        let written = serde_json::to_vec(line).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            file.write_all(&line)
        });
        if let Err(error) = written {
            self.file = None;
            self.error = Some(error);
        }
    }
}

impl Totals {
    fn take(&mut self, sample: &Sample) {
        self.samples += 1;
        self.ram_free_gb.take(sample.ram_free_gb);
        self.swap_used_mb.take(sample.swap_used_mb.map(|size| size as f64));
        self.swap_max_mb = self.swap_max_mb.max(sample.swap_used_mb);
        self.load.take(sample.load_1);
        self.cpu_user.take(sample.cpu_user);
        self.cpu_sys.take(sample.cpu_sys);
        self.child_resident_mb.take(sample.child_resident_mb);
        self.gpu.take(sample.gpu_device_util);
        self.gpu_power.take(sample.gpu_power_w);
    }

    fn summary(&self) -> Summary {
        Summary {
            samples: self.samples,
            interval_mean_ms: self.interval_ms.mean(3),
            interval_max_ms: self.interval_ms.max(),
            ram_free_min_gb: self.ram_free_gb.min(),
            ram_free_max_gb: self.ram_free_gb.max(),
            ram_free_avg_gb: self.ram_free_gb.mean(3),
            swap_max_mb: self.swap_max_mb,
            swap_avg_mb: self.swap_used_mb.mean(1),
            load_max: self.load.max(),
            load_avg: self.load.mean(2),
            cpu_user_max: self.cpu_user.max(),
            cpu_sys_max: self.cpu_sys.max(),
            child_resident_max_mb: self.child_resident_mb.max(),
            gpu_device_max: self.gpu.max(),
            gpu_device_avg: self.gpu.mean(1),
            gpu_power_max_w: self.gpu_power.max(),
            ..Summary::default()
        }
    }
}

/// When the next look is due: at the next point of the grid, so that a late look makes no other late.
fn after(elapsed: Duration, interval: Duration) -> Duration {
    let whole = elapsed.as_nanos() / interval.as_nanos().max(1);
    let next = (whole + 1).saturating_mul(interval.as_nanos());
    Duration::from_nanos(next.try_into().unwrap_or(u64::MAX))
}

/// What this thread has taken of a core.
fn own_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_keep_to_the_grid() {
        let ms = Duration::from_millis;
        assert_eq!(after(ms(0), ms(200)), ms(200));
        assert_eq!(after(ms(201), ms(200)), ms(400));
        assert_eq!(after(ms(399), ms(200)), ms(400));
        assert_eq!(after(ms(1_050), ms(200)), ms(1_200), "those that were missed are not made up");
    }
}
