//! Whether tokens slow down inside of repetitions, beyond what a growing context explains.
//!
//! A step reads the weights, which takes the same time at every position, and the context, which takes time in proportion
//! to its length at the most. So from one position to a later one the time of a token grows by a factor between 1 and that
//! of the context, whatever the model; and it grows by the same factor in every repetition of a cell.

use crate::measure::{rates::token_gaps, statistics::median, trial::Trial};

/// The fewest gaps between tokens of a third of a repetition: single ones tell of the host more than of the device.
const FEWEST_GAPS: usize = 8;

/// What a repetition may slow down by beyond the context before anyone calls it drift.
const ALLOWED: f64 = 0.1;

/// The slowing of tokens that no context explains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// The repetition that slowed down most, counted from 1.
    pub repetition: usize,
    /// By how much its late tokens took longer than the context explains: 0.2 for a fifth.
    pub excess: f64,
}

/// The worst drift among `trials`, which had `depth` tokens in the cache before their prompt, where one exceeds a tenth; absent too where answers are shorter than 25 tokens.
///
/// The median gap of a repetition's last third is set against that of its first. That ratio is too large where it exceeds
/// the growth of the context itself, or, in three repetitions or more, the median ratio of them all.
pub fn drift(trials: &[Trial], depth: u32) -> Option<Drift> {
    let growths: Vec<_> = trials.iter().map(|trial| Growth::of(trial, depth)).collect();
    let known: Vec<f64> = growths.iter().flatten().map(|growth| growth.tokens).collect();
    let usual = median(&known).filter(|_| known.len() >= 3);
    let worst = (1..).zip(&growths).filter_map(|(repetition, growth)| {
        let growth = growth.as_ref()?;
        let explained = usual.map_or(growth.context, |usual| usual.min(growth.context));
        Some(Drift { repetition, excess: growth.tokens / explained.max(1.0) - 1.0 })
    });
    worst.max_by(|a, b| a.excess.total_cmp(&b.excess)).filter(|drift| drift.excess > ALLOWED)
}

/// From the first third of a repetition's gaps to the last.
struct Growth {
    /// The factor by which tokens took longer.
    tokens: f64,
    /// The factor by which their context was longer.
    context: f64,
}

impl Growth {
    fn of(trial: &Trial, depth: u32) -> Option<Self> {
        let gaps = token_gaps(trial);
        let third = gaps.len() / 3;
        if third < FEWEST_GAPS {
            return None;
        }
        let early = median(gaps.get(..third)?)?;
        let late = median(gaps.get(gaps.len() - third..)?)?;
        let middle = third as f64 / 2.0;
        let before = f64::from(depth) + f64::from(trial.prompt_tokens);
        let context = (before + gaps.len() as f64 - middle) / (before + middle);
        (early > 0.0).then_some(Self { tokens: late / early, context })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repetition of 61 tokens over `prompt_tokens`: each takes what `gap_us` says of its place.
    fn trial(prompt_tokens: u32, gap_us: impl Fn(u64) -> u64) -> Trial {
        let gaps = (0..60).scan(100_000, |time, place| {
            *time += gap_us(place);
            Some(*time)
        });
        let mut trial = Trial::with_stamps(std::iter::once(100_000).chain(gaps).collect());
        trial.prompt_tokens = prompt_tokens;
        trial
    }

    /// Half of the time goes into reading the context.
    fn steady(place: u64) -> u64 {
        10_000 + (100 + place) * 100
    }

    /// What happens as the machine throttles at token 30.
    fn throttled(place: u64) -> u64 {
        if place < 30 { steady(place) } else { steady(place) * 13 / 10 }
    }

    #[test]
    fn a_growing_context_is_no_drift() {
        assert_eq!(drift(&vec![trial(100, steady); 8], 0), None);
        assert_eq!(drift(&[trial(100, steady)], 0), None);
    }

    #[test]
    fn time_in_proportion_to_the_context_is_no_drift() {
        assert_eq!(drift(&[trial(20, |place| (20 + place) * 500)], 0), None);
    }

    #[test]
    fn a_repetition_that_slows_down_alone_is_named() {
        let mut trials = vec![trial(100, steady); 8];
        trials[4] = trial(100, throttled);
        let found = drift(&trials, 0).expect("it throttled");
        assert_eq!(found.repetition, 5);
        // The usual ratio is 24,950 to 20,950, and here the late tokens take 1.3 times as long.
        assert!((found.excess - 0.3).abs() < 1e-3, "{}", found.excess);
    }

    #[test]
    fn all_repetitions_may_not_outgrow_their_context() {
        // From token 10 to 50 a context of 1,000 grows by 4 %, and tokens slow down by 30 %.
        let slowing = |place| if place < 30 { 20_000 } else { 26_000 };
        let found = drift(&vec![trial(1_000, slowing); 8], 0).expect("all throttled");
        assert!(
            (found.excess - (1.3 / (1_050.0 / 1_010.0) - 1.0)).abs() < 1e-9,
            "{}",
            found.excess
        );
    }

    #[test]
    fn what_was_in_the_cache_before_is_context_too() {
        // From token 10 to 50 a context of 20 more than doubles; one of 1,000, of which 980 came before, grows by 4 %.
        let slowing = |place| if place < 30 { 20_000 } else { 26_000 };
        let trials = vec![trial(20, slowing); 2];
        assert_eq!(drift(&trials, 0), None);
        let found = drift(&trials, 980).expect("all throttled");
        assert!((found.excess - (1.3 / (1_050.0 / 1_010.0) - 1.0)).abs() < 1e-9);
    }

    #[test]
    fn a_few_slow_tokens_are_no_drift() {
        let spikes = |place: u64| if place % 10 == 9 { 80_000 } else { 20_000 };
        assert_eq!(drift(&vec![trial(100, spikes); 3], 0), None);
    }

    #[test]
    fn a_short_answer_tells_nothing() {
        let short = Trial::with_stamps((0..24).map(|token: u64| token * token * 1_000).collect());
        assert_eq!(drift(&[short], 0), None);
    }
}
