//! `check`: whether every line of a report fits the schema it names, and what its readers will stumble over.

mod notice;

use std::{
    collections::BTreeMap,
    env,
    fs::File,
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use sysinfo::System;

pub(super) use self::notice::plain as shown;
use self::notice::{Level, Notice};
use super::{Exit, printer::Printer};
use crate::report::{Finding, LineError, LineKind, Lines, Linter, Names};

/// Warnings of one rule that are told one by one; of more only the number.
const TOLD: u64 = 3;

/// What is checked.
#[derive(Clone, Debug, Args)]
pub(super) struct Arguments {
    /// Reports, one JSON object a line
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Answers no also where a line fits its schema and readers still stumble over it
    #[arg(long)]
    strict: bool,
    /// How findings are printed
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
    /// As `--format json`
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line each; of a warning that comes again and again only the first three
    Human,
    /// A JSON object each, and one for each file
    Json,
    /// Annotations of GitHub's actions
    Github,
}

/// Checks every file, whatever becomes of the others.
pub(super) fn run(arguments: &Arguments, printer: &Printer) -> Exit {
    let format = if arguments.json { Format::Json } else { arguments.format };
    let names = names();
    let mut exit = Exit::Ok;
    for path in &arguments.files {
        let mut check = Check { path, format, printer, tally: Tally::default() };
        match check.file(names.clone()) {
            Ok(()) => {
                let is_bad =
                    check.tally.bad > 0 || (arguments.strict && check.tally.warnings() > 0);
                if is_bad && exit == Exit::Ok {
                    exit = Exit::No;
                }
            }
            Err(error) => {
                printer.error(format!("cannot read `{}`: {error}", path.display()), None);
                exit = Exit::Io;
            }
        }
    }
    exit
}

/// The user and the machine that look at a report: most likely they also made it.
pub(super) fn names() -> Names {
    let user = env::var("USER").or_else(|_| env::var("LOGNAME")).ok();
    let host = System::host_name().ok();
    let host = host.map(|host| host.split('.').next().unwrap_or_default().to_owned());
    Names { user, host }
}

/// Lines of a file, but for blank ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tally {
    good: u64,
    bad: u64,
    /// Of mlx-knife's memory monitor, whose lines may stand among records.
    monitor: u64,
    /// Findings of each rule in lines that fit.
    found: BTreeMap<&'static str, u64>,
}

/// The check of one file.
struct Check<'a> {
    path: &'a Path,
    format: Format,
    printer: &'a Printer,
    tally: Tally,
}

impl Check<'_> {
    fn file(&mut self, names: Names) -> io::Result<()> {
        let mut lines = Lines::new(BufReader::new(File::open(self.path)?));
        let mut linter = Linter::new(names);
        while let Some(line) = lines.next_line()? {
            match line.text.and_then(|text| linter.look(line.number, text)) {
                Ok((LineKind::Monitor, _)) => self.tally.monitor += 1,
                Ok((LineKind::Record(_), findings)) => {
                    self.tally.good += 1;
                    for finding in findings {
                        self.warn(Some(line.number), finding);
                    }
                }
                Err(error) => {
                    self.tally.bad += 1;
                    self.tell(&unfit(line.number, &error));
                }
            }
        }
        if let Some(finding) = linter.end() {
            self.warn(None, finding);
        }
        self.end();
        Ok(())
    }

    fn warn(&mut self, line: Option<u64>, finding: Finding) {
        let Finding { rule, pointer, message } = finding;
        let found = self.tally.found.entry(rule).or_default();
        *found += 1;
        if *found <= TOLD || self.format == Format::Json {
            self.tell(&Notice { level: Level::Warning, rule, line, pointer, message });
        }
    }

    fn tell(&self, notice: &Notice) {
        let text = match self.format {
            Format::Human => notice.to_human(self.path),
            Format::Json => notice.to_json(self.path),
            Format::Github => notice.to_github(self.path),
        };
        self.printer.line(text);
    }

    fn end(&self) {
        let path = self.path.display();
        match self.format {
            Format::Json => self.printer.line(self.tally.to_json(self.path)),
            Format::Human | Format::Github => {
                for (rule, found) in &self.tally.found {
                    if let Some(more @ 1..) = found.checked_sub(TOLD) {
                        self.printer.line(format!("{path}: warning: {more} more of [{rule}]"));
                    }
                }
                self.printer.line(format!("{path}: {}", self.tally.to_text()));
            }
        }
    }
}

/// A line that is no record.
fn unfit(line: u64, error: &LineError) -> Notice {
    let (rule, pointer) = match error {
        LineError::Mismatch(mismatch) => ("schema", mismatch.pointer.clone()),
        LineError::NotJson(_) | LineError::NotText(_) | LineError::TooLong => {
            ("line", String::new())
        }
    };
    Notice { level: Level::Error, rule, line: Some(line), pointer, message: error.to_string() }
}

impl Tally {
    fn warnings(&self) -> u64 {
        self.found.values().sum()
    }

    fn to_text(&self) -> String {
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
        let warnings = match self.warnings() {
            0 => String::new(),
            1 => "; 1 warning".to_owned(),
            warnings => format!("; {warnings} warnings"),
        };
        format!("{fit}{unfit}{monitor}{warnings}")
    }

    fn to_json(&self, path: &Path) -> serde_json::Value {
        serde_json::json!({
            "file": path.to_string_lossy(),
            "fit": self.good,
            "unfit": self.bad,
            "monitor": self.monitor,
            "warnings": self.found,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_speaks_in_numbers() {
        let text = |good, bad, monitor, warnings: u64| {
            let found = BTreeMap::from([("health", warnings)]);
            Tally { good, bad, monitor, found }.to_text()
        };
        assert_eq!(text(0, 0, 0, 0), "0 lines fit");
        assert_eq!(text(1, 0, 0, 0), "1 line fits");
        assert_eq!(text(2, 1, 0, 1), "2 lines fit, 1 does not; 1 warning");
        assert_eq!(text(0, 2, 0, 0), "0 lines fit, 2 do not");
        let all = "3 lines fit, 7 are of the memory monitor; 2 warnings";
        assert_eq!(text(3, 0, 7, 2), all);
    }
}
