//! How far the median of a few samples may be from the median of all there could be.

use statrs::distribution::{Binomial, DiscreteCDF};

use super::{finite, median};

/// How often an interval holds the true median.
const CONFIDENCE: f64 = 0.95;

/// Two bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
}

impl Interval {
    /// Half its width over `middle`, where that is above 0.
    pub fn relative_half_width(self, middle: f64) -> Option<f64> {
        let width = (self.high - self.low) / 2.0 / middle;
        (middle > 0.0 && width.is_finite()).then_some(width)
    }
}

/// The interval that holds the true median in 95 of 100 cases; absent for fewer than six samples, as of five even the
/// widest holds it in 94 cases only.
///
/// Whatever the samples' distribution, the `d`-th smallest and the `d`-th largest of `n` samples hold the true median
/// between them with probability `1 - 2 P(B < d)`, where `B` counts heads of `n` tosses of a coin. That jumps from `d` to
/// `d + 1`, and 95 % lie between; the bounds are interpolated between these two pairs after Hettmansperger and Sheather
/// (1986), "Confidence intervals based on interpolated order statistics".
pub fn median_interval(samples: &[f64]) -> Option<Interval> {
    let mut sorted = finite(samples)?.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let Place { rank, inwards } = Place::of(sorted.len())?;
    let between = |outer: f64, inner: f64| outer * (1.0 - inwards) + inner * inwards;
    let from_below = |rank: usize| sorted.get(rank - 1).copied();
    let from_above = |rank: usize| sorted.iter().rev().nth(rank - 1).copied();
    Some(Interval {
        low: between(from_below(rank)?, from_below(rank + 1)?),
        high: between(from_above(rank)?, from_above(rank + 1)?),
    })
}

/// [`Interval::relative_half_width`] of the median of `samples`: 0.01 where it is known to 1 %.
pub fn relative_half_width(samples: &[f64]) -> Option<f64> {
    median_interval(samples)?.relative_half_width(median(samples)?)
}

/// Where the bounds lie among sorted samples.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    /// The outer sample of a bound, counted from its end from 1.
    rank: usize,
    /// The share of the way from there to the next sample inwards.
    inwards: f64,
}

impl Place {
    fn of(samples: usize) -> Option<Self> {
        let count = u64::try_from(samples).ok()?;
        let coin = Binomial::new(0.5, count).ok()?;
        let held = |rank: u64| 1.0 - 2.0 * coin.cdf(rank - 1);
        let rank = (1..=count / 2).take_while(|rank| held(*rank) >= CONFIDENCE).last()?;
        let (outer, inner) = (held(rank), held(rank + 1));
        let part = (outer - CONFIDENCE) / (outer - inner);
        let (count, rank_as_number) = (count as f64, rank as f64);
        let weight = rank_as_number + (count - 2.0 * rank_as_number) * part;
        Some(Self {
            rank: usize::try_from(rank).ok()?,
            inwards: (count - rank_as_number) * part / weight,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::simulation::{Noise, Random},
        *,
    };

    /// Expected bounds: `scipy.stats.mstats.median_cihs` of scipy 1.17.1 on the same samples.
    #[track_caller]
    fn case(samples: &[f64], low: f64, high: f64) {
        let found = median_interval(samples).expect("enough samples");
        let distance = (found.low - low).abs().max((found.high - high).abs());
        assert!(distance < 1e-9, "{found:?} is not {low} to {high}");
    }

    const EIGHT: [f64; 8] = [19.2, 18.7, 20.1, 19.9, 18.1, 19.4, 19.0, 20.6];

    #[test]
    fn bounds_agree_with_scipy() {
        case(&EIGHT, 18.661_386_138_613_864, 20.132_178_217_821_78);
        case(&EIGHT[..6], 18.314_285_714_285_717, 20.028_571_428_571_43);
        let eleven = [10.2, 9.7, 10.9, 10.0, 9.1, 10.4, 11.3, 9.9, 10.6, 9.5, 10.1];
        case(&eleven, 9.683_558_792_924_035, 10.624_661_810_613_944);
        case(&EIGHT.repeat(5), 19.0, 19.9);
    }

    #[test]
    fn a_width_is_told_over_the_median() {
        let width = relative_half_width(&EIGHT).expect("enough samples");
        let expected = (20.132_178_217_821_78 - 18.661_386_138_613_864) / 2.0 / 19.3;
        assert!((width - expected).abs() < 1e-12, "{width}");
        assert_eq!(relative_half_width(&[-1.0; 8]), None);
    }

    #[test]
    fn too_few_samples_have_no_interval() {
        assert_eq!(median_interval(&EIGHT[..5]), None);
        assert!(median_interval(&EIGHT[..6]).is_some());
        assert_eq!(median_interval(&[]), None);
        assert_eq!(median_interval(&[f64::NAN; 8]), None);
    }

    /// In how many of 20,000 cases the interval of `count` samples holds the true median.
    fn coverage(noise: Noise, count: usize) -> f64 {
        let mut random = Random::new(8);
        let held = (0..20_000).filter(|_| {
            let samples: Vec<f64> = (0..count).map(|_| noise.draw(&mut random)).collect();
            let interval = median_interval(&samples).expect("enough samples");
            (interval.low..=interval.high).contains(&noise.median())
        });
        held.count() as f64 / 20_000.0
    }

    #[test]
    fn ninety_five_of_a_hundred_hold_the_true_median() {
        for noise in [Noise::Normal, Noise::Exponential, Noise::LogNormal] {
            for count in [6, 8, 10, 16] {
                let coverage = coverage(noise, count);
                assert!((0.93..=0.97).contains(&coverage), "{noise:?}, {count}: {coverage}");
            }
        }
    }
}
