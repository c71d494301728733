//! Whether a series jumps once from one level to another.

use super::{finite, median};

/// The fewest samples of a level.
const FEWEST_SAMPLES: usize = 3;

/// A jump of less than this share of the median is of no matter.
const LEAST_CHANGE: f64 = 0.03;

/// A jump between two levels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// Samples before the jump.
    pub before: usize,
    /// How far the second level's median lies above the first one's, as a share of the median of all.
    pub change: f64,
}

/// The jump of a series; absent where there is none, and for fewer than six samples.
///
/// A trend test hardly sees a jump: of eight samples, four at each of two levels give no more than `|S| = 16`. There is one
/// where the gap between the levels is at least as wide as either of them, each has three samples or more, and their
/// medians are 3 % apart. Of steady samples at any noise fewer than one series in a hundred looks so; a jump of 15 % at
/// 2 % noise in eight samples is found in 98 of 100.
pub fn shift(samples: &[f64]) -> Option<Shift> {
    let middle = median(finite(samples)?).filter(|middle| *middle > 0.0)?;
    let last = samples.len().checked_sub(FEWEST_SAMPLES)?;
    let jumps = (FEWEST_SAMPLES..=last).filter_map(|at| {
        let (before, after) = samples.split_at(at);
        let change = (median(after)? - median(before)?) / middle;
        let (earlier, later) = (Level::of(before), Level::of(after));
        let gap = (later.lowest - earlier.highest).max(earlier.lowest - later.highest);
        let is_clear = gap > 0.0 && gap >= earlier.width().max(later.width());
        (is_clear && change.abs() >= LEAST_CHANGE).then_some(Shift { before: at, change })
    });
    jumps.max_by(|a, b| a.change.abs().total_cmp(&b.change.abs()))
}

/// Where a part of a series lies.
struct Level {
    lowest: f64,
    highest: f64,
}

impl Level {
    fn of(samples: &[f64]) -> Self {
        Self {
            lowest: samples.iter().copied().fold(f64::INFINITY, f64::min),
            highest: samples.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }

    fn width(&self) -> f64 {
        self.highest - self.lowest
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::simulation::{Noise, Random},
        *,
    };

    #[test]
    fn a_jump_is_told_with_its_place_and_size() {
        let found = shift(&[50.0, 50.2, 49.9, 40.1, 40.0, 39.8]).expect("a jump");
        assert_eq!(found.before, 3);
        // The medians are 50 and 40, that of all is (49.9 + 40.1) / 2.
        assert!((found.change - -10.0 / 45.0).abs() < 1e-12, "{}", found.change);
    }

    #[test]
    fn two_slow_samples_are_no_level() {
        assert_eq!(shift(&[50.0, 50.0, 50.0, 50.0, 40.0, 40.0]), None);
        assert_eq!(shift(&[50.0, 50.0, 40.0, 40.0, 40.0]), None);
    }

    #[test]
    fn a_jump_of_no_matter_is_none() {
        let jump = |to: f64| shift(&[100.0, 100.0, 100.0, 100.0, to, to, to, to]);
        assert_eq!(jump(97.5), None);
        assert!(jump(96.5).is_some());
    }

    #[test]
    fn what_is_no_series_has_no_jump() {
        assert_eq!(shift(&[]), None);
        assert_eq!(shift(&[f64::NAN; 8]), None);
        assert_eq!(shift(&[0.0; 8]), None);
    }

    /// In how many of 1,000 runs of eight repetitions at `noise`, which lose `drop` of their speed after the fourth.
    fn found(drop: f64, noise: f64) -> f64 {
        let mut random = Random::new(4);
        let runs = (0..1_000).filter(|_| {
            let speed = |at| if at < 4 { 1.0 } else { 1.0 - drop };
            let sample = |at| speed(at) * (1.0 + noise * Noise::Normal.draw(&mut random));
            shift(&(0..8).map(sample).collect::<Vec<_>>()).is_some()
        });
        runs.count() as f64 / 1_000.0
    }

    #[test]
    fn jumps_are_found_and_steady_runs_have_none() {
        assert!(found(0.15, 0.02) >= 0.95);
        for noise in [0.01, 0.05, 0.2] {
            assert!(found(0.0, noise) <= 0.01, "noise of {noise}");
        }
    }
}
