//! `monitor`: runs a command, looks at the machine meanwhile, and ends as the command does.

use std::{
    ffi::OsString,
    fs::File,
    io,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, Command, ExitCode, ExitStatus},
    thread,
};

use clap::Args;
use rustix::process::{Pid, Signal, getpgrp, kill_process};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM},
    iterator::Signals,
};

use super::{
    Exit,
    printer::Printer,
    sampling::{self, INTERVAL, Samples},
};
use crate::host::sampler::Event;

/// What a shell answers where there is no such command, and where it cannot be run.
const NO_COMMAND: u8 = 127;
const NO_PROGRAM: u8 = 126;

/// What is run, and how it is looked at.
#[derive(Clone, Debug, Args)]
pub(super) struct Arguments {
    /// Milliseconds between two looks
    #[arg(long, short, value_name = "MS", default_value_t = INTERVAL, value_parser = sampling::interval())]
    interval: u32,
    /// Where to write what mlx-knife's `memplot.py` draws; by default only a summary is told
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The command and its arguments, after `--`
    #[arg(required = true, value_name = "COMMAND", trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// Runs the command, and gives its exit code: 128 and the signal's number where a signal ended it, 127 where there is no
/// such command, 126 where it cannot be run.
pub(super) fn run(arguments: &Arguments, printer: &Printer) -> ExitCode {
    match watched(arguments, printer) {
        Ok(code) => code.into(),
        Err(message) => {
            printer.error(message, None);
            Exit::Io.into()
        }
    }
}

fn watched(arguments: &Arguments, printer: &Printer) -> Result<u8, String> {
    let file = match &arguments.output {
        Some(path) => {
            let file = sampling::create(path);
            Some((file.map_err(|error| sampling::cannot_write(path, &error))?, path.clone()))
        }
        None => None,
    };
    // Before the command lives: a signal that comes early is kept for it.
    let signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])
        .map_err(|error| format!("cannot listen for signals: {error}"))?;
    let samples = Samples::begin(file, arguments.interval)?;
    let code = match start(&arguments.command) {
        Ok(child) => {
            samples.sampler.watch(Some(child.id()));
            samples.sampler.note(Event { event: "child_start", ..Event::default() });
            let status = wait(child, signals);
            samples.sampler.watch(None);
            samples.sampler.note(Event { event: "child_end", ..Event::default() });
            code(status.map_err(|error| format!("cannot wait for the command: {error}"))?)
        }
        Err(error) => {
            let name = arguments.command.first().cloned().unwrap_or_default();
            printer.error(format!("cannot run `{}`: {error}", name.display()), None);
            if error.kind() == io::ErrorKind::NotFound { NO_COMMAND } else { NO_PROGRAM }
        }
    };
    samples.end(Some(code), printer);
    Ok(code)
}

fn start(command: &[OsString]) -> io::Result<Child> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    Command::new(program).args(arguments).spawn()
}

/// Waits for the end of `child`, and hands it what `signals` come meanwhile.
fn wait(mut child: Child, mut signals: Signals) -> io::Result<ExitStatus> {
    let Some(id) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else {
        return child.wait();
    };
    let handle = signals.handle();
    let forwarding = thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for number in signals.forever() {
            let is_typed = matches!(number, SIGINT | SIGQUIT) && is_in_foreground();
            if let Some(signal) = Signal::from_named_raw(number).filter(|_| !is_typed) {
                // A command that is gone needs no signal.
                let _ = kill_process(id, signal);
            }
        }
    })?;
    let status = child.wait();
    handle.close();
    // It had nothing to do that could go wrong.
    let _ = forwarding.join();
    status
}

/// Whether what is typed in the terminal reaches this process, and with it the command, which is of the same group: a
/// second signal would be one too many.
fn is_in_foreground() -> bool {
    let group = File::open("/dev/tty").and_then(|tty| Ok(rustix::termios::tcgetpgrp(tty)?));
    group.is_ok_and(|group| group == getpgrp())
}

/// As a shell tells it.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| code.try_into().ok()).unwrap_or(u8::MAX)
}
