//! Samples that lie far from all others.

use super::{finite, mean, median};

/// Scores above this name an outlier.
const LIMIT: f64 = 3.5;

/// The fewest samples of which one can be an outlier.
const FEWEST_SAMPLES: usize = 6;

/// What turns a median absolute deviation into a normal distribution's standard deviation: its upper quartile.
const OF_MEDIAN_DEVIATION: f64 = 0.674_489_750_196_081_7;

/// The same of a mean absolute deviation: `sqrt(2 / π)`.
const OF_MEAN_DEVIATION: f64 = 0.797_884_560_802_865_4;

/// The places of samples that lie far from all others, in order; a figure still counts them.
///
/// A sample's distance from the median is divided by a standard deviation estimated from the median absolute deviation,
/// and is far above 3.5: the modified z-score of Iglewicz and Hoaglin (1993), "How to detect and handle outliers". Where
/// more than half of the samples are equal, that deviation is 0 and the mean absolute deviation takes its place.
///
/// `None` for fewer than six samples.
pub fn outliers(samples: &[f64]) -> Option<Vec<usize>> {
    if samples.len() < FEWEST_SAMPLES {
        return None;
    }
    let middle = median(finite(samples)?)?;
    let distances: Vec<f64> = samples.iter().map(|sample| (sample - middle).abs()).collect();
    let robust = median(&distances)? / OF_MEDIAN_DEVIATION;
    let deviation = if robust > 0.0 { robust } else { mean(&distances)? / OF_MEAN_DEVIATION };
    let is_far = |distance: f64| distance > LIMIT * deviation;
    Some(
        (0..samples.len())
            .zip(distances)
            .filter(|(_, far)| is_far(*far))
            .map(|(at, _)| at)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_far_from_all_others_is_named() {
        // numpy: 0.6745 * (x - median) / MAD is 40.3 for the seventh and at most 1.5 for the others.
        let samples = [20.0, 20.1, 19.9, 20.2, 19.8, 20.05, 26.0, 19.95];
        assert_eq!(outliers(&samples), Some(vec![6]));
    }

    #[test]
    fn a_score_of_three_and_a_half_is_the_limit() {
        // Median 0, median absolute deviation 1: 5.18 scores 3.494, 5.20 scores 3.507.
        let with = |last: f64| [-1.0, 1.0, -1.0, 1.0, 0.0, 0.0, last, -last];
        assert_eq!(outliers(&with(5.18)), Some(vec![]));
        assert_eq!(outliers(&with(5.20)), Some(vec![6, 7]));
    }

    #[test]
    fn the_only_sample_that_differs_is_one() {
        assert_eq!(outliers(&[5.0, 5.0, 9.0, 5.0, 5.0, 5.0, 5.0, 5.0]), Some(vec![2]));
        assert_eq!(outliers(&[5.0; 8]), Some(vec![]));
    }

    #[test]
    fn a_few_samples_have_none() {
        assert_eq!(outliers(&[1.0, 1.0, 1.0, 1.0, 99.0]), None);
        assert_eq!(outliers(&[1.0, 1.0, 1.0, 1.0, 1.0, f64::NAN]), None);
    }
}
