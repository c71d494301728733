//! More records than anybody reads: one row for all of a test.
//!
//! A file may have hundreds of thousands of lines. Up to [`EACH`] of them are shown one by one; of more, those of
//! one test, model, machine and outcome share a row, which has the mean and the bounds of each figure and is for the
//! rest the newest of them. So what a report takes of memory does not grow with its lines.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
};

use super::{Cell, Row};

/// Records that are shown one by one, and rows that there are at most.
pub(super) const EACH: usize = 2_000;

/// The rows of a report.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Where the row of each test is, once there are too many records.
    places: Option<HashMap<u64, usize>>,
    hasher: RandomState,
    /// Records whose test has no row, since there are too many rows too.
    pub(super) uncounted: u64,
}

/// What the records of a row have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Many {
    /// How many there are.
    pub(super) records: u64,
    figures: Vec<Option<Figure>>,
}

/// The figures of a column.
#[derive(Clone, Copy, Debug)]
struct Figure {
    count: u64,
    sum: f64,
    bounds: [f64; 2],
}

impl Rows {
    /// Takes one more row into `rows`.
    pub(super) fn add(&mut self, rows: &mut Vec<Row>, row: Row) {
        if self.places.is_none() && rows.len() < EACH {
            rows.push(row);
            return;
        }
        if self.places.is_none() {
            self.places = Some(HashMap::new());
            for row in std::mem::take(rows) {
                self.join(rows, row);
            }
        }
        self.join(rows, row);
    }

    fn join(&mut self, rows: &mut Vec<Row>, row: Row) {
        let key = (&row.model, &row.test, &row.parameters, &row.hardware, &row.outcome);
        let key = self.hasher.hash_one(key);
        let places = self.places.get_or_insert_default();
        let place = places.get(&key).copied();
        if let Some(known) = place.and_then(|place| rows.get_mut(place)) {
            known.join(row);
        } else if rows.len() < EACH {
            places.insert(key, rows.len());
            rows.push(row.alone());
        } else {
            self.uncounted += 1;
        }
    }
}

impl Row {
    /// It as the first of many.
    fn alone(mut self) -> Self {
        let mut many = Many::default();
        many.take(&self.cells);
        many.show(&mut self.cells);
        Self { many: Some(Box::new(many)), ..self }
    }

    /// It with `other`, which is of the same test.
    fn join(&mut self, other: Self) {
        let Some(mut many) = self.many.take() else {
            return;
        };
        many.take(&other.cells);
        if other.end >= self.end {
            *self = other;
        }
        many.show(&mut self.cells);
        self.many = Some(many);
    }

    /// How many records the row stands for.
    pub fn records(&self) -> u64 {
        self.many.as_ref().map_or(1, |many| many.records)
    }
}

impl Many {
    fn take(&mut self, cells: &[Option<Cell>]) {
        self.records += 1;
        self.figures.resize(cells.len(), None);
        for (figure, cell) in self.figures.iter_mut().zip(cells) {
            let Some(Cell::Number(value, _)) = cell else {
                continue;
            };
            let [low, high] = figure.map_or([*value; 2], |figure| figure.bounds);
            *figure = Some(Figure {
                count: figure.map_or(0, |figure| figure.count) + 1,
                sum: figure.map_or(0.0, |figure| figure.sum) + value,
                bounds: [low.min(*value), high.max(*value)],
            });
        }
    }

    /// Makes means with bounds of `cells`.
    fn show(&self, cells: &mut [Option<Cell>]) {
        for (figure, cell) in self.figures.iter().zip(cells) {
            let Some(Figure { count, sum, bounds }) = figure else {
                continue;
            };
            let [low, high] = bounds;
            let bounds = (low < high).then_some(*bounds);
            // A mean of equal figures may differ from them in the last digit.
            let mean = if bounds.is_some() { sum / *count as f64 } else { *low };
            *cell = Some(Cell::Number(mean, bounds));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Report;

    fn line(at: usize, test: usize, duration: f64) -> String {
        format!(
            r#"{{"timestamp": "2026-01-30T10:00:{:02}Z", "test": "a::t{test}", "outcome": "passed", "duration": {duration:?}, "model": {{"id": "org/x"}}}}"#,
            at % 60,
        )
    }

    fn report(lines: impl Iterator<Item = String>) -> Report {
        let text: Vec<_> = lines.collect();
        let mut report = Report::default();
        report.read("a.jsonl", text.join("\n").as_bytes()).unwrap();
        report
    }

    #[test]
    fn few_records_have_a_row_each() {
        let report = report((0..super::EACH).map(|at| line(at, 0, 1.0)));
        assert_eq!((report.rows.len(), report.shared()), (super::EACH, None));
    }

    #[test]
    fn many_records_share_the_row_of_their_test_and_none_is_lost() {
        // Of two tests in turns: 1 and 3 seconds, and always 2.
        let durations = [1.0, 2.0, 3.0, 2.0];
        let report = report((0..4_000).map(|at| line(at, at % 2, durations[at % 4])));
        let shown: Vec<_> = report.rows.iter().map(|row| (row.label(), row.records())).collect();
        assert_eq!(shown, [("t0".to_owned(), 2_000), ("t1".to_owned(), 2_000)]);
        let cell = |place: usize| report.rows[place].cell("duration_s").cloned().unwrap();
        assert_eq!(cell(0), super::Cell::Number(2.0, Some([1.0, 3.0])));
        assert_eq!(cell(1), super::Cell::Number(2.0, None));
        assert_eq!(report.count("passed"), 4_000);
        let note = "4000 records in 2 rows: each row is all of one test, model, machine and outcome, with the mean and [least, most] of its figures";
        assert_eq!(report.shared().as_deref(), Some(note));
    }

    #[test]
    fn tests_without_number_are_counted_and_take_no_rows() {
        let report = report((0..super::EACH * 2).map(|at| line(at, at, 1.0)));
        assert_eq!(report.rows.len(), super::EACH);
        assert_eq!(report.count("passed"), super::EACH as u64);
        let note = report.shared().unwrap();
        assert!(note.ends_with("; 2000 more records of other tests have no row"), "{note}");
    }
}
