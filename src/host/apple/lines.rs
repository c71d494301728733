//! Lines of the form `key: value`, as `sysctl`, `sw_vers` and `vm_stat` print them.

use std::str::FromStr;

/// The value of the first line `key: value`; a key may be indented.
pub(super) fn text<'a>(lines: &'a str, key: &str) -> Option<&'a str> {
    let mut lines = lines.lines();
    let value = lines.find_map(|line| line.trim_start().strip_prefix(key)?.strip_prefix(':'))?;
    Some(value.trim()).filter(|value| !value.is_empty())
}

/// The same, as a number; what is none is unknown.
pub(super) fn number<T: FromStr>(lines: &str, key: &str) -> Option<T> {
    text(lines, key)?.parse().ok()
}

/// The same, where 1 is yes and 0 is no.
pub(super) fn answer(lines: &str, key: &str) -> Option<bool> {
    match text(lines, key)? {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_whole_and_a_value_may_be_missing() {
        let lines = "hw.model: Mac14,13\nhw.modelling: 1\nhw.empty:\n  hw.memsize: 68719476736\n";
        assert_eq!(text(lines, "hw.model"), Some("Mac14,13"));
        assert_eq!(number(lines, "hw.memsize"), Some(68_719_476_736_u64));
        assert_eq!(text(lines, "hw.empty"), None);
        assert_eq!(text(lines, "hw.mem"), None);
        assert_eq!(number::<u32>(lines, "hw.model"), None);
    }

    #[test]
    fn yes_and_no_are_one_and_zero() {
        let lines = "a: 1\nb: 0\nc: 2\n";
        assert_eq!((answer(lines, "a"), answer(lines, "b")), (Some(true), Some(false)));
        assert_eq!((answer(lines, "c"), answer(lines, "d")), (None, None));
    }
}
