//! `report`: reports as a table, a page or a data frame.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum, builder::PossibleValuesParser};
use jiff::Timestamp;

use super::{Exit, printer::Printer};
use crate::report::view::{self, VIEWS, mlx_knife};

/// What is shown, and how.
#[derive(Clone, Debug, Args)]
pub(super) struct Arguments {
    /// Reports, one JSON object a line; several tell each model over time
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How it is shown
    #[arg(long, default_value = "table", value_parser = formats())]
    format: String,
    /// A layout of another program instead, in Markdown
    #[arg(long, value_enum, conflicts_with = "format")]
    template: Option<Template>,
    /// An older report that the template compares with
    #[arg(long, value_name = "FILE", requires = "template")]
    compare: Option<PathBuf>,
    /// What was seen of the machine meanwhile, of `run --sample` or mlx-knife's memory monitor: a timeline in `html`, and
    /// how busy the GPU was in the template
    #[arg(long, value_name = "FILE")]
    memory: Vec<PathBuf>,
    /// A file for the text; standard output without it
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Layouts of other programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Template {
    /// Of mlx-knife's own report, version 1.1, with its known faults corrected and named
    MlxKnife,
}

fn formats() -> PossibleValuesParser {
    PossibleValuesParser::new(VIEWS.iter().map(|view| view.name))
}

/// Shows the files.
pub(super) fn run(arguments: &Arguments, printer: &Printer) -> Exit {
    let mut inputs = arguments.files.iter().chain(&arguments.memory).chain(&arguments.compare);
    if let Some(output) = &arguments.output
        && inputs.any(|input| is_same(input, output))
    {
        let hint = "name another file: a report is never written over";
        printer.error(format!("`{}` is also read", output.display()), Some(hint));
        return Exit::Usage;
    }
    match arguments.template {
        Some(Template::MlxKnife) => template(arguments, printer),
        None => show(arguments, printer),
    }
}

fn is_same(a: &Path, b: &Path) -> bool {
    match (fs::canonicalize(a), fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

fn open(path: &Path) -> io::Result<BufReader<File>> {
    Ok(BufReader::new(File::open(path)?))
}

fn unreadable(path: &Path, error: &io::Error, printer: &Printer) -> Exit {
    printer.error(format!("cannot read `{}`: {error}", path.display()), None);
    Exit::Io
}

/// Where lines are left out the answer is no, and the text says which.
fn show(arguments: &Arguments, printer: &Printer) -> Exit {
    let Some(view) = view::view(&arguments.format) else {
        printer.error(format!("no view is called `{}`", arguments.format), None);
        return Exit::Usage;
    };
    if let Some(each) = view.each {
        return stream(arguments, each, printer);
    }
    let mut report = view::Report::new(view.needs);
    for path in arguments.files.iter().chain(&arguments.memory) {
        let name = path.display().to_string();
        if let Err(error) = open(path).and_then(|file| report.read(&name, file)) {
            return unreadable(path, &error, printer);
        }
    }
    for empty in report.sources.iter().skip(arguments.files.len()).filter(|file| file.monitor == 0)
    {
        printer.warning(format!("`{}` tells nothing of the machine", empty.name));
    }
    let written = write(arguments.output.as_deref(), &(view.render)(&report), printer);
    if written == Exit::Ok { whole(&report, printer) } else { written }
}

/// Whether no line was left out.
fn whole(report: &view::Report, printer: &Printer) -> Exit {
    if report.sources.iter().all(|source| source.unread.is_empty()) {
        return Exit::Ok;
    }
    printer.warning("lines were left out: `mlxk-harness check` tells all of them");
    Exit::No
}

/// Shows the files record by record, however many there are.
fn stream(arguments: &Arguments, each: view::Each, printer: &Printer) -> Exit {
    let output = arguments.output.as_deref();
    // Nothing is written over for a file that is not there.
    for path in &arguments.files {
        if let Err(error) = fs::metadata(path) {
            return unreadable(path, &error, printer);
        }
    }
    let mut sink = match output.map(File::create).transpose() {
        Ok(file) => file.map(BufWriter::new),
        Err(error) => return unwritable(output, &error, printer),
    };
    let mut failed = None;
    let mut put = |text: &str| {
        let Some(file) = &mut sink else {
            printer.data(text);
            return Ok(());
        };
        file.write_all(text.as_bytes()).map_err(|error| {
            failed = Some(error);
            io::Error::other("it was not written on")
        })
    };
    let mut report = view::Report::new(view::Needs::Figures);
    let mut read = put(&(each.head)()).map_err(|error| (Path::new(""), error));
    for path in &arguments.files {
        let name = path.display().to_string();
        let take = &mut |row: &view::Row| put(&(each.row)(row));
        read = read.and_then(|()| {
            let read = open(path).and_then(|file| report.read_each(&name, file, take));
            read.map_err(|error| (path.as_path(), error))
        });
    }
    if let Some(error) = failed.or_else(|| sink.and_then(|mut file| file.flush().err())) {
        return unwritable(output, &error, printer);
    }
    match read {
        Ok(()) => whole(&report, printer),
        Err((path, error)) => unreadable(path, &error, printer),
    }
}

fn unwritable(output: Option<&Path>, error: &io::Error, printer: &Printer) -> Exit {
    let path = output.unwrap_or(Path::new("standard output")).display();
    printer.error(format!("cannot write `{path}`: {error}"), None);
    Exit::Io
}

fn template(arguments: &Arguments, printer: &Printer) -> Exit {
    let [primary] = arguments.files.as_slice() else {
        let hint = "the layout is of one report; `--compare FILE` names an older one";
        printer.error("`--template mlx-knife` takes one file", Some(hint));
        return Exit::Usage;
    };
    if arguments.memory.len() > 1 {
        let hint = "name the one that was written during the tests of the report";
        printer.error("`--template mlx-knife` takes one `--memory`", Some(hint));
        return Exit::Usage;
    }
    match page(arguments, primary) {
        Ok(page) => write(arguments.output.as_deref(), &page, printer),
        Err((path, error)) => unreadable(&path, &error, printer),
    }
}

fn page(arguments: &Arguments, primary: &Path) -> Result<String, (PathBuf, io::Error)> {
    let read = |path: &Path| {
        open(path).and_then(mlx_knife::read).map_err(|error| (path.to_path_buf(), error))
    };
    let look = |path: &Path| {
        open(path).and_then(mlx_knife::read_memory).map_err(|error| (path.to_path_buf(), error))
    };
    let new = read(primary)?;
    let compared = arguments.compare.as_deref();
    let old = compared.map(read).transpose()?;
    let memory = arguments.memory.first().map(|path| look(path)).transpose()?;
    let older = compared.filter(|_| memory.is_some()).and_then(memory_of);
    let older = older.map(|path| look(&path)).transpose()?;
    let name = primary.display().to_string();
    let compared = compared.map(|path| path.display().to_string());
    Ok(mlx_knife::render(&mlx_knife::Page {
        primary: (&name, &new),
        comparison: compared.as_deref().zip(old.as_ref()),
        memory: [memory.as_ref(), older.as_ref()],
        now: Timestamp::now(),
    }))
}

/// The samples beside a report, where they are called as mlx-knife's scripts or `run --sample` call them.
fn memory_of(report: &Path) -> Option<PathBuf> {
    let name = report.file_name()?.to_str()?;
    let theirs = name.contains("benchmark").then(|| name.replace("benchmark", "memory"));
    let ours = name.strip_suffix(".jsonl").map(|stem| format!("{stem}.memory.jsonl"));
    let names = [theirs, ours].into_iter().flatten();
    names.map(|name| report.with_file_name(name)).find(|path| path.is_file())
}

fn write(output: Option<&Path>, text: &str, printer: &Printer) -> Exit {
    let Some(path) = output else {
        printer.data(text);
        return Exit::Ok;
    };
    match fs::write(path, text) {
        Ok(()) => Exit::Ok,
        Err(error) => unwritable(output, &error, printer),
    }
}
