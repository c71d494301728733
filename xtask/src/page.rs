//! `cargo xtask page [FILE…]`: opens the page of `report --format html` in a browser and looks for faults.
//!
//! Without files the pages are those of the tests and one of a sweep of the demo model, which is measured anew; with
//! files the page is of those. Needs a Chromium; its driver is fetched with pip. What is seen lies in `target/pages`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::console::say;
use crate::process::Program;
use crate::workspace::Workspace;
use crate::{TaskError, demo, files, mlx, python};

/// What drives the browser.
const DRIVER: &str = "playwright==1.65.2";
/// What a Chromium is called; `CHROMIUM` names another.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
/// A sweep that a slow machine goes through in minutes.
const SWEEP: [&str; 9] = [
    "--prompt-tokens=32,64,128",
    "--depth=0,256,1024",
    "--generation-tokens=16",
    "--max-tokens=16",
    "--repetitions=6",
    "--nll-tokens=64",
    "--sample",
    "--report-output=demo.jsonl",
    "--sample-output=demo.memory.jsonl",
];

/// The task.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<ExitCode, TaskError> {
    let chromium = chromium();
    Program::new(&chromium)
        .named_args(&["--version"])
        .if_missing(
            "install Chromium (Debian: `apt-get install chromium`) or name one in `CHROMIUM`",
        )
        .read()?;
    mlx::ensure(workspace)?;
    let folder = workspace.at("target/pages");
    files::remove_folder(&folder)?;
    files::make_folder(&folder)?;
    let code = if arguments.is_empty() {
        pages(workspace, &folder)?
    } else {
        page(workspace, &folder, "files", arguments)?
    };
    if code != ExitCode::SUCCESS {
        return Ok(code);
    }
    let environment = workspace.at("target/playwright");
    let marker = environment.join("packages.txt");
    if std::fs::read_to_string(&marker).unwrap_or_default() != DRIVER {
        python::environment(&environment, &[DRIVER])?;
        files::write(&marker, DRIVER)?;
    }
    say(&format!("pictures will lie in `{}`", folder.join("pictures").display()));
    let look = Program::new(environment.join("bin/python"))
        .arg(workspace.at("xtask/python/page.py"))
        .arg(chromium)
        .arg(folder);
    Ok(look.pass_through()?)
}

/// The first that is installed.
fn chromium() -> PathBuf {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return named.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut places = NAMES.iter().flat_map(|name| folders.iter().map(move |at| at.join(name)));
    places.find(|place| place.is_file()).unwrap_or_else(|| PathBuf::from("chromium"))
}

/// The pages of the tests, and that of a real run.
fn pages(workspace: &Workspace, folder: &Path) -> Result<ExitCode, TaskError> {
    let tests = ["test", "--locked", "--quiet", "--test", "it", "reports::page"];
    let code = workspace.cargo().args(tests).env("MLXK_PAGES", folder).pass_through()?;
    if code != ExitCode::SUCCESS {
        return Ok(code);
    }
    demo::ensure(workspace)?;
    let measure = harness(workspace)?.current_dir(folder).arg("run");
    let code = measure.arg(demo::model(workspace)).args(SWEEP).pass_through()?;
    if code != ExitCode::SUCCESS {
        return Ok(code);
    }
    let memory = folder.join("demo.memory.jsonl");
    page(
        workspace,
        folder,
        "demo",
        &[folder.join("demo.jsonl").into(), "--memory".into(), memory.into()],
    )
}

fn page(
    workspace: &Workspace,
    folder: &Path,
    name: &str,
    arguments: &[OsString],
) -> Result<ExitCode, TaskError> {
    let report = harness(workspace)?.args(["report", "--format", "html"]).args(arguments);
    Ok(report.arg("--output").arg(folder.join(name).with_extension("html")).pass_through()?)
}

/// The harness, optimized: the sweep would take an hour else.
fn harness(workspace: &Workspace) -> Result<Program, TaskError> {
    let build = ["--release", "--locked", "--quiet"];
    workspace.cargo().named_args(&["build"]).args(build).read()?;
    Ok(Program::new(workspace.target_folder()?.join("release/mlxk-harness")))
}
