//! A load, taken apart into phases.

use std::time::Instant;

use serde::{Deserialize, Serialize};

/// A part of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoadStep {
    /// Reading the configuration; of a GGUF file the header.
    Open,
    /// Mapping the weights by their headers; of a GGUF file reading them.
    Weights,
    /// Putting the model together; nothing is computed yet.
    Build,
    /// Evaluating every parameter, which reads what was only mapped.
    Evaluate,
    /// Making the tokenizer.
    Tokenizer,
}

/// When a part of a load ran, in microseconds since the load began. Parts may overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadPhase {
    /// Which part.
    pub step: LoadStep,
    /// When it began.
    pub start_us: u64,
    /// When it ended.
    pub end_us: u64,
    /// Bytes that it brought into memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

impl LoadPhase {
    /// Bytes a second, in units of 10⁹; nothing where no bytes or no time are known.
    pub fn gigabytes_per_s(&self) -> Option<f64> {
        let micros = self.end_us.checked_sub(self.start_us).filter(|&micros| micros > 0)?;
        Some(self.bytes? as f64 / 1e3 / micros as f64)
    }
}

/// The time in which at least one of `phases` ran, in microseconds.
pub fn union_us(phases: &[LoadPhase]) -> u64 {
    let mut intervals: Vec<_> = phases.iter().map(|phase| (phase.start_us, phase.end_us)).collect();
    intervals.sort_unstable();
    let mut covered = 0;
    let mut until = 0;
    for (start, end) in intervals {
        covered += end.saturating_sub(start.max(until));
        until = until.max(end);
    }
    covered
}

/// Notes the phases of a load that runs one after the other.
#[derive(Debug)]
pub struct LoadLog {
    began: Instant,
    phases: Vec<LoadPhase>,
}

impl LoadLog {
    /// A load begins now.
    pub fn begin() -> Self {
        Self { began: Instant::now(), phases: Vec::new() }
    }

    /// What ran since the last phase was `step`, and brought `bytes` into memory where that is known.
    pub fn end(&mut self, step: LoadStep, bytes: Option<u64>) {
        let start_us = self.phases.last().map_or(0, |last| last.end_us);
        let end_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.phases.push(LoadPhase { step, start_us, end_us, bytes });
    }

    /// The phases, in order.
    pub fn into_phases(self) -> Vec<LoadPhase> {
        self.phases
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(start_us: u64, end_us: u64) -> LoadPhase {
        LoadPhase { step: LoadStep::Evaluate, start_us, end_us, bytes: None }
    }

    #[test]
    fn time_that_phases_share_counts_once() {
        assert_eq!(union_us(&[]), 0);
        assert_eq!(union_us(&[phase(0, 10), phase(10, 30)]), 30);
        assert_eq!(union_us(&[phase(20, 40), phase(0, 30)]), 40);
        assert_eq!(union_us(&[phase(0, 100), phase(20, 40), phase(90, 110)]), 110);
        // Between two there may be nothing.
        assert_eq!(union_us(&[phase(0, 10), phase(20, 30)]), 20);
    }

    #[test]
    fn a_rate_needs_bytes_and_time() {
        let rate = |bytes, end_us| LoadPhase { bytes, ..phase(0, end_us) }.gigabytes_per_s();
        // 3 GB in 1.5 s.
        assert_eq!(rate(Some(3_000_000_000), 1_500_000), Some(2.0));
        assert_eq!(rate(None, 1), None);
        assert_eq!(rate(Some(1), 0), None);
    }

    #[test]
    fn phases_that_follow_each_other_leave_no_time_out() {
        let mut log = LoadLog::begin();
        log.end(LoadStep::Open, None);
        log.end(LoadStep::Evaluate, Some(1));
        let phases = log.into_phases();
        assert_eq!((phases[0].start_us, phases[0].end_us), (0, phases[1].start_us));
        assert_eq!(union_us(&phases), phases[1].end_us);
    }
}
