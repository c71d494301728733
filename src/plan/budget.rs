//! Which models a machine is trusted with: mlx-knife's rules, before anything is loaded.

use std::str::FromStr;

use thiserror::Error;

/// Bytes of a GiB.
const GIB: f64 = 1_073_741_824.0;

/// Parts of the memory that models may need, in percent, from so many GiB of memory on.
const CLASSES: [(f64, u32); 4] = [(96.0, 70), (64.0, 60), (32.0, 50), (0.0, 40)];

/// Memory that is assumed of a machine that does not tell, in GiB.
const ASSUMED: f64 = 16.0;

/// What a model needs beyond its files, in percent of them.
const NEEDED_BESIDE: f64 = 20.0;

/// What models may need, as a user says it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum MemoryBudget {
    /// What mlx-knife's tests trust a machine with.
    #[default]
    Usual,
    /// So many GiB.
    Gib(f64),
    /// So much of the memory, in percent.
    Percent(f64),
    /// Whatever they want.
    Unlimited,
}

/// No budget reads so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no budget: write `12GB`, `60%` or `off`")]
pub struct NotABudget(String);

impl FromStr for MemoryBudget {
    type Err = NotABudget;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Self::Unlimited);
        }
        let number = |text: &str| {
            let number = text.trim().parse::<f64>().ok();
            number.filter(|number| number.is_finite() && *number > 0.0)
        };
        let lower = text.to_lowercase();
        let gib = || lower.strip_suffix("gib").or_else(|| lower.strip_suffix("gb"));
        let budget = match lower.strip_suffix('%') {
            Some(percent) => number(percent).map(Self::Percent),
            None => gib().and_then(number).map(Self::Gib),
        };
        budget.ok_or_else(|| NotABudget(text.to_owned()))
    }
}

impl MemoryBudget {
    /// Why a model whose files have `size_bytes` is not to be loaded on a machine with `memory_bytes`, in the words of
    /// mlx-knife's tests; nothing where it may be.
    pub fn refusal(self, size_bytes: u64, memory_bytes: Option<u64>) -> Option<String> {
        let memory = memory_bytes.map_or(ASSUMED, |bytes| bytes as f64 / GIB);
        let budget = match self {
            Self::Unlimited => return None,
            Self::Gib(budget) => budget,
            Self::Percent(percent) => memory * percent / 100.0,
            Self::Usual => memory * f64::from(usual_percent(memory)) / 100.0,
        };
        let need = size_bytes as f64 / GIB * (100.0 + NEEDED_BESIDE) / 100.0;
        (need > budget).then(|| {
            let percent = budget / memory * 100.0;
            format!(
                "Model requires {need:.1}GB but only {budget:.1}GB available ({percent:.0}% of {memory:.0}GB system RAM); \
                 `--memory-budget` sets another limit"
            )
        })
    }
}

fn usual_percent(memory: f64) -> u32 {
    let class = CLASSES.iter().find(|(from, _)| memory >= *from);
    class.map_or(0, |(_, percent)| *percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn trusts(memory_gib: Option<u64>, largest_gib: f64) {
        let memory = memory_gib.map(|memory| memory << 30);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is small")]
        let refuses =
            |size: f64| MemoryBudget::Usual.refusal((size * GIB) as u64, memory).is_some();
        assert!(!refuses(largest_gib - 0.01) && refuses(largest_gib + 0.01), "{memory_gib:?}");
    }

    #[test]
    fn larger_machines_are_trusted_with_larger_parts_of_their_memory() {
        // mlx-knife: 40 % of 16, 50 % of 32, 60 % of 64, 70 % of 96; a model needs 1.2 times its files.
        trusts(Some(16), 6.4 / 1.2);
        trusts(Some(32), 16.0 / 1.2);
        trusts(Some(64), 38.4 / 1.2);
        trusts(Some(96), 67.2 / 1.2);
        trusts(None, 6.4 / 1.2);
    }

    #[test]
    fn a_refusal_is_worded_as_mlx_knifes_tests_word_it() {
        let refusal = MemoryBudget::Usual.refusal(40 << 30, Some(64 << 30)).unwrap();
        assert!(
            refusal.starts_with(
                "Model requires 48.0GB but only 38.4GB available (60% of 64GB system RAM)"
            ),
            "{refusal}"
        );
    }

    #[test]
    fn a_budget_is_a_size_a_part_or_none() {
        let parse = |text: &str| text.parse::<MemoryBudget>().ok();
        assert_eq!(parse("12GB"), Some(MemoryBudget::Gib(12.0)));
        assert_eq!(parse("1.5 GiB"), Some(MemoryBudget::Gib(1.5)));
        assert_eq!(parse("60%"), Some(MemoryBudget::Percent(60.0)));
        assert_eq!(parse("off"), Some(MemoryBudget::Unlimited));
        for text in ["", "12", "-1GB", "0%", "nanGB", "12MB"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert!(MemoryBudget::Gib(1.0).refusal(1 << 30, Some(64 << 30)).is_some());
        assert!(MemoryBudget::Percent(90.0).refusal(40 << 30, Some(64 << 30)).is_none());
        assert!(MemoryBudget::Unlimited.refusal(u64::MAX, None).is_none());
    }
}
