//! Power and heat, as `pmset` and `notifyutil` print them.

use std::str::FromStr;

use crate::host::Power;

/// `Now drawing from 'AC Power'`, the first line of `pmset -g batt`.
pub(super) fn supply(supply: &str) -> Option<Power> {
    let (_, source) = supply.lines().next()?.split_once("drawing from '")?;
    match source.trim_end_matches('\'') {
        "AC Power" => Some(Power::Ac),
        "Battery Power" => Some(Power::Battery),
        "UPS Power" => Some(Power::Ups),
        _ => None,
    }
}

/// `lowpowermode 1` of `pmset -g`; machines with three modes say `powermode`, where 1 is the low one.
pub(super) fn is_low_power(settings: &str) -> Option<bool> {
    let mode: u32 = ["lowpowermode", "powermode"]
        .iter()
        .find_map(|key| last_of(settings, |words| words.next() == Some(key)))?;
    Some(mode == 1)
}

/// Percent of its clock that the processor may use: `CPU_Speed_Limit = 100` of `pmset -g therm`; Intel only.
pub(super) fn speed_limit(speed: &str) -> Option<u32> {
    last_of(speed, |words| words.next() == Some("CPU_Speed_Limit"))
}

/// The number after the key, from `notifyutil -g`.
pub(super) fn thermal_level(thermal: &str) -> Option<u32> {
    last_of(thermal, |words| words.next() == Some("com.apple.system.thermalpressurelevel"))
}

/// The last word of the first line that `is_it`.
fn last_of<T: FromStr>(
    lines: &str,
    is_it: impl Fn(&mut std::str::SplitWhitespace<'_>) -> bool,
) -> Option<T> {
    let line = lines.lines().find(|line| is_it(&mut line.split_whitespace()))?;
    line.split_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_of_power_is_told_by_its_name() {
        let battery = "Now drawing from 'Battery Power'\n -InternalBattery-0 (id=4653155)\t72%; \
                       discharging; 3:15 remaining present: true\n";
        assert_eq!(supply(battery), Some(Power::Battery));
        assert_eq!(supply("Now drawing from 'AC Power'\n"), Some(Power::Ac));
        assert_eq!(supply("Now drawing from 'UPS Power'\n"), Some(Power::Ups));
        assert_eq!(supply("Now drawing from 'Solar Power'\n"), None);
        assert_eq!(supply(""), None);
    }

    #[test]
    fn either_word_for_the_mode_is_known() {
        assert_eq!(is_low_power(" powernap             1\n lowpowermode         1\n"), Some(true));
        assert_eq!(is_low_power(" lowpowermode         0\n"), Some(false));
        assert_eq!(is_low_power(" powermode            2\n"), Some(false));
        assert_eq!(is_low_power(" powermode            1\n"), Some(true));
        assert_eq!(is_low_power(" powernap             1\n"), None);
    }

    #[test]
    fn a_clock_that_nobody_limited_has_no_limit() {
        let limited = "2026-08-20 05:08:37 -0700 CPU Power notify\n\tCPU_Scheduler_Limit \t= 80\n\
                       \tCPU_Available_CPUs \t= 12\n\tCPU_Speed_Limit \t= 62\n";
        assert_eq!(speed_limit(limited), Some(62));
        assert_eq!(speed_limit("Note: No thermal warning level has been recorded\n"), None);
    }

    #[test]
    fn heat_is_a_number_after_its_key() {
        assert_eq!(thermal_level("com.apple.system.thermalpressurelevel 2\n"), Some(2));
        assert_eq!(thermal_level("com.apple.system.thermalpressurelevel\n"), None);
        assert_eq!(thermal_level(""), None);
    }
}
