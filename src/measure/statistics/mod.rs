//! What a list of samples says: its middle and how far it spreads.
//!
//! Every function answers `None` where the samples cannot say: none at all, too few, or one that is no number.

mod interval;
mod outliers;
mod repetitions;
#[cfg(test)]
mod simulation;
mod trend;

pub use interval::{Interval, median_interval, relative_half_width};
pub use outliers::outliers;
pub use repetitions::repetitions_for;
pub use trend::{Direction, Trend, trend};

/// The middle and the spread of a list of samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// How many samples there are.
    pub count: usize,
    /// See [`median`].
    pub median: f64,
    /// See [`mean`].
    pub mean: f64,
    /// The smallest sample.
    pub minimum: f64,
    /// The largest sample.
    pub maximum: f64,
    /// See [`standard_deviation`]; absent for one sample.
    pub standard_deviation: Option<f64>,
}

impl Summary {
    /// Summarizes `samples`, in any order.
    pub fn of(samples: &[f64]) -> Option<Self> {
        Some(Self {
            count: samples.len(),
            median: median(samples)?,
            mean: mean(samples)?,
            minimum: quantile(samples, 0.0)?,
            maximum: quantile(samples, 1.0)?,
            standard_deviation: standard_deviation(samples),
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

/// The *sample* standard deviation: squares are divided by one less than the count, so two samples are needed.
pub fn standard_deviation(samples: &[f64]) -> Option<f64> {
    if samples.len() < 2 {
        return None;
    }
    let mean = mean(samples)?;
    let squares: f64 = samples.iter().map(|sample| (sample - mean).powi(2)).sum();
    let deviation = (squares / (samples.len() - 1) as f64).sqrt();
    deviation.is_finite().then_some(deviation)
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
        close(standard_deviation(&SAMPLES), 2.898_275_349_237_887_5);
        close(median_absolute_deviation(&SAMPLES), 1.25);
        close(quantile(&SAMPLES, 0.25), 1.75);
        close(quantile(&SAMPLES, 0.9), 6.5);
    }

    #[test]
    fn an_odd_count_has_its_own_middle() {
        close(median(&[5.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn a_summary_holds_them_all() {
        assert_eq!(
            Summary::of(&[2.0, 4.0]),
            Some(Summary {
                count: 2,
                median: 3.0,
                mean: 3.0,
                minimum: 2.0,
                maximum: 4.0,
                standard_deviation: Some(std::f64::consts::SQRT_2),
            })
        );
    }

    #[test]
    fn one_sample_has_a_middle_and_no_deviation() {
        let summary = Summary::of(&[7.0]).expect("one sample");
        assert_eq!((summary.median, summary.standard_deviation), (7.0, None));
    }

    #[test]
    fn nothing_is_said_about_nothing() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(median_absolute_deviation(&[]), None);
        assert_eq!(standard_deviation(&[]), None);
    }

    #[test]
    fn a_sample_that_is_no_number_is_not_passed_over() {
        assert_eq!(Summary::of(&[1.0, f64::NAN]), None);
        assert_eq!(mean(&[1.0, f64::INFINITY]), None);
        assert_eq!(standard_deviation(&[1.0, f64::INFINITY]), None);
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
            let spread = standard_deviation(&moved).expect("two") - standard_deviation(&samples).expect("two");
            prop_assert!((distance - by).abs() < 1e-9);
            prop_assert!(spread.abs() < 1e-6);
        }
    }
}
