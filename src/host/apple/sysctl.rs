//! Values of `sysctl` that are more than a word or a number.

use super::lines::{number, text};
use crate::host::amount;

/// Cores by kind.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Cores {
    pub(super) performance: Option<u32>,
    pub(super) efficiency: Option<u32>,
}

impl Cores {
    /// The fastest level comes first. The second is slow only where it is not called otherwise.
    pub(super) fn of(machine: &str) -> Self {
        let fast: Option<u32> = number(machine, "hw.perflevel0.physicalcpu");
        let second: Option<u32> = number(machine, "hw.perflevel1.physicalcpu");
        match text(machine, "hw.perflevel1.name") {
            None | Some("Efficiency") => Self { performance: fast, efficiency: second },
            Some(_) => Self {
                performance: fast.zip(second).and_then(|(fast, second)| fast.checked_add(second)),
                efficiency: None,
            },
        }
    }
}

/// Bytes after `used = ` of `vm.swapusage`.
pub(super) fn swap_used(moment: &str) -> Option<u64> {
    let usage = text(moment, "vm.swapusage")?;
    let (_, used) = usage.split_once("used = ")?;
    let used = used.split_whitespace().next()?;
    let unit = match used.chars().last()? {
        'K' => 1_024.0,
        'M' => 1_048_576.0,
        'G' => 1_073_741_824.0,
        _ => return None,
    };
    let amount = amount(used.get(..used.len() - 1)?)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an amount is no negative number, and one beyond 2^64 bytes is the most there is"
    )]
    Some((amount * unit).round() as u64)
}

/// The first of `vm.loadavg: { 2.45 3.12 2.89 }`, which is that of the last minute.
pub(super) fn load_average(moment: &str) -> Option<f64> {
    let averages = text(moment, "vm.loadavg")?.strip_prefix('{')?;
    amount(averages.split_whitespace().next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_of_one_kind_of_core_tells_none_apart() {
        assert_eq!(Cores::of("hw.physicalcpu: 8\nhw.logicalcpu: 16\n"), Cores::default());
    }

    #[test]
    fn a_second_level_that_is_fast_too_counts_as_fast() {
        let facts = "hw.perflevel0.name: Super\nhw.perflevel0.physicalcpu: 6\n\
                     hw.perflevel1.name: Performance\nhw.perflevel1.physicalcpu: 12\n";
        assert_eq!(Cores::of(facts), Cores { performance: Some(18), efficiency: None });
    }

    #[track_caller]
    fn swap(line: &str, expected: Option<u64>) {
        assert_eq!(swap_used(&format!("vm.swapusage: {line}\n")), expected);
    }

    #[test]
    fn swap_is_read_in_any_unit() {
        let used = "total = 2048.00M  used = 1524.25M  free = 523.75M  (encrypted)";
        swap(used, Some(1_598_291_968));
        swap("total = 0.00M  used = 0.00M  free = 0.00M  (encrypted)", Some(0));
        swap("total = 4.00G  used = 1.50G  free = 2.50G", Some(1_610_612_736));
        swap("total = 4.00G  used = 512.00K  free = 3.99G", Some(524_288));
        swap("total = 4.00G  free = 4.00G", None);
        swap("total = 4.00G  used = someG", None);
        swap("total = 4.00G  used = nanG", None);
        swap("total = 4.00G  used = -1.00G", None);
    }

    #[test]
    fn the_load_is_that_of_the_last_minute() {
        assert_eq!(load_average("vm.loadavg: { 2.45 3.12 2.89 }\n"), Some(2.45));
        assert_eq!(load_average("vm.loadavg: { }\n"), None);
        assert_eq!(load_average("vm.loadavg: { nan }\n"), None);
        assert_eq!(load_average("vm.loadavg: 2.45\n"), None);
    }
}
