//! The lines of a sampler's file.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::reading::Reading;

const GIBIBYTE: f64 = 1_073_741_824.0;
const MEBIBYTE: f64 = 1_048_576.0;

/// One look at the machine.
#[derive(Debug, Serialize)]
pub(super) struct Sample {
    /// Free memory in GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ram_free_gb: Option<f64>,
    /// Swap in use in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) swap_used_mb: Option<u64>,
    /// 1 normal, 2 warning, 4 critical; macOS only.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_pressure: Option<u32>,
    /// Share of the last ten seconds in which some task waited for memory, in percent; Linux only.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_stall: Option<f64>,
    /// Load averages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) load_1: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load_5: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load_15: Option<f64>,
    /// Shares of the time of all cores, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu_user: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu_sys: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_idle: Option<f64>,
    /// The process that is watched, and its resident memory in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    child_pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) child_resident_mb: Option<f64>,
    /// What macOS charges that process for, memory of the GPU included, in MiB; macOS only.
    #[serde(skip_serializing_if = "Option::is_none")]
    child_footprint_mb: Option<f64>,
    /// Time in which the GPU did something in the last whole second, in percent, and its power in watts; macOS only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gpu_device_util: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gpu_power_w: Option<f64>,
    /// Seconds since 1970, and since the sampler began.
    ts: f64,
    elapsed_s: f64,
    /// Milliseconds since the look before; the first has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) interval_ms: Option<f64>,
    /// What happened since the look before, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<Stamped>,
}

/// When a look was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) at: SystemTime,
    pub(super) elapsed: Duration,
    /// Since the look before.
    pub(super) interval: Option<Duration>,
}

impl Sample {
    pub(super) fn new(
        reading: &Reading,
        moment: Moment,
        child: Option<u32>,
        events: Vec<Stamped>,
    ) -> Self {
        let [one, five, fifteen] =
            reading.load.map_or([None; 3], |load| load.map(|load| Some(rounded(load, 2))));
        Self {
            ram_free_gb: reading.free_bytes.map(|bytes| rounded(bytes as f64 / GIBIBYTE, 3)),
            swap_used_mb: reading.swap_used_bytes.map(|bytes| bytes >> 20),
            memory_pressure: reading.memory_pressure,
            memory_stall: reading.memory_stall,
            load_1: one,
            load_5: five,
            load_15: fifteen,
            cpu_user: reading.cpu.user.map(|share| rounded(share, 1)),
            cpu_sys: reading.cpu.system.map(|share| rounded(share, 1)),
            cpu_idle: reading.cpu.idle.map(|share| rounded(share, 1)),
            child_pid: child,
            child_resident_mb: reading.resident_bytes.map(mebibytes),
            child_footprint_mb: reading.footprint_bytes.map(mebibytes),
            gpu_device_util: reading.gpu.map(|gpu| rounded(gpu.busy_percent, 1)),
            gpu_power_w: reading.gpu.map(|gpu| rounded(gpu.watts, 2)),
            ts: seconds_since_1970(moment.at),
            elapsed_s: rounded(moment.elapsed.as_secs_f64(), 3),
            interval_ms: moment.interval.map(milliseconds),
            events,
        }
    }
}

/// Something that happens in what is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Event {
    /// What it is, in a word.
    pub event: &'static str,
    /// The model that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The cell of that model, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cell: Option<usize>,
    /// What the cell asks of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scenario: Option<&'static str>,
    /// The repetition of that cell, counted from 1; warm-ups are counted for themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition: Option<u32>,
    /// Whether that is a warm-up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup: Option<bool>,
    /// How the cell ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
}

/// An event with its time.
#[derive(Debug, Serialize)]
pub(super) struct Stamped {
    ts: f64,
    elapsed_s: f64,
    #[serde(flatten)]
    event: Event,
}

impl Event {
    pub(super) fn at(self, at: SystemTime, elapsed: Duration) -> Stamped {
        let elapsed_s = rounded(elapsed.as_secs_f64(), 3);
        Stamped { ts: seconds_since_1970(at), elapsed_s, event: self }
    }
}

/// The last line.
#[derive(Debug, Serialize)]
pub(super) struct Last<'a> {
    pub(super) summary: &'a Summary,
}

/// What all looks say together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Seconds from the beginning to the end.
    pub duration_s: f64,
    /// How many looks there were.
    pub samples: u64,
    /// Milliseconds between two looks that were asked for.
    pub interval_ms: u64,
    /// Milliseconds that there were between two looks, on average; the last look, which comes when it all ends, is left
    /// out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_mean_ms: Option<f64>,
    /// The most milliseconds that there were between two looks but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_max_ms: Option<f64>,
    /// The least free memory in GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ram_free_min_gb: Option<f64>,
    /// The most free memory in GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ram_free_max_gb: Option<f64>,
    /// Free memory in GiB on average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ram_free_avg_gb: Option<f64>,
    /// The most swap in use in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_max_mb: Option<u64>,
    /// Swap in use in MiB on average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_avg_mb: Option<f64>,
    /// The highest load average of a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_max: Option<f64>,
    /// The mean of the load averages of a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_avg: Option<f64>,
    /// The highest share of user time in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_user_max: Option<f64>,
    /// The highest share of system time in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_sys_max: Option<f64>,
    /// The most resident memory of a process that was watched, in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub child_resident_max_mb: Option<f64>,
    /// The most that the GPU was busy in a second, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_device_max: Option<f64>,
    /// The mean of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_device_avg: Option<f64>,
    /// The most power of the GPU in a second, in watts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_power_max_w: Option<f64>,
    /// Seconds of a core that all this looking took, but for that at the GPU.
    pub sampler_cpu_s: f64,
    /// How the command ended that was watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u8>,
    /// When it ended.
    pub timestamp: String,
}

/// A quantity over all looks in which it was known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Range {
    bounds: Option<(f64, f64)>,
    sum: f64,
    count: u64,
}

impl Range {
    pub(super) fn take(&mut self, value: Option<f64>) {
        let Some(value) = value else { return };
        let (min, max) = self.bounds.unwrap_or((value, value));
        self.bounds = Some((min.min(value), max.max(value)));
        self.sum += value;
        self.count += 1;
    }

    pub(super) fn min(&self) -> Option<f64> {
        self.bounds.map(|(min, _)| min)
    }

    pub(super) fn max(&self) -> Option<f64> {
        self.bounds.map(|(_, max)| max)
    }

    pub(super) fn mean(&self, decimals: i32) -> Option<f64> {
        (self.count > 0).then(|| rounded(self.sum / self.count as f64, decimals))
    }
}

pub(super) fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (value * scale).round() / scale
}

fn milliseconds(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1e3, 3)
}

fn mebibytes(bytes: u64) -> f64 {
    rounded(bytes as f64 / MEBIBYTE, 1)
}

fn seconds_since_1970(at: SystemTime) -> f64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    rounded(since.as_secs_f64(), 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::sampler::gpu::Gpu;

    #[test]
    fn a_line_has_the_names_that_memplot_reads_and_none_for_what_is_unknown() {
        let moment = Moment { at: UNIX_EPOCH, elapsed: Duration::ZERO, interval: None };
        let line = |reading: &Reading| {
            serde_json::to_value(Sample::new(reading, moment, None, Vec::new())).unwrap()
        };
        let gpu = Some(Gpu { busy_percent: 41.26, watts: 12.345 });
        let told = line(&Reading { gpu, footprint_bytes: Some(3 << 20), ..Reading::default() });
        assert_eq!(told["gpu_device_util"], 41.3);
        assert_eq!(told["gpu_power_w"], 12.35);
        assert_eq!(told["child_footprint_mb"], 3.0);
        let silent = line(&Reading::default());
        for key in ["gpu_device_util", "gpu_power_w", "child_footprint_mb"] {
            assert!(silent.get(key).is_none(), "{key}");
        }
    }
}
