//! Whole numbers as a command line lists them: one by one, or in llama-bench's ranges.

use std::str::FromStr;

use thiserror::Error;

/// Numbers that one list may have.
const MOST: usize = 1_000;

/// Whole numbers in the order in which they were written.
///
/// Between commas stand numbers or ranges: `128-512` counts up one by one, `128-512+128` by 128, and `128-2048*2` doubles;
/// the last number is part of a range where it is met. This is the syntax of `llama-bench`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers(pub Vec<u32>);

/// Text that lists no numbers.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotNumbers {
    /// A part that is neither a number nor a range.
    #[error("`{0}` is neither a number nor a range such as `128-512+128` or `128-2048*2`")]
    Part(String),
    /// A range whose end lies below its beginning.
    #[error("`{0}` ends below its beginning")]
    Backwards(String),
    /// A range that would never end.
    #[error("`{0}` never ends: add 1 or more, or multiply 1 or more by 2 or more")]
    Endless(String),
    /// More numbers than anyone means.
    #[error("there are more than {MOST} numbers")]
    TooMany,
}

impl FromStr for Numbers {
    type Err = NotNumbers;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut numbers = Vec::new();
        for part in text.split(',').map(str::trim) {
            let Range { first, last, next } = part.parse()?;
            let mut number = Some(first);
            while let Some(now) = number.filter(|now| *now <= last) {
                if numbers.len() == MOST {
                    return Err(NotNumbers::TooMany);
                }
                numbers.push(now);
                // Behind the largest number nothing comes.
                number = next.after(now);
            }
        }
        Ok(Self(numbers))
    }
}

struct Range {
    first: u32,
    last: u32,
    next: Next,
}

#[derive(Clone, Copy)]
enum Next {
    Plus(u32),
    Times(u32),
}

impl Next {
    fn after(self, number: u32) -> Option<u32> {
        match self {
            Self::Plus(step) => number.checked_add(step),
            Self::Times(factor) => number.checked_mul(factor),
        }
    }
}

impl FromStr for Range {
    type Err = NotNumbers;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |part: &str| {
            let digits = part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse::<u32>().ok().filter(|_| digits)
        };
        let number = |part| number(part).ok_or_else(|| NotNumbers::Part(text.to_owned()));
        let Some((first, rest)) = text.split_once('-') else {
            let only = number(text)?;
            return Ok(Self { first: only, last: only, next: Next::Plus(1) });
        };
        let (last, next) = if let Some((last, step)) = rest.split_once('+') {
            (last, Next::Plus(number(step)?))
        } else if let Some((last, factor)) = rest.split_once('*') {
            (last, Next::Times(number(factor)?))
        } else {
            (rest, Next::Plus(1))
        };
        let (first, last) = (number(first)?, number(last)?);
        if last < first {
            return Err(NotNumbers::Backwards(text.to_owned()));
        }
        let moves = next.after(first).is_none_or(|second| second > first);
        if !moves {
            return Err(NotNumbers::Endless(text.to_owned()));
        }
        Ok(Self { first, last, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn case(text: &str, expected: &[u32]) {
        assert_eq!(text.parse(), Ok(Numbers(expected.to_vec())));
    }

    #[track_caller]
    fn refused(text: &str, message: &str) {
        assert_eq!(text.parse::<Numbers>().unwrap_err().to_string(), message);
    }

    #[test]
    fn lists_and_ranges_are_read_as_llama_bench_reads_them() {
        case("512", &[512]);
        case("0,1024", &[0, 1024]);
        case("128, 512-2048*2", &[128, 512, 1024, 2048]);
        case("100-400+100", &[100, 200, 300, 400]);
        // The end is left out where it is not met.
        case("100-399+100", &[100, 200, 300]);
        case("1-100*3", &[1, 3, 9, 27, 81]);
        case("3-6", &[3, 4, 5, 6]);
        case("7-7*2", &[7]);
        case("4294967290-4294967295+3", &[4_294_967_290, 4_294_967_293]);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let neither = "is neither a number nor a range such as `128-512+128` or `128-2048*2`";
        for text in ["", "x", "1,", "-5", "+5", "1-", "1-5+", "1-5*x", "1-2-3", "5000000000"] {
            let part = text.trim_start_matches("1,");
            refused(text, &format!("`{part}` {neither}"));
        }
        refused("512-128", "`512-128` ends below its beginning");
        for text in ["1-5+0", "0-8*2", "1-8*1", "1-8*0"] {
            let message = "never ends: add 1 or more, or multiply 1 or more by 2 or more";
            refused(text, &format!("`{text}` {message}"));
        }
        refused("1-1001", "there are more than 1000 numbers");
    }
}
