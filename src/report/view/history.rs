//! Each model over time: what was measured again, and by how much it changed.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    columns::COMPARED,
    gather::{Report, Row},
};

/// A test of a model that was measured more than once.
#[derive(Debug)]
pub struct Series<'a> {
    /// The model.
    pub model: &'a str,
    /// The test and its parameters.
    pub test: String,
    /// The column that is compared.
    pub column: &'static str,
    /// The measurements, oldest first.
    pub points: Vec<Point<'a>>,
}

/// A measurement among others of the same.
#[derive(Debug)]
pub struct Point<'a> {
    /// When it ended.
    pub end: Timestamp,
    /// The line.
    pub row: &'a Row,
    /// The figure.
    pub value: f64,
    /// Its change from the one before, as a share of that.
    pub change: Option<f64>,
}

/// All that was measured at two times or more, by model and test. Machines are not compared.
pub fn history(report: &Report) -> Vec<Series<'_>> {
    let mut known: BTreeMap<_, Vec<Point<'_>>> = BTreeMap::new();
    for row in report.rows.iter().filter(|row| row.outcome == "passed") {
        let (Some(model), Some(end)) = (&row.model, row.end) else {
            continue;
        };
        let figure = COMPARED.iter().find_map(|column| Some((*column, row.number(column)?)));
        if let Some((column, value)) = figure {
            let point = Point { end, row, value, change: None };
            let key = (model.as_str(), row.label(), column, row.hardware.as_str());
            known.entry(key).or_default().push(point);
        }
    }
    let repeated = known.into_iter().filter(|(_, points)| points.len() > 1);
    let mut series: Vec<_> = repeated
        .map(|((model, test, column, _), points)| Series { model, test, column, points })
        .collect();
    for one in &mut series {
        one.points.sort_by_key(|point| point.end);
        let mut before = None;
        for point in &mut one.points {
            point.change = before
                .filter(|before: &f64| *before > 0.0)
                .map(|before| (point.value - before) / before);
            before = Some(point.value);
        }
    }
    series
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(day: u32, rate: f64, outcome: &str) -> String {
        format!(
            r#"{{"timestamp": "2026-01-{day:02}T10:00:00Z", "test": "a::chat[org/x-g8]",
            "outcome": "{outcome}", "model": {{"id": "org/x"}}, "performance": {{"tokens_per_sec": {rate}}}}}"#
        )
        .replace('\n', " ")
    }

    #[test]
    fn measurements_are_in_order_of_time_each_with_its_change() {
        let mut report = Report::default();
        report.read("b", line(9, 12.0, "passed").as_bytes()).unwrap();
        let older = [line(1, 8.0, "passed"), line(2, 99.0, "failed"), line(5, 10.0, "passed")];
        report.read("a", older.join("\n").as_bytes()).unwrap();
        let history = history(&report);
        assert_eq!(history.len(), 1);
        let points = &history[0].points;
        let told: Vec<_> = points.iter().map(|point| (point.value, point.change)).collect();
        assert_eq!(told, [(8.0, None), (10.0, Some(0.25)), (12.0, Some(0.2))]);
        assert_eq!((history[0].model, history[0].column), ("org/x", "decode_tok_s"));
    }

    #[test]
    fn two_machines_are_not_two_moments_of_one() {
        let on = |chip: &str, line: String| {
            let system =
                format!(r#""system": {{"hardware_profile": {{"chip": "{chip}"}}}}, "test""#);
            line.replace(r#""test""#, &system)
        };
        let compared = |one: &str, other: &str| {
            let mut report = Report::default();
            let lines = [on(one, line(1, 8.0, "passed")), on(other, line(2, 9.0, "passed"))];
            report.read("a", lines.join("\n").as_bytes()).unwrap();
            history(&report).len()
        };
        assert_eq!(compared("Apple M2", "Apple M2"), 1);
        assert_eq!(compared("Apple M2", "Apple M4"), 0);
    }

    #[test]
    fn what_was_measured_once_has_no_history() {
        let mut report = Report::default();
        report.read("a", line(1, 8.0, "passed").as_bytes()).unwrap();
        assert!(history(&report).is_empty());
    }
}
