//! Whether samples rise or fall in the order they were taken.

use super::{finite, median};

/// How often steady samples may seem to fall, and how often to rise.
const FALSE_ALARMS: f64 = 0.05;

/// The fewest samples that can have a trend: three in order come about too often by chance.
const FEWEST_SAMPLES: usize = 4;

/// A trend that moves samples by less than this share of their median over the whole series is of no matter.
const LEAST_CHANGE: f64 = 0.01;

/// Up to so many samples critical values are exact; beyond, a normal distribution is as good.
const EXACT_UP_TO: usize = 30;

/// What is exceeded by one of twenty normal deviates.
const NORMAL_LIMIT: f64 = 1.644_853_626_951_472_2;

/// The trend of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Pairs of samples of which the later is larger, less those of which it is smaller: Kendall's `S`.
    pub s: i64,
    /// The least `|S|` that steady samples reach so rarely that there is a trend.
    pub critical: i64,
    /// How much samples changed from the first to the last, as a share of their median: Theil and Sen's slope.
    pub change: f64,
    /// Where they go, where both say so.
    pub direction: Option<Direction>,
}

/// Where a series goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Later samples are larger.
    Rising,
    /// Later samples are smaller.
    Falling,
}

/// Tests for a trend after Mann and Kendall; absent for fewer than four samples or where the median is not above 0.
///
/// Each direction has its own one-sided test of 5 %: of eight steady samples, `S <= -16` comes about in 3.1 of 100 cases
/// and `S >= 16` as often. Equal samples count for neither direction, which makes the test more careful. With hundreds of
/// samples the smallest trend is certain, so it must also amount to 1 % over the whole series.
pub fn trend(samples: &[f64]) -> Option<Trend> {
    let middle = median(finite(samples)?).filter(|middle| *middle > 0.0)?;
    let critical = critical(samples.len())?;
    let mut s = 0;
    let mut slopes = Vec::new();
    for (later, sample) in samples.iter().enumerate() {
        for (earlier, before) in samples.iter().take(later).enumerate() {
            s += i64::from(sample > before) - i64::from(sample < before);
            slopes.push((sample - before) / (later - earlier) as f64);
        }
    }
    let change = median(&slopes)? * (samples.len() - 1) as f64 / middle;
    let direction = if s >= critical && change >= LEAST_CHANGE {
        Some(Direction::Rising)
    } else if s <= -critical && change <= -LEAST_CHANGE {
        Some(Direction::Falling)
    } else {
        None
    };
    Some(Trend { s, critical, change, direction })
}

/// The least `S` that `count` steady samples reach in at most 5 % of all cases.
fn critical(count: usize) -> Option<i64> {
    if count < FEWEST_SAMPLES {
        return None;
    }
    let pairs = i64::try_from(count.checked_mul(count - 1)? / 2).ok()?;
    let at_most = if count <= EXACT_UP_TO { most_inversions(count)? } else { near(count, pairs)? };
    Some(pairs - 2 * at_most)
}

/// The most pairs in falling order with which a series is so near to rising throughout as one order in twenty.
///
/// An order of `n` samples grows from one of `n - 1` as the last sample falls behind none, one … or all of them, each as
/// likely: the numbers of falling pairs are those of `n - 1`, moved by 0 to `n - 1` and averaged.
fn most_inversions(count: usize) -> Option<i64> {
    let mut shares = vec![1.0];
    for size in 2..=count {
        let mut grown = vec![0.0; shares.len() + size - 1];
        for (inversions, share) in shares.iter().enumerate() {
            for moved in grown.iter_mut().skip(inversions).take(size) {
                *moved += share / size as f64;
            }
        }
        shares = grown;
    }
    let sums = shares.iter().scan(0.0, |sum, share| {
        *sum += share;
        Some(*sum)
    });
    let within = sums.take_while(|sum| *sum <= FALSE_ALARMS).count();
    i64::try_from(within.checked_sub(1)?).ok()
}

/// The same by the normal distribution, `S` being one lower for the step from whole numbers.
fn near(count: usize, pairs: i64) -> Option<i64> {
    let count = count as f64;
    let deviation = (count * (count - 1.0) * (2.0 * count + 5.0) / 18.0).sqrt();
    let least = NORMAL_LIMIT * deviation + 1.0;
    #[expect(clippy::cast_possible_truncation, reason = "half the pairs at most")]
    let inversions = ((pairs as f64 - least) / 2.0).floor() as i64;
    (inversions >= 0).then_some(inversions)
}

#[cfg(test)]
mod tests {
    use super::{
        super::simulation::{Noise, Random},
        *,
    };

    #[test]
    fn a_series_is_judged_as_scipy_does() {
        // scipy 1.17.1: kendalltau is -6/7 of 28 pairs with p = 0.00087, theilslopes gives -0.355, the median is 49.
        let trend = trend(&[50.0, 49.8, 49.9, 49.1, 48.7, 48.9, 48.0, 47.6]).expect("eight");
        assert_eq!((trend.s, trend.direction), (-24, Some(Direction::Falling)));
        assert!((trend.change - -0.355 * 7.0 / 49.0).abs() < 1e-12, "{}", trend.change);
    }

    #[test]
    fn critical_values_are_those_of_the_exact_distribution() {
        // Python: products of the generating functions (1 + x + … + x^(k-1)) / k, summed from the end to 5 %.
        let expected = [(4, 6), (5, 8), (6, 11), (7, 13), (8, 16), (10, 21), (12, 26), (20, 52)];
        for (count, least) in expected {
            assert_eq!(critical(count), Some(least), "{count} samples");
        }
        assert_eq!(critical(3), None);
    }

    #[test]
    fn beyond_the_exact_ones_the_normal_distribution_goes_on() {
        for count in [20, EXACT_UP_TO] {
            let pairs = i64::try_from(count * (count - 1) / 2).expect("small");
            assert_eq!(near(count, pairs), most_inversions(count), "{count} samples");
        }
        assert!(critical(EXACT_UP_TO + 1) > critical(EXACT_UP_TO));
    }

    #[test]
    fn a_certain_trend_of_no_matter_is_none() {
        let rising = |step: f64| (0..8).map(|at| 100.0 + step * f64::from(at)).collect::<Vec<_>>();
        let slight = trend(&rising(0.1)).expect("eight");
        assert_eq!((slight.s, slight.direction), (28, None));
        assert_eq!(trend(&rising(0.2)).expect("eight").direction, Some(Direction::Rising));
    }

    #[test]
    fn too_few_or_odd_samples_have_no_trend() {
        assert_eq!(trend(&[3.0, 2.0, 1.0]), None);
        assert_eq!(trend(&[0.0; 8]), None);
        assert_eq!(trend(&[1.0, 2.0, f64::INFINITY, 4.0]), None);
    }

    /// In how many of 1,000 runs of eight repetitions, which slow down by `slide` from the first to the last at 2 %
    /// noise, a trend of `direction` is seen.
    fn seen(slide: f64, direction: Direction) -> f64 {
        let mut random = Random::new(2);
        let runs = (0..1_000).filter(|_| {
            let samples = (0..8).map(|at| {
                let speed = 1.0 - slide * f64::from(at) / 7.0;
                speed * (1.0 + 0.02 * Noise::Normal.draw(&mut random))
            });
            let samples: Vec<f64> = samples.collect();
            trend(&samples).expect("eight").direction == Some(direction)
        });
        runs.count() as f64 / 1_000.0
    }

    #[test]
    fn a_slide_of_a_tenth_is_seen() {
        assert!(seen(0.1, Direction::Falling) >= 0.9);
        assert!(seen(-0.1, Direction::Rising) >= 0.9);
    }

    #[test]
    fn steady_repetitions_seldom_seem_to_slide() {
        // 1,230 of 40,320 orders of eight have so few falling pairs.
        for direction in [Direction::Falling, Direction::Rising] {
            let alarms = seen(0.0, direction);
            assert!((0.015..=0.06).contains(&alarms), "{direction:?}: {alarms}");
        }
    }
}
