//! `worker`: measures one model for a parent process, or tells which MLX this is.

use clap::Args;

use super::{Exit, printer::Printer};
use crate::measure::{mlx, scripted};

/// What a parent process asks for.
#[derive(Clone, Debug, Args)]
pub(super) struct Arguments {
    /// A path, or the id of a cached hub model; the job comes on standard input
    #[arg(required_unless_present = "describe")]
    model: Option<String>,
    /// Tells which MLX this is, and ends
    #[arg(long, conflicts_with = "model")]
    describe: bool,
}

/// Works for a parent process; the protocol has standard output for itself.
pub(super) fn run(arguments: &Arguments, printer: &Printer) -> Exit {
    let worked = match &arguments.model {
        Some(model) => match scripted::behaviour(model) {
            Some(behaviour) => scripted::work(behaviour),
            None => mlx::work(model),
        },
        None => mlx::describe(),
    };
    match worked {
        Ok(()) => Exit::Ok,
        Err(error) => {
            printer.error(format!("cannot speak with the parent process: {error}"), None);
            Exit::Io
        }
    }
}
