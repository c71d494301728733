//! What a list of samples says: its middle and how far it spreads.
//!
//! Every function answers `None` where the samples cannot say: none at all, too few, or one that is no number.

mod interval;
mod outliers;
mod repetitions;
mod shift;
#[cfg(test)]
mod simulation;
mod trend;

pub use interval::{Interval, median_interval, relative_half_width};
pub use outliers::outliers;
pub use repetitions::repetitions_for;
pub use shift::{Shift, shift};
pub use trend::{Direction, Trend, trend};

/// What a list of samples says, in the order they were taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// How many samples there are.
    pub count: usize,
    /// See [`median`].
    pub median: f64,
    /// See [`median_absolute_deviation`]; absent for one sample.
    pub median_absolute_deviation: Option<f64>,
    /// See [`median_interval`].
    pub interval: Option<Interval>,
    /// The smallest sample.
    pub minimum: f64,
    /// The largest sample.
    pub maximum: f64,
    /// See [`outliers`].
    pub outliers: Option<Vec<usize>>,
    /// See [`trend`].
    pub trend: Option<Trend>,
}

impl Summary {
    /// Summarizes `samples`.
    pub fn of(samples: &[f64]) -> Option<Self> {
        Some(Self {
            count: samples.len(),
            median: median(samples)?,
            median_absolute_deviation: median_absolute_deviation(samples)
                .filter(|_| samples.len() > 1),
            interval: median_interval(samples),
            minimum: quantile(samples, 0.0)?,
            maximum: quantile(samples, 1.0)?,
            outliers: outliers(samples),
            trend: trend(samples),
        })
    }
}

/// The sample in the middle, or the mean of the two in the middle.
pub fn median(samples: &[f64]) -> Option<f64> {
    quantile(samples, 0.5)
}

/// The sum over the count.
pub fn mean(samples: &[f64]) -> Option<f64> {
    if samples.is_empty() {
        return None;
    }
    let mean = samples.iter().sum::<f64>() / samples.len() as f64;
    mean.is_finite().then_some(mean)
}

/// The median of the distances from the median, unscaled: a spread that one odd sample does not move.
pub fn median_absolute_deviation(samples: &[f64]) -> Option<f64> {
    let middle = median(samples)?;
    let distances: Vec<f64> = samples.iter().map(|sample| (sample - middle).abs()).collect();
    median(&distances)
}

/// The sample below which the share `share` of all lies, from 0 (the smallest) to 1 (the largest).
///
/// Between two samples it is interpolated on a straight line, with the smallest at 0 and the largest at 1: type 7 of
/// Hyndman and Fan, which R takes by default.
pub fn quantile(samples: &[f64], share: f64) -> Option<f64> {
    if !(0.0..=1.0).contains(&share) {
        return None;
    }
    let mut sorted = finite(samples)?.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let place = share * sorted.len().checked_sub(1)? as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the place lies between 0 and the last index"
    )]
    let below = place.floor() as usize;
    let lower = *sorted.get(below)?;
    let upper = *sorted.get(below + 1).unwrap_or(&lower);
    let step = place - place.floor();
    Some(lower * (1.0 - step) + upper * step)
}

/// All `samples`, where each is a number.
fn finite(samples: &[f64]) -> Option<&[f64]> {
    samples.iter().all(|sample| sample.is_finite()).then_some(samples)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Expected values: Python's `statistics` module on the same list.
    const SAMPLES: [f64; 6] = [3.0, 1.0, 4.0, 1.5, 9.0, 2.5];

    #[track_caller]
    fn close(found: Option<f64>, expected: f64) {
        let found = found.expect("a number");
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }

    #[test]
    fn figures_agree_with_python() {
        close(median(&SAMPLES), 2.75);
        close(mean(&SAMPLES), 3.5);
        close(median_absolute_deviation(&SAMPLES), 1.25);
        close(quantile(&SAMPLES, 0.25), 1.75);
        close(quantile(&SAMPLES, 0.9), 6.5);
    }

    #[test]
    fn an_odd_count_has_its_own_middle() {
        close(median(&[5.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn a_summary_holds_what_its_samples_can_say() {
        let two = Summary::of(&[2.0, 4.0]).expect("two samples");
        assert_eq!((two.count, two.median, two.median_absolute_deviation), (2, 3.0, Some(1.0)));
        assert_eq!((two.minimum, two.maximum), (2.0, 4.0));
        assert_eq!((two.interval, two.outliers, two.trend), (None, None, None));
        let eight = Summary::of(&[5.0, 5.1, 4.9, 5.0, 5.2, 4.8, 5.1, 4.9]).expect("eight");
        assert!(eight.interval.is_some() && eight.outliers.is_some() && eight.trend.is_some());
    }

    #[test]
    fn one_sample_has_a_middle_and_no_spread() {
        let summary = Summary::of(&[7.0]).expect("one sample");
        assert_eq!((summary.median, summary.median_absolute_deviation), (7.0, None));
    }

    #[test]
    fn nothing_is_said_about_nothing() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(median_absolute_deviation(&[]), None);
    }

    #[test]
    fn a_sample_that_is_no_number_is_not_passed_over() {
        assert_eq!(Summary::of(&[1.0, f64::NAN]), None);
        assert_eq!(mean(&[1.0, f64::INFINITY]), None);
    }

    #[test]
    fn a_share_outside_of_0_to_1_has_no_quantile() {
        assert_eq!(quantile(&SAMPLES, 1.1), None);
        assert_eq!(quantile(&SAMPLES, f64::NAN), None);
    }

    proptest! {
        #[test]
        fn the_order_of_samples_does_not_matter(mut samples in prop::collection::vec(-1e6..1e6, 1..40)) {
            let before = (median(&samples), median_absolute_deviation(&samples));
            samples.reverse();
            prop_assert_eq!(before, (median(&samples), median_absolute_deviation(&samples)));
        }

        #[test]
        fn quantiles_grow_with_the_share_and_stay_inside(
            samples in prop::collection::vec(-1e6..1e6, 1..40),
            a in 0.0..=1.0_f64,
            b in 0.0..=1.0_f64,
        ) {
            let (low, high) = if a <= b { (a, b) } else { (b, a) };
            let low = quantile(&samples, low).expect("finite");
            let high = quantile(&samples, high).expect("finite");
            let smallest = samples.iter().copied().fold(f64::INFINITY, f64::min);
            let largest = samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            prop_assert!(low <= high + 1e-9);
            prop_assert!(smallest <= low + 1e-9 && high <= largest + 1e-9);
        }

        #[test]
        fn moving_all_samples_moves_the_middle_and_not_the_spread(
            samples in prop::collection::vec(-1e3..1e3, 2..40),
            by in -1e3..1e3_f64,
        ) {
            let moved: Vec<f64> = samples.iter().map(|sample| sample + by).collect();
            let distance = median(&moved).expect("finite") - median(&samples).expect("finite");
            let spread = |samples: &[f64]| median_absolute_deviation(samples).expect("finite");
            let spread = spread(&moved) - spread(&samples);
            prop_assert!((distance - by).abs() < 1e-9);
            prop_assert!(spread.abs() < 1e-6);
        }
    }
}
