//! What a user types, and what is printed.

mod campaign;
mod check;
mod convert;
mod downloads;
mod dry_run;
mod explain;
mod fetching;
mod fit;
mod generate;
mod interrupt;
mod layout;
mod line;
mod list;
mod memory;
mod migrate;
mod monitor;
mod notes;
mod printer;
mod progress;
mod pull;
mod references;
mod report;
mod roofline;
mod run;
mod sampling;
mod shared;
mod show;
mod stops;
mod submit;
mod sweep;
mod system;
mod table;
mod unfinished;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{hub::Network, measure::mlx};
use printer::{Printer, Quiet};

/// How a command ended, as the system sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything asked for was done, every check passed.
    Ok = 0,
    /// The answer is no: a cell failed, a line does not fit its schema, a figure does not follow from its samples.
    No = 1,
    /// Arguments, manifest or a line that was to be explained are wrong; nothing was measured.
    Usage = 2,
    /// What was needed could not be read or written.
    Io = 4,
    /// The machine is below the grade that was required; nothing was measured.
    Unfit = 5,
    /// Interrupted; what was measured is written.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Measures language models on MLX and writes mlx-knife v0.2 reports
#[derive(Debug, Parser)]
#[command(name = "mlxk-harness", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Says nothing but data and errors
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Downloads nothing: only what is cached is used, as with `HF_HUB_OFFLINE=1`
    #[arg(long, global = true)]
    offline: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures models and appends a line for each cell to a report
    Run(Box<run::Arguments>),
    /// Lets a model answer, to see what it says
    Generate(generate::Arguments),
    /// Writes a model as a folder that MLX's programs load, packed if asked
    Convert(convert::Arguments),
    /// Downloads models from the Hugging Face hub into the local cache
    Pull(pull::Arguments),
    /// Lists the architectures that can be run, and the models in the local cache
    List(list::Arguments),
    /// Shows what a model is and what it will take, before any weight is read
    Show(show::Arguments),
    /// Checks that every line of a report fits its schema, and tells what readers stumble over
    Check(check::Arguments),
    /// Shows how each figure of a line follows from its samples, and whether it does
    Explain(explain::Arguments),
    /// Writes the lines of reports as lines of another version
    Migrate(migrate::Arguments),
    /// Shows reports: as a table, a page, a data frame, and over time
    Report(report::Arguments),
    /// Seals a report for a pull request, without anything personal; nothing is sent
    Submit(submit::Arguments),
    /// Runs a command and looks at the machine meanwhile
    Monitor(monitor::Arguments),
    /// Tells which machine, system and MLX this is, and how fit for timing
    System(system::Arguments),
    /// Measures what memory and processor of this machine can give through MLX
    Roofline(roofline::Arguments),
    /// Measures one model for a parent process
    #[command(hide = true)]
    Worker(worker::Arguments),
}

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(answer) => return printer::answer(&answer).into(),
    };
    if matches!(
        arguments.command,
        Command::Convert(_) | Command::Generate(_) | Command::Roofline(_) | Command::Worker(_)
    ) {
        mlx::prepare_process();
    }
    let quiet = if arguments.quiet { Quiet::Yes } else { Quiet::No };
    let printer = Printer::new(quiet);
    let network = if arguments.offline { Network::Forbidden } else { Network::from_environment() };
    let exit = match arguments.command {
        Command::Run(arguments) => run::run(&arguments, &printer, network),
        Command::Generate(arguments) => generate::run(&arguments, &printer, network),
        Command::Convert(arguments) => convert::run(&arguments, &printer, network),
        Command::Pull(arguments) => pull::run(&arguments, &printer, network),
        Command::List(arguments) => list::run(&arguments, &printer),
        Command::Show(arguments) => show::run(&arguments, &printer, network),
        Command::Check(arguments) => check::run(&arguments, &printer),
        Command::Explain(arguments) => explain::run(&arguments, &printer),
        Command::Migrate(arguments) => migrate::run(&arguments, &printer),
        Command::Report(arguments) => report::run(&arguments, &printer),
        Command::Submit(arguments) => submit::run(&arguments, &printer),
        // It ends as the command does that it runs.
        Command::Monitor(arguments) => return monitor::run(&arguments, &printer),
        Command::System(arguments) => system::run(&arguments, &printer),
        Command::Roofline(arguments) => roofline::run(&arguments, &printer),
        Command::Worker(arguments) => worker::run(&arguments, &printer),
    };
    exit.into()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Arguments::command().debug_assert();
    }
}
