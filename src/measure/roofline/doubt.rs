//! Whether the work was done that a figure claims: MLX computes nothing until it is asked, and a loop that does not ask
//! is fast.

use std::fmt;

use super::{Roofline, utilization};
use crate::measure::{
    outcome::{Failure, Stage},
    statistics::median,
    trial::Trial,
};

/// What memory may seem to give beyond its ceiling: no ceiling is measured exactly.
const BEYOND_CEILING: f64 = 1.2;

/// How much shorter tokens may be than a step that was waited for. A loop that is one step ahead hides what the host
/// does and what waiting costs, which is most of a small model's step; the rest cannot be hidden.
const HIDDEN: f64 = 8.0;

/// Gaps between tokens from which on their median says anything.
const GAPS: usize = 4;

/// Why the work of a cell cannot have been done when it says so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Doubt {
    /// Its steps read more than memory can give.
    Bytes {
        /// Bytes a second that it would have read.
        implied: f64,
        /// The ceiling.
        ceiling: f64,
    },
    /// Most of its tokens came faster than a step can be.
    Gaps {
        /// Median time between two tokens, in microseconds.
        gap_us: f64,
        /// The shortest step that was waited for, in microseconds.
        step_us: f64,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes { implied, ceiling } => write!(
                formatter,
                "not evaluated: its tokens would need {:.1} GB/s, and memory gives {:.1} at most",
                implied / 1e9,
                ceiling / 1e9
            ),
            Self::Gaps { gap_us, step_us } => write!(
                formatter,
                "not evaluated: half of its tokens came within {gap_us:.0} µs of the one before, and a step that is \
                 waited for takes {step_us:.0} µs"
            ),
        }
    }
}

impl From<Doubt> for Failure {
    fn from(doubt: Doubt) -> Self {
        let hint = "tokens were stamped before they were computed: this is a bug of the engine";
        Self {
            hint: Some(hint.to_owned()),
            ..Self::new(Stage::Decode, "not_evaluated", doubt.to_string())
        }
    }
}

/// Why the work of `trials` cannot have been done, where that is so of half of them or more.
pub fn doubt(roofline: &Roofline, trials: &[Trial]) -> Option<Doubt> {
    let doubts: Vec<Doubt> = trials.iter().filter_map(|trial| of_trial(roofline, trial)).collect();
    doubts.first().copied().filter(|_| doubts.len() * 2 >= trials.len())
}

/// Whether `trial` seems to have been given more than the machine was seen to give, or is in doubt: then the machine may
/// have been busy when it was looked at.
pub fn deserves_another_look(roofline: &Roofline, trial: &Trial) -> bool {
    let trial = std::slice::from_ref(trial);
    let use_of_memory = utilization(roofline, trial).decode.map(|decode| decode.mbu);
    use_of_memory.is_some_and(|mbu| mbu > 1.0) || doubt(roofline, trial).is_some()
}

fn of_trial(roofline: &Roofline, trial: &Trial) -> Option<Doubt> {
    too_many_bytes(roofline, trial).or_else(|| too_short_gaps(roofline, trial))
}

/// The step of the second token may have ended before the first was visible, so it does not count.
fn too_many_bytes(roofline: &Roofline, trial: &Trial) -> Option<Doubt> {
    let ceiling = reached(roofline)?;
    let tokens = trial.visible_us.len() as u64;
    let steps = tokens.checked_sub(2).filter(|steps| *steps > 0)?;
    let bytes = roofline.demand.decode_bytes(u64::from(trial.prompt_tokens), tokens)?;
    let least_s = steps as f64 * bytes / (BEYOND_CEILING * ceiling);
    let (first, last) = (trial.visible_us.first()?, trial.visible_us.last()?);
    // Stamps are whole microseconds, so that no time at all is less than one.
    let took_s = last.saturating_sub(*first).max(1) as f64 / 1e6;
    let implied = steps as f64 * bytes / took_s;
    (took_s < least_s).then_some(Doubt::Bytes { implied, ceiling })
}

/// The most that memory was seen to give: to an operation, or to a step of the model that was waited for.
fn reached(roofline: &Roofline) -> Option<f64> {
    let ceiling = roofline.ceilings.bandwidth()?.bytes_per_s;
    let step_us = roofline.step_us.filter(|step_us| *step_us > 0.0);
    let step = step_us.map(|step_us| roofline.demand.step_bytes(1) as f64 * 1e6 / step_us);
    Some(step.map_or(ceiling, |step| step.max(ceiling)))
}

fn too_short_gaps(roofline: &Roofline, trial: &Trial) -> Option<Doubt> {
    let step_us = roofline.step_us?;
    let gaps = trial.visible_us.windows(2).filter_map(|pair| match pair {
        [before, after] => Some(after.saturating_sub(*before) as f64),
        _ => None,
    });
    let gaps: Vec<f64> = gaps.collect();
    let gap_us = median(&gaps).filter(|_| gaps.len() >= GAPS)?;
    (gap_us * HIDDEN < step_us).then_some(Doubt::Gaps { gap_us, step_us })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::roofline::{Bandwidth, Ceilings, Demand, Kernel};

    /// A model of 1 GB on memory of 100 GB/s: a token takes 10 ms, and 8.3 ms are believed.
    fn roofline() -> Roofline {
        Roofline {
            demand: Demand { weight_bytes: 1_000_000_000, ..Demand::default() },
            ceilings: Ceilings {
                bandwidths: vec![Bandwidth {
                    kernel: Kernel::Copy,
                    format: "float32".to_owned(),
                    shape: None,
                    working_set_bytes: 1 << 28,
                    bytes_per_s: 1e11,
                }],
                compute: Vec::new(),
            },
            step_us: Some(12_000.0),
        }
    }

    /// The kind of doubt about tokens that come after these gaps.
    fn doubted(gaps_us: &[u64]) -> Option<&'static str> {
        let mut visible_us = vec![500_000];
        for gap in gaps_us {
            visible_us.push(visible_us.last().unwrap() + gap);
        }
        let trial = Trial::with_stamps(visible_us);
        doubt(&roofline(), &[trial]).map(|doubt| match doubt {
            Doubt::Bytes { .. } => "bytes",
            Doubt::Gaps { .. } => "gaps",
        })
    }

    #[test]
    fn tokens_at_the_ceiling_are_believed_and_a_fifth_more_is_not() {
        assert_eq!(doubted(&[10_000; 100]), None);
        assert_eq!(doubted(&[8500; 100]), None);
        assert_eq!(doubted(&[8200; 100]), Some("bytes"));
        assert_eq!(doubted(&[0; 3]), Some("bytes"));
    }

    #[test]
    fn what_a_step_of_the_model_was_given_is_believed_too() {
        // A step of 5 ms was waited for: 200 GB/s, whatever the kernels gave.
        let roofline = Roofline { step_us: Some(5000.0), ..roofline() };
        let trial = |gap: u64| Trial::with_stamps((0..100).map(|token| token * gap).collect());
        assert_eq!(doubt(&roofline, &[trial(4300)]), None);
        assert!(matches!(doubt(&roofline, &[trial(4000)]), Some(Doubt::Bytes { .. })));
    }

    #[test]
    fn a_second_token_may_have_been_ready_with_the_first() {
        assert_eq!(doubted(&[0]), None);
        assert_eq!(doubted(&[0, 10_000]), None);
        assert_eq!(doubted(&[]), None);
    }

    #[test]
    fn what_is_beyond_a_ceiling_or_in_doubt_deserves_another_look() {
        let of = |gap_us: u64| {
            let trial = Trial::with_stamps((0..100).map(|token| token * gap_us).collect());
            deserves_another_look(&roofline(), &trial)
        };
        assert_eq!([10_100, 9_900, 5_000].map(of), [false, true, true]);
        let bursts = [vec![0; 20], vec![10_000_000; 19]].concat();
        assert!(deserves_another_look(&roofline(), &Trial::with_stamps(bursts)));
    }

    #[test]
    fn tokens_that_come_in_bursts_are_not_believed() {
        // Twenty at once, as slow as can be in all.
        let burst = [vec![0; 19], vec![300_000]].concat();
        let lazy = [burst.clone(), burst.clone(), burst, vec![0; 19]].concat();
        assert_eq!(doubted(&lazy), Some("gaps"));
    }

    #[test]
    fn a_machine_that_stands_still_is_believed() {
        // A minute for one of 64 tokens, and every tenth late with the next one ready behind it.
        let mut gaps = vec![10_000; 63];
        gaps[30] = 60_000_000;
        assert_eq!(doubted(&gaps), None);
        let late: Vec<u64> = (0..60).flat_map(|_| [10_000, 10_000, 20_000, 0]).collect();
        assert_eq!(doubted(&late), None);
    }

    #[test]
    fn one_repetition_of_three_is_no_doubt() {
        let trial = |gap: u64| Trial::with_stamps((0..9).map(|token| token * gap).collect());
        let trials = [trial(1), trial(10_000), trial(10_000)];
        assert_eq!(doubt(&roofline(), &trials), None);
        assert!(doubt(&roofline(), &trials[..2]).is_some());
        assert_eq!(doubt(&roofline(), &[]), None);
    }

    #[test]
    fn what_is_not_known_is_not_judged() {
        let unknown = Roofline { ceilings: Ceilings::default(), step_us: None, ..roofline() };
        let trial = Trial::with_stamps(vec![0; 50]);
        assert_eq!(doubt(&unknown, &[trial]), None);
    }
}
