//! `check`: whether every line of a report fits the schema it names.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use clap::Args;

use super::{Exit, printer::Printer};
use crate::report;

/// What is checked.
#[derive(Clone, Debug, Args)]
pub(super) struct Arguments {
    /// Reports, one JSON object a line
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Checks every file, whatever becomes of the others.
pub(super) fn run(arguments: &Arguments, printer: &Printer) -> Exit {
    let mut exit = Exit::Ok;
    for path in &arguments.files {
        match check(path, printer) {
            Ok(Tally { bad: 0, .. }) => {}
            Ok(_) if exit == Exit::Ok => exit = Exit::No,
            Ok(_) => {}
            Err(error) => {
                printer.error(format!("cannot read `{}`: {error}", path.display()), None);
                exit = Exit::Io;
            }
        }
    }
    exit
}

/// Lines of a file, but for blank ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    good: u64,
    bad: u64,
}

/// Reads a line at a time: a report may be larger than memory.
fn check(path: &Path, printer: &Printer) -> io::Result<Tally> {
    let mut file = BufReader::new(File::open(path)?);
    let mut tally = Tally::default();
    let mut bytes = Vec::new();
    for number in 1_u64.. {
        bytes.clear();
        if file.read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        match reason(&bytes) {
            None => tally.good += 1,
            Some(reason) => {
                tally.bad += 1;
                printer.line(format!("{}:{number}: {reason}", path.display()));
            }
        }
    }
    printer.line(format!("{}: {}", path.display(), tally.to_text()));
    Ok(tally)
}

/// Why a line does not fit, if it does not.
fn reason(bytes: &[u8]) -> Option<String> {
    match std::str::from_utf8(bytes) {
        Ok(line) => report::validate(line.trim_end())
            .err()
            .map(|error| error.to_string()),
        Err(error) => Some(format!("byte {} is not UTF-8", error.valid_up_to() + 1)),
    }
}

impl Tally {
    fn to_text(self) -> String {
        let Self { good, bad } = self;
        let lines = |count| if count == 1 { "line" } else { "lines" };
        match (good, bad) {
            (0, 0) => "no line".to_owned(),
            (1, 0) => "1 line fits".to_owned(),
            (_, 0) => format!("{good} lines fit"),
            (_, 1) => format!("{good} {} fit, 1 does not", lines(good)),
            (_, _) => format!("{good} {} fit, {bad} do not", lines(good)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_speaks_in_numbers() {
        let text = |good, bad| Tally { good, bad }.to_text();
        assert_eq!(text(0, 0), "no line");
        assert_eq!(text(1, 0), "1 line fits");
        assert_eq!(text(3, 0), "3 lines fit");
        assert_eq!(text(2, 1), "2 lines fit, 1 does not");
        assert_eq!(text(0, 2), "0 lines fit, 2 do not");
    }

    #[test]
    fn bytes_that_are_no_text_are_counted_from_one() {
        assert_eq!(reason(b"{\xff}").unwrap(), "byte 2 is not UTF-8");
    }
}
