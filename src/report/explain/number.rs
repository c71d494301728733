//! The numbers of a line, as they are written there.
//!
//! A binary fraction of 64 bits cannot tell all decimal numbers of 17 digits apart, so a digit that was changed may be
//! lost in reading. What is compared here are the digits themselves.

use serde_json::Value;

use crate::report::lenient;

/// A number of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leaf<'a> {
    /// Where it stands, as a JSON pointer.
    pub(super) pointer: String,
    /// Its digits.
    pub(super) text: &'a str,
}

/// Every number of `text`, which reads as `line`; none where a key stands twice, so that one of its values is lost.
pub(super) fn numbers<'a>(text: &'a str, line: &Value) -> Option<Vec<Leaf<'a>>> {
    let pointers = pointers(line);
    let is_number = |token: &&str| token.starts_with(|first: char| "-0123456789".contains(first));
    let texts: Vec<&str> = lenient::tokens(text).filter(is_number).collect();
    (texts.len() == pointers.len()).then(|| {
        pointers.into_iter().zip(texts).map(|(pointer, text)| Leaf { pointer, text }).collect()
    })
}

/// The JSON pointers of all numbers of `value`, in the order in which they are written.
pub(super) fn pointers(value: &Value) -> Vec<String> {
    let mut pointers = Vec::new();
    collect(value, String::new(), &mut pointers);
    pointers
}

fn collect(value: &Value, pointer: String, pointers: &mut Vec<String>) {
    match value {
        Value::Number(_) => pointers.push(pointer),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, format!("{pointer}/{index}"), pointers);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                let key = key.replace('~', "~0").replace('/', "~1");
                collect(member, format!("{pointer}/{key}"), pointers);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Whether `text` is how `value` is written: in as few digits as tell it from others, or in 17.
pub(super) fn states(text: &str, value: f64) -> bool {
    let stated = Decimal::of(text);
    stated.is_some()
        && [format!("{value:e}"), format!("{value:.16e}")]
            .iter()
            .any(|written| Decimal::of(written) == stated)
}

/// A decimal number, whatever way it is written: `2.50` is `250e-2`.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    /// Neither the first nor the last is 0; of zero there are none.
    digits: String,
    /// What the power of ten of the last digit is.
    exponent: i64,
}

impl Decimal {
    fn of(text: &str) -> Option<Self> {
        let (is_negative, size) = text.strip_prefix('-').map_or((false, text), |size| (true, size));
        let (mantissa, exponent) = match size.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?.into()),
            None => (size, 0_i64),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let exponent = exponent - i64::try_from(fraction.len()).ok()?;
        let digits = all.trim_end_matches('0');
        if digits.is_empty() {
            return Some(Self { is_negative: false, digits: String::new(), exponent: 0 });
        }
        let exponent = exponent + i64::try_from(all.len() - digits.len()).ok()?;
        Some(Self { is_negative, digits: digits.trim_start_matches('0').to_owned(), exponent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Vec<(String, String)>> {
        let line = serde_json::from_str(text).unwrap();
        let leaves = numbers(text, &line)?.into_iter();
        Some(leaves.map(|leaf| (leaf.pointer, leaf.text.to_owned())).collect())
    }

    #[test]
    fn numbers_are_found_with_their_places_and_digits() {
        let pairs = |expected: &[(&str, &str)]| {
            let owned = |pair: &(&str, &str)| (pair.0.to_owned(), pair.1.to_owned());
            Some(expected.iter().map(owned).collect::<Vec<_>>())
        };
        assert_eq!(
            of(r#"{"a": [1.50, {"b": -2e3}], "7 \"8": "9", "x/y": 0, "t": [true, null, 4]}"#),
            pairs(&[("/a/0", "1.50"), ("/a/1/b", "-2e3"), ("/x~1y", "0"), ("/t/2", "4")])
        );
        assert_eq!(of("[]"), Some(vec![]));
    }

    #[test]
    fn a_key_that_stands_twice_hides_no_number() {
        assert_eq!(of(r#"{"a": 1, "a": 2}"#), None);
        assert_eq!(of(r#"{"a": {"b": 1}, "a": {"b": 1}}"#), None);
    }

    #[track_caller]
    fn stated(text: &str, value: f64, expected: bool) {
        assert_eq!(states(text, value), expected, "{text} for {value}");
    }

    #[test]
    fn a_number_is_the_same_in_any_notation() {
        for text in ["24.0", "24", "2.4e1", "0.24E+2", "240e-1", "2.4000000000000000e+01"] {
            stated(text, 24.0, true);
        }
        stated("0", 0.0, true);
        stated("-0.0", 0.0, true);
        stated("1e-05", 0.000_01, true);
        // As `%.17g` of other programs writes it.
        stated("0.10000000000000001", 0.1, true);
        stated("-1.5", 1.5, false);
        stated("", 1.0, false);
        stated("1e99999999999", 1.0, false);
    }

    #[test]
    fn a_digit_that_reading_would_lose_is_seen() {
        let text = "19.234567890123458";
        let value: f64 = text.parse().unwrap();
        let edited = "19.234567890123457";
        assert_eq!(edited.parse(), Ok(value), "both read as the same");
        stated(text, value, true);
        stated(edited, value, false);
    }
}
