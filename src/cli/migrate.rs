//! `migrate`: the lines of reports as lines of another version.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

use clap::Args;

use super::{Exit, printer::Printer};
use crate::report::{Account, Fate, Lines, Migration, SchemaVersion};

/// What is migrated, and where to.
#[derive(Clone, Debug, Args)]
pub(super) struct Arguments {
    /// Reports, one JSON object a line; they stay as they are
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The version that the lines are to be of
    #[arg(long, value_enum, value_name = "VERSION")]
    to: SchemaVersion,
    /// A new file for the lines; standard output without it
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Migrates every file, one after another into one output.
pub(super) fn run(arguments: &Arguments, printer: &Printer) -> Exit {
    let mut sink = match Sink::open(arguments.output.as_deref(), printer) {
        Ok(sink) => sink,
        Err(exit) => return exit,
    };
    let mut migration = Migration::new(arguments.to);
    let mut exit = Exit::Ok;
    for path in &arguments.files {
        match file(path, &mut migration, &mut sink) {
            Ok(0) => {}
            Ok(_) if exit == Exit::Ok => exit = Exit::No,
            Ok(_) => {}
            Err(Problem::Read(error)) => {
                printer.error(format!("cannot read `{}`: {error}", path.display()), None);
                exit = Exit::Io;
            }
            Err(Problem::Write(error)) => return sink.failed(&error),
        }
    }
    if let Err(error) = sink.end() {
        return sink.failed(&error);
    }
    for line in account(migration.account(), arguments.to) {
        printer.note(line);
    }
    exit
}

/// What ends the work on a file.
enum Problem {
    Read(io::Error),
    Write(io::Error),
}

/// Migrates one file; tells how many lines of it could not be.
fn file(path: &Path, migration: &mut Migration, sink: &mut Sink<'_>) -> Result<u64, Problem> {
    let mut lines = Lines::new(BufReader::new(File::open(path).map_err(Problem::Read)?));
    let mut left_out = 0;
    while let Some(line) = lines.next_line().map_err(Problem::Read)? {
        match line.text.and_then(|text| migration.line(text)) {
            Ok(text) => sink.line(&text).map_err(Problem::Write)?,
            Err(error) => {
                left_out += 1;
                let place = format!("{}:{}", path.display(), line.number);
                let hint = "`mlxk-harness check` tells all that does not fit";
                sink.printer.error(format!("{place} is left out: {error}"), Some(hint));
            }
        }
    }
    Ok(left_out)
}

/// Where the lines go.
struct Sink<'a> {
    printer: &'a Printer,
    file: Option<(BufWriter<File>, &'a Path)>,
}

impl<'a> Sink<'a> {
    /// A new file at `path`: what is there already is never written over.
    fn open(path: Option<&'a Path>, printer: &'a Printer) -> Result<Self, Exit> {
        let Some(path) = path else {
            return Ok(Self { printer, file: None });
        };
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(file) => Ok(Self { printer, file: Some((BufWriter::new(file), path)) }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let hint = "name a file that is not there yet, or remove this one";
                printer.error(format!("`{}` is there already", path.display()), Some(hint));
                Err(Exit::Usage)
            }
            Err(error) => {
                printer.error(format!("cannot make `{}`: {error}", path.display()), None);
                Err(Exit::Io)
            }
        }
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        if let Some((file, _)) = &mut self.file {
            return writeln!(file, "{text}");
        }
        self.printer.line(text);
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), |(file, _)| file.flush())
    }

    fn failed(&self, error: &io::Error) -> Exit {
        let path = self.file.as_ref().map_or(Path::new(""), |(_, path)| path);
        self.printer.error(format!("cannot write `{}`: {error}", path.display()), None);
        Exit::Io
    }
}

/// What was done, a line each.
fn account(account: &Account, target: SchemaVersion) -> Vec<String> {
    let count =
        |lines: u64| if lines == 1 { "1 line".to_owned() } else { format!("{lines} lines") };
    let mut text = Vec::new();
    for (version, lines) in &account.records {
        let what = if *version == target {
            format!("of {target} already")
        } else {
            format!("of {version} to {target}")
        };
        text.push(format!("{} {what}", count(*lines)));
    }
    if account.monitor > 0 {
        text.push(format!("{} of the memory monitor as before", count(account.monitor)));
    }
    for ((pointer, fate), lines) in &account.fields {
        let field = pointer.trim_start_matches('/').replace('/', ".");
        let lines = count(*lines);
        text.push(match fate {
            Fate::Derived(from) => format!("derived `{field}` from {from} in {lines}"),
            Fate::Unknown => format!("unknown `{field}` in {lines}: nothing there tells it"),
            Fate::Kept => format!("kept `{field}` below `metadata.mlxk_migration` in {lines}"),
            Fate::NoNumber => {
                format!(
                    "no number `{field}`, kept as text below `metadata.mlxk_migration` in {lines}"
                )
            }
        });
    }
    text
}
