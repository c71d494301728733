//! What the page tells of a record beside its columns: repetitions, phases, sizes, health.

use jiff::Timestamp;
use serde_json::Value;

use super::text::plain;

/// Positions of an answer that are kept; of a longer one the means of neighbours.
const POSITIONS: usize = 240;

/// What the page needs of a record.
#[derive(Clone, Debug, Default)]
pub struct Detail {
    /// Tokens a second after the first, of each repetition.
    pub(super) rates: Vec<f64>,
    /// Milliseconds from each token to the next: medians of the repetitions.
    pub(super) gaps: Vec<f64>,
    /// Phases of the load, each with its begin and end in seconds.
    pub(super) load: Vec<(String, f64, f64)>,
    /// When the test began and ended, in seconds since 1970.
    pub(super) span: Option<(f64, f64)>,
    /// Tokens of the prompt and in the cache before it, of a test whose sizes are exact.
    pub(super) sizes: Option<Sizes>,
    /// Judgements of the machine before the test.
    pub(super) quality: Vec<String>,
    /// How fit the machine was found.
    pub(super) grade: Option<String>,
    /// The last lines of standard error of a child that failed.
    pub(super) stderr: Vec<String>,
}

/// What a test asks of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sizes {
    pub(super) prompt: f64,
    pub(super) depth: f64,
}

impl Detail {
    pub(super) fn of(line: &Value, end: Option<Timestamp>) -> Self {
        let ours = "/metadata/mlxk_harness";
        let samples = line.pointer(&format!("{ours}/samples")).and_then(Value::as_array);
        let stamps: Vec<Vec<f64>> = samples.into_iter().flatten().map(visible).collect();
        let phases = line.pointer(&format!("{ours}/load/phases")).and_then(Value::as_array);
        let phase = |phase: &Value| {
            let seconds = |key: &str| Some(phase.get(key)?.as_f64()? / 1e6);
            let name = plain(phase.get("step")?.as_str()?);
            Some((name, seconds("start_us")?, seconds("end_us")?))
        };
        Self {
            rates: stamps.iter().filter_map(|stamps| rate(stamps)).collect(),
            gaps: thinned(&medians(&stamps)),
            load: phases.into_iter().flatten().filter_map(phase).collect(),
            span: span(line, end),
            sizes: sizes(line),
            quality: texts(line, "/system_health/quality_flags"),
            grade: line
                .pointer(&format!("{ours}/host/fitness/grade"))
                .and_then(Value::as_str)
                .map(plain),
            stderr: texts(line, &format!("{ours}/failure/stderr")),
        }
    }
}

/// The texts of a list.
fn texts(line: &Value, pointer: &str) -> Vec<String> {
    let list = line.pointer(pointer).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(plain).collect()
}

/// Only throughput has them: a chat is as long as it comes.
fn sizes(line: &Value) -> Option<Sizes> {
    let cell = line.pointer("/metadata/mlxk_harness/cell")?;
    let size = |key: &str| cell.get(key)?.as_f64().filter(|size| size.is_finite() && *size >= 0.0);
    (cell.get("scenario")? == "throughput").then(|| {
        Some(Sizes { prompt: size("prompt_tokens")?, depth: size("depth").unwrap_or(0.0) })
    })?
}

/// When each token could be seen, in microseconds since the request.
fn visible(sample: &Value) -> Vec<f64> {
    let stamps = sample.get("visible_us").and_then(Value::as_array);
    stamps.into_iter().flatten().filter_map(Value::as_f64).collect()
}

fn rate(stamps: &[f64]) -> Option<f64> {
    let elapsed = stamps.last()? - stamps.first()?;
    (elapsed > 0.0).then(|| (stamps.len() as f64 - 1.0) / elapsed * 1e6)
}

fn medians(stamps: &[Vec<f64>]) -> Vec<f64> {
    let longest = stamps.iter().map(Vec::len).max().unwrap_or_default();
    let gap = |stamps: &Vec<f64>, at: usize| Some((stamps.get(at)? - stamps.get(at - 1)?) / 1e3);
    let median = |at: usize| {
        let mut gaps: Vec<_> = stamps.iter().filter_map(|stamps| gap(stamps, at)).collect();
        gaps.sort_by(f64::total_cmp);
        let middle = gaps.len() / 2;
        let upper = *gaps.get(middle)?;
        let is_even = gaps.len().is_multiple_of(2);
        Some(if is_even { f64::midpoint(*gaps.get(middle - 1)?, upper) } else { upper })
    };
    (1..longest).filter_map(median).collect()
}

fn thinned(gaps: &[f64]) -> Vec<f64> {
    let size = gaps.len().div_ceil(POSITIONS).max(1);
    gaps.chunks(size).map(|part| part.iter().sum::<f64>() / part.len() as f64).collect()
}

/// By the stamps of the test, else by its end and duration.
fn span(line: &Value, end: Option<Timestamp>) -> Option<(f64, f64)> {
    let number = |key: &str| line.get(key).and_then(Value::as_f64);
    if let (Some(start), Some(end)) = (number("test_start_ts"), number("test_end_ts")) {
        return Some((start, end));
    }
    let end = end?.as_microsecond() as f64 / 1e6;
    Some((end - number("duration")?, end))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rates_and_gaps_follow_from_the_stamps() {
        let line = json!({"metadata": {"mlxk_harness": {
            "samples": [{"visible_us": [100_000, 150_000, 250_000]}, {"visible_us": [0, 100_000, 200_000]}],
            "load": {"phases": [{"step": "open", "start_us": 0, "end_us": 50_000}]}}},
            "duration": 2.5});
        let end: Timestamp = "1970-01-01T00:00:10Z".parse().unwrap();
        let detail = Detail::of(&line, Some(end));
        // 2 tokens in 0.15 s and in 0.2 s.
        assert!((detail.rates[0] - 2.0 / 0.15).abs() < 1e-9, "{:?}", detail.rates);
        assert_eq!(detail.rates[1..], [10.0]);
        // 50 and 100 ms, then 100 and 100 ms.
        assert_eq!(detail.gaps, [75.0, 100.0]);
        assert_eq!(detail.load, [("open".to_owned(), 0.0, 0.05)]);
        assert_eq!(detail.span, Some((7.5, 10.0)));
    }

    #[test]
    fn a_long_answer_is_thinned_and_keeps_its_mean() {
        let gaps: Vec<f64> = (0..480).map(f64::from).collect();
        let thin = thinned(&gaps);
        assert_eq!((thin.len(), thin[0], thin[239]), (240, 0.5, 478.5));
    }
}
