//! Whether a cell's figures are to be believed: what speaks against them in the samples themselves.
//!
//! Sensors say that all is well while a third of the speed is gone, so the work's own timing judges.

mod canary;
mod drift;

use serde::Serialize;

use super::{
    rates,
    statistics::{Direction, shift, trend},
    trial::Trial,
};

pub use canary::{Canary, Pace};
pub use drift::{Drift, drift};

/// Something that speaks against the figures of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// Speed jumped from one repetition to the next and stayed there.
    Jump,
    /// Later repetitions were slower.
    Slowing,
    /// Later repetitions were faster: the warm-up was too short.
    Settling,
    /// Tokens slowed down inside of a repetition beyond what the context explains.
    Drift,
    /// The device was slow, and stayed so after it rested.
    Throttled,
}

impl Flag {
    /// All of them, in the order they are told.
    pub const ALL: [Self; 5] =
        [Self::Jump, Self::Slowing, Self::Settling, Self::Drift, Self::Throttled];

    /// A short stable name, the same as in a report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jump => "jump",
            Self::Slowing => "slowing",
            Self::Settling => "settling",
            Self::Drift => "drift",
            Self::Throttled => "throttled",
        }
    }

    /// What it says, for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Jump => "from one repetition to the next the speed changed and stayed so",
            Self::Slowing => "later repetitions were slower: the machine may have been hot or busy",
            Self::Settling => "later repetitions were faster: the warm-up was too short",
            Self::Drift => "tokens slowed down within a repetition more than their context grew",
            Self::Throttled => "a fixed piece of work took longer than before, also after a rest",
        }
    }
}

/// What speaks against the figures of repetitions after `depth` tokens, in the order they were measured; each once.
///
/// Judged are the rates of prompt and decode. A jump is also a trend, and is told alone.
pub fn flags(trials: &[Trial], depth: u32) -> Vec<Flag> {
    let rates = [rates::prompt_rate, rates::decode_rate];
    let mut flags: Vec<Flag> = rates
        .into_iter()
        .filter_map(|rate| of_rates(&trials.iter().filter_map(rate).collect::<Vec<_>>()))
        .chain(drift(trials, depth).map(|_| Flag::Drift))
        .chain(
            trials
                .iter()
                .filter_map(|trial| trial.canary)
                .any(Canary::is_slow)
                .then_some(Flag::Throttled),
        )
        .collect();
    flags.sort_unstable();
    flags.dedup();
    flags
}

fn of_rates(rates: &[f64]) -> Option<Flag> {
    if shift(rates).is_some() {
        return Some(Flag::Jump);
    }
    match trend(rates)?.direction? {
        Direction::Falling => Some(Flag::Slowing),
        Direction::Rising => Some(Flag::Settling),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight repetitions of 33 tokens; of each, how long its tokens take in microseconds.
    fn repetitions(gaps_us: [u64; 8]) -> Vec<Trial> {
        gaps_us
            .into_iter()
            .map(|gap| {
                let mut trial =
                    Trial::with_stamps((0..33).map(|token| 50_000 + token * gap).collect());
                trial.prompt_tokens = 64;
                trial
            })
            .collect()
    }

    #[test]
    fn steady_repetitions_have_no_flag() {
        let noisy = [20_000, 20_300, 19_900, 20_100, 20_200, 19_800, 20_000, 20_100];
        assert_eq!(flags(&repetitions(noisy), 0), []);
        assert_eq!(flags(&[], 0), []);
    }

    #[test]
    fn a_slide_is_slowing_and_its_mirror_settling() {
        let slide = [20_000, 20_200, 20_700, 20_900, 21_300, 21_200, 21_900, 22_200];
        assert_eq!(flags(&repetitions(slide), 0), [Flag::Slowing]);
        let mut mirrored = slide;
        mirrored.reverse();
        assert_eq!(flags(&repetitions(mirrored), 0), [Flag::Settling]);
    }

    #[test]
    fn a_step_is_a_jump_alone() {
        let step = [20_000, 20_100, 19_900, 20_000, 26_000, 26_100, 25_900, 26_200];
        assert_eq!(flags(&repetitions(step), 0), [Flag::Jump]);
    }

    #[test]
    fn a_slide_of_the_prompt_counts_too() {
        let mut trials = repetitions([20_000; 8]);
        for (trial, late) in trials.iter_mut().zip(0..) {
            for stamp in &mut trial.visible_us {
                *stamp += late * 1_000;
            }
        }
        assert_eq!(flags(&trials, 0), [Flag::Slowing]);
    }

    #[test]
    fn names_are_those_of_a_report() {
        for flag in Flag::ALL {
            assert_eq!(serde_json::json!(flag), flag.name());
        }
    }
}
