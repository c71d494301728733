//! What the memory monitor saw of the GPU, and which of it belongs to a test.

use std::io::{self, BufRead};

use jiff::Timestamp;
use serde_json::{Number, Value};

use crate::report::{lenient, lines::Lines};

/// The samples of a file, in order of time.
#[derive(Debug, Default)]
pub struct Memory {
    samples: Vec<Sample>,
    /// Milliseconds between two, as the last line says.
    interval_ms: Option<Number>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    ts: f64,
    device: Option<f64>,
    renderer: Option<f64>,
    pressure: Option<f64>,
}

/// A test and when it was.
#[derive(Clone, Debug)]
pub(super) struct Timed {
    /// The whole name.
    pub(super) test: String,
    /// The model's id, where there is a model.
    pub(super) model: Option<String>,
    /// Its moment as it is written, by which mlx-knife sorts.
    pub(super) timestamp: String,
    /// Begin and end in seconds since 1970.
    pub(super) span: (f64, f64),
    /// The time that mlx-knife's script takes for that: it begins at the end of the test.
    pub(super) shifted: (f64, f64),
}

/// What was seen during a test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) samples: usize,
    /// Means in percent with one digit; absent where no sample tells.
    pub(super) device: Option<f64>,
    pub(super) renderer: Option<f64>,
    pub(super) is_short_of_memory: bool,
    /// Whether some sample tells nothing of the GPU's two figures.
    pub(super) has_gaps: bool,
}

impl Timed {
    /// Of a line that tells when it was and how long.
    pub(super) fn of(line: &Value) -> Option<Self> {
        let text = |pointer: &str| line.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let number = |key: &str| line.get(key).and_then(Value::as_f64);
        let timestamp = text("/timestamp")?;
        let duration = number("duration")?;
        let written = timestamp.parse::<Timestamp>().ok()?.as_microsecond() as f64 / 1e6;
        let told = number("test_start_ts").zip(number("test_end_ts"));
        let model = line.get("model").is_some();
        Some(Self {
            test: text("/test").unwrap_or_else(|| "unknown".to_owned()),
            model: model.then(|| text("/model/id").unwrap_or_else(|| "unknown".to_owned())),
            timestamp,
            span: told.unwrap_or((written - duration, written)),
            shifted: (written, written + duration),
        })
    }
}

impl Memory {
    pub(super) fn read(file: impl BufRead) -> io::Result<Self> {
        let mut memory = Self::default();
        let mut lines = Lines::new(file);
        let mut began = None;
        while let Some(line) = lines.next_line()? {
            let written = line.text.ok().and_then(|text| lenient::read(text).ok());
            let line = written.map(lenient::Written::known).unwrap_or_default();
            if let Some(Value::Number(interval)) = line.pointer("/summary/interval_ms") {
                memory.interval_ms = Some(interval.clone());
            }
            let number = |key: &str| line.get(key).and_then(Value::as_f64);
            let Some(elapsed) = number("elapsed_s") else {
                continue;
            };
            let Some(ts) = number("ts").or_else(|| Some(began? + elapsed)) else {
                continue;
            };
            began.get_or_insert(ts - elapsed);
            memory.samples.push(Sample {
                ts,
                device: number("gpu_device_util"),
                renderer: number("gpu_renderer_util"),
                pressure: number("memory_pressure"),
            });
        }
        memory.samples.sort_by(|a, b| a.ts.total_cmp(&b.ts));
        Ok(memory)
    }

    /// Milliseconds between two samples as they were asked for.
    pub(super) fn asked(&self) -> String {
        self.interval_ms.as_ref().map_or_else(|| "200".to_owned(), Number::to_string)
    }

    /// The same as they were, where that is something else by more than a quarter.
    pub(super) fn measured(&self) -> Option<f64> {
        let (first, last) = self.samples.first().zip(self.samples.last())?;
        let gaps = self.samples.len().saturating_sub(1);
        let every = (last.ts - first.ts) / gaps as f64 * 1e3;
        let asked = self.interval_ms.as_ref().and_then(Number::as_f64).unwrap_or(200.0);
        (gaps > 0 && every > asked * 1.25).then_some(every)
    }

    /// What was seen between two moments, both included; nothing where no sample lies between.
    pub(super) fn seen(&self, (from, to): (f64, f64)) -> Option<Seen> {
        let begin = self.samples.partition_point(|sample| sample.ts < from);
        let end = self.samples.partition_point(|sample| sample.ts <= to);
        let samples = self.samples.get(begin..end).filter(|samples| !samples.is_empty())?;
        let (device, renderer) =
            (mean(samples, |sample| sample.device), mean(samples, |sample| sample.renderer));
        let gap = |sample: &Sample| sample.device.is_none() || sample.renderer.is_none();
        Some(Seen {
            samples: samples.len(),
            device,
            renderer,
            is_short_of_memory: samples
                .iter()
                .any(|sample| sample.pressure.is_some_and(|level| level > 1.0)),
            has_gaps: samples.iter().any(gap),
        })
    }
}

/// The mean of those that tell, as it is written.
fn mean(samples: &[Sample], look: fn(&Sample) -> Option<f64>) -> Option<f64> {
    let told: Vec<f64> = samples.iter().filter_map(look).collect();
    let mean = told.iter().sum::<f64>() / told.len() as f64;
    (!told.is_empty()).then(|| format!("{mean:.1}").parse().unwrap_or(mean))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn memory(lines: &[Value]) -> Memory {
        let text: Vec<String> = lines.iter().map(Value::to_string).collect();
        Memory::read(text.join("\n").as_bytes()).unwrap()
    }

    #[test]
    fn samples_of_a_test_lie_between_its_begin_and_its_end() {
        let look = |ts: f64, device: f64| {
            json!({"ts": ts, "elapsed_s": ts, "gpu_device_util": device,
            "gpu_renderer_util": device / 2.0})
        };
        let memory = memory(&[look(3.0, 90.0), look(1.0, 10.0), look(2.0, 21.0), look(4.0, 99.0)]);
        let seen = memory.seen((1.0, 2.0)).unwrap();
        assert_eq!((seen.samples, seen.device, seen.renderer), (2, Some(15.5), Some(7.8)));
        assert!(!seen.has_gaps && !seen.is_short_of_memory);
        assert_eq!(memory.seen((4.5, 9.0)), None);
    }

    #[test]
    fn what_a_sample_does_not_tell_is_not_taken_for_nothing() {
        let memory = memory(&[
            json!({"ts": 1.0, "elapsed_s": 0, "gpu_device_util": 80}),
            json!({"ts": 2.0, "elapsed_s": 1, "memory_pressure": 2}),
        ]);
        let seen = memory.seen((0.0, 9.0)).unwrap();
        assert_eq!((seen.samples, seen.device, seen.renderer), (2, Some(80.0), None));
        assert!(seen.has_gaps && seen.is_short_of_memory);
    }

    #[test]
    fn a_timestamp_is_the_end_of_a_test_unless_both_ends_are_told() {
        let line = json!({"timestamp": "1970-01-01T00:01:40Z", "duration": 10, "test": "a::b"});
        let timed = Timed::of(&line).unwrap();
        assert_eq!((timed.span, timed.shifted), ((90.0, 100.0), (100.0, 110.0)));
        let mut told = line;
        (told["test_start_ts"], told["test_end_ts"]) = (json!(88.5), json!(99.5));
        assert_eq!(Timed::of(&told).unwrap().span, (88.5, 99.5));
        assert!(Timed::of(&json!({"timestamp": "1970-01-01T00:01:40Z"})).is_none());
    }

    #[test]
    fn the_time_between_samples_is_told_where_it_is_longer_than_was_asked_for() {
        let look = |at: f64| json!({"ts": at, "elapsed_s": at});
        let end = json!({"summary": {"interval_ms": 200}});
        let slow = memory(&[look(0.0), look(0.6), look(1.2), end.clone()]);
        assert_eq!((slow.asked().as_str(), slow.measured()), ("200", Some(600.0)));
        assert_eq!(memory(&[look(0.0), look(0.2), end]).measured(), None);
    }
}
