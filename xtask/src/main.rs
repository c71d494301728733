//! The project's chores: `cargo xtask <command>`.

mod bench;
mod console;
mod demo;
mod files;
mod fixtures;
mod fuzz;
mod mlx;
mod page;
mod process;
mod python;
mod sha256;
mod test;
mod tokenizers;
mod verdicts;
mod versus;
mod workspace;

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;

use console::say;
use demo::DemoError;
use files::FileError;
use mlx::MlxError;
use process::ProcessError;
use verdicts::VerdictsError;
use workspace::Workspace;

/// One chore.
struct Task {
    name: &'static str,
    about: &'static str,
    run: fn(&Workspace, &[OsString]) -> Result<ExitCode, TaskError>,
}

const TASKS: &[Task] = &[
    Task { name: "mlx", about: "set up MLX for this machine", run: mlx::run },
    Task { name: "demo", about: "fetch the demo model", run: demo::run },
    Task {
        name: "tokenizers",
        about: "fetch the real tokenizers that tests look at",
        run: tokenizers::run,
    },
    Task { name: "test", about: "run every test; arguments go to the test runner", run: test::run },
    Task {
        name: "fixtures",
        about: "make the parity fixtures anew with mlx-lm",
        run: fixtures::run,
    },
    Task { name: "fuzz", about: "look for bytes that do a reader harm", run: fuzz::run },
    Task {
        name: "verdicts",
        about: "record what mlx-knife's own tools say to generated lines",
        run: verdicts::run,
    },
    Task {
        name: "page",
        about: "open pages of `report --format html` in a browser",
        run: page::run,
    },
    Task {
        name: "versus",
        about: "set the release build beside mlx-lm, on the same MLX",
        run: versus::run,
    },
    Task {
        name: "bench",
        about: "benchmark the demo model; arguments go to `mlxk-harness run`",
        run: bench::run,
    },
];

/// Why a chore was not done.
#[derive(Debug, thiserror::Error)]
enum TaskError {
    #[error(transparent)]
    Mlx(#[from] MlxError),
    #[error(transparent)]
    Demo(#[from] DemoError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Verdicts(#[from] VerdictsError),
}

impl TaskError {
    /// The last lines of the program that failed.
    fn output(&self) -> Option<&str> {
        match self {
            Self::Mlx(error) => error.output(),
            Self::Process(error) | Self::Demo(DemoError::Process(error)) => error.output(),
            Self::Demo(_) | Self::File(_) | Self::Verdicts(_) => None,
        }
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let name = arguments.next().unwrap_or_default();
    let arguments: Vec<OsString> = arguments.collect();
    if name == mlx::BINDINGS_TASK {
        return mlx::write_bindings(&arguments);
    }
    let Some(task) = TASKS.iter().find(|task| name == task.name) else {
        return usage(&name);
    };
    let outcome = Workspace::current()
        .map_err(TaskError::from)
        .and_then(|workspace| (task.run)(&workspace, &arguments));
    outcome.unwrap_or_else(|error| {
        if let Some(output) = error.output() {
            say(output);
        }
        say(&format!("cargo xtask {}: {}", task.name, with_causes(&error)));
        ExitCode::FAILURE
    })
}

fn usage(name: &OsString) -> ExitCode {
    let asked_for_help = ["help", "--help", "-h"].iter().any(|help| name == help);
    if !asked_for_help && !name.is_empty() {
        say(&format!("no task is called `{}`", name.display()));
    }
    say("cargo xtask <task> [arguments]");
    for task in TASKS {
        say(&format!("  {:<10} {}", task.name, task.about));
    }
    if asked_for_help { ExitCode::SUCCESS } else { ExitCode::from(2) }
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
