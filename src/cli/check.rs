//! `check`: whether every line of a report fits the schema it names.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use clap::Args;

use super::{Exit, printer::Printer};
use crate::report::{LineKind, check_line};

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
    /// Of mlx-knife's memory monitor, whose lines may stand among records.
    monitor: u64,
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
        match judge(&bytes) {
            Ok(LineKind::Record(_)) => tally.good += 1,
            Ok(LineKind::Monitor) => tally.monitor += 1,
            Err(reason) => {
                tally.bad += 1;
                printer.line(format!("{}:{number}: {reason}", path.display()));
            }
        }
    }
    printer.line(format!("{}: {}", path.display(), tally.to_text()));
    Ok(tally)
}

/// What a line is, or why it does not fit.
fn judge(bytes: &[u8]) -> Result<LineKind, String> {
    match std::str::from_utf8(bytes) {
        Ok(line) => check_line(line.trim_end()).map_err(|error| error.to_string()),
        Err(error) => Err(format!("byte {} is not UTF-8", error.valid_up_to() + 1)),
    }
}

impl Tally {
    fn to_text(self) -> String {
        let fit = match self.good {
            1 => "1 line fits".to_owned(),
            good => format!("{good} lines fit"),
        };
        let unfit = match self.bad {
            0 => String::new(),
            1 => ", 1 does not".to_owned(),
            bad => format!(", {bad} do not"),
        };
        let monitor = match self.monitor {
            0 => String::new(),
            1 => ", 1 is of the memory monitor".to_owned(),
            monitor => format!(", {monitor} are of the memory monitor"),
        };
        format!("{fit}{unfit}{monitor}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_speaks_in_numbers() {
        let text = |good, bad, monitor| Tally { good, bad, monitor }.to_text();
        assert_eq!(text(0, 0, 0), "0 lines fit");
        assert_eq!(text(1, 0, 0), "1 line fits");
        assert_eq!(text(2, 1, 0), "2 lines fit, 1 does not");
        assert_eq!(text(0, 2, 0), "0 lines fit, 2 do not");
        assert_eq!(text(3, 0, 7), "3 lines fit, 7 are of the memory monitor");
    }

    #[test]
    fn bytes_that_are_no_text_are_counted_from_one() {
        assert_eq!(judge(b"{\xff}").unwrap_err(), "byte 2 is not UTF-8");
    }
}
