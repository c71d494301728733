//! `cargo xtask verdicts <mlx-knife> [python]`: what mlx-knife's own tools say to several hundred lines.
//!
//! Both tools run as they are, from a checkout of mlx-knife, with a Python that has `jsonschema`. What
//! they say is recorded in `tests/fixtures/reports/` and compared with our verdicts by the tests, which
//! need neither.

mod cases;
mod line;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use serde_json::{Value, json};

use crate::TaskError;
use crate::console::say;
use crate::workspace::Workspace;
use cases::Case;

/// Schema files of mlx-knife, by the version in their names.
const SCHEMAS: [&str; 3] = ["0.1", "0.2", "0.2.2"];
const NEWEST: &str = "0.2.2";
/// Beginnings of the lines of mlx-knife's report that repeat what a record says.
const TELLING: [&str; 13] = [
    "# ",
    "**Hardware:**",
    "**Tests:**",
    "**Quality:**",
    "**Models:**",
    "Swap (MB)",
    "RAM free",
    "Zombies:",
    "  Clean:",
    "| Qwen",
    "| chat",
    "| stop",
    "| throughput",
];

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerdictsError {
    /// The command names no checkout.
    #[error("name a checkout of mlx-knife: `cargo xtask verdicts <folder> [python]`")]
    NoCheckout,
    /// A file could not be used.
    #[error("cannot use `{}`", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A schema of mlx-knife is no JSON.
    #[error("`{}` is not JSON", .path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// One of mlx-knife's tools did not do its work.
    #[error("`{tool}` gave no verdict: {output}")]
    Tool {
        /// The script.
        tool: &'static str,
        /// What it printed last.
        output: String,
    },
}

/// The task.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<ExitCode, TaskError> {
    record(workspace, arguments)?;
    Ok(ExitCode::SUCCESS)
}

fn record(workspace: &Workspace, arguments: &[OsString]) -> Result<(), VerdictsError> {
    let [checkout, python @ ..] = arguments else {
        return Err(VerdictsError::NoCheckout);
    };
    let checkout = Path::new(checkout);
    let tools = Tools {
        benchmarks: fs::canonicalize(checkout).map_err(at(checkout))?.join("benchmarks"),
        python: python.first().cloned().unwrap_or_else(|| "python3".into()),
        folder: workspace.at("target/verdicts"),
    };
    let cases = cases::all(&tools.schema(NEWEST)?);
    say(&format!("asking mlx-knife about {} lines", cases.len()));
    let mut accepted = Vec::new();
    for version in SCHEMAS {
        accepted.push((version, tools.validate(version, &cases)?));
    }
    let mut verdicts = Vec::with_capacity(cases.len());
    for (at, case) in cases.iter().enumerate() {
        let accepts = |fits: &[bool]| fits.get(at).copied().unwrap_or_default();
        let fits = accepted.iter().filter(|(_, fits)| accepts(fits));
        let fits: Vec<_> = fits.map(|(version, _)| *version).collect();
        verdicts.push(tools.verdict(case, &fits)?);
    }
    let fixtures = workspace.at("tests/fixtures/reports");
    write(&fixtures.join("verdicts.jsonl"), &lines(&verdicts))?;
    let assembled = read(&fixtures.join("valid/assembled.jsonl"))?;
    write(&fixtures.join("rendered.txt"), &tools.render(&assembled)?)
}

/// mlx-knife's tools, and a folder of ours to run them in.
struct Tools {
    benchmarks: PathBuf,
    python: OsString,
    folder: PathBuf,
}

/// What mlx-knife's report does with a file.
enum Reading {
    Reads,
    Refuses,
    Crashes,
}

impl Reading {
    fn name(&self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Refuses => "refuses",
            Self::Crashes => "crashes",
        }
    }
}

impl Tools {
    fn schema_file(&self, version: &str) -> PathBuf {
        self.benchmarks.join(format!("schemas/report-v{version}.schema.json"))
    }

    fn schema(&self, version: &str) -> Result<Value, VerdictsError> {
        let path = self.schema_file(version);
        serde_json::from_str(&read(&path)?).map_err(|source| VerdictsError::Schema { path, source })
    }

    /// Makes `version` the current schema of our folder: the tools look below the folder they run in.
    fn use_schema(&self, version: &str) -> Result<(), VerdictsError> {
        let current = self.folder.join("benchmarks/schemas/report-current.schema.json");
        write(&current, &read(&self.schema_file(version))?)
    }

    fn run(&self, tool: &str, arguments: &[impl AsRef<OsStr>]) -> Result<Output, VerdictsError> {
        Command::new(&self.python)
            .arg(self.benchmarks.join(tool))
            .args(arguments)
            .current_dir(&self.folder)
            .env("PYTHONUTF8", "1")
            .output()
            .map_err(at(Path::new(&self.python)))
    }

    /// Whether each line fits the schema: one file a line, and the tool tells of each file.
    fn validate(&self, version: &str, cases: &[Case]) -> Result<Vec<bool>, VerdictsError> {
        const TOOL: &str = "validate_reports.py";
        self.use_schema(version)?;
        let mut names = Vec::new();
        for (at, case) in cases.iter().enumerate() {
            let name = format!("{at}.jsonl");
            write(&self.folder.join(&name), &format!("{}\n", case.line))?;
            names.push(name);
        }
        let output = self.run(TOOL, &names)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let counts = text.lines().filter_map(|line| line.strip_suffix(" reports valid"));
        let fits: Vec<_> = counts.map(|count| count.ends_with(" 1/1")).collect();
        if fits.len() == cases.len() {
            Ok(fits)
        } else {
            let output = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(VerdictsError::Tool { tool: TOOL, output })
        }
    }

    /// The line to record about `case`, which fits the schemas `fits`.
    fn verdict(&self, case: &Case, fits: &[&str]) -> Result<String, VerdictsError> {
        let Case { line, place } = case;
        let is_of_interest = fits.contains(&NEWEST) || place.starts_with('[');
        let report = if is_of_interest { self.report(line)?.name() } else { "not asked" };
        // Sorted, so that the text does not depend on how the crate keeps keys.
        let verdict = json!({"fits": fits, "line": line, "place": place, "report": report});
        Ok(verdict.to_string())
    }

    fn report(&self, line: &str) -> Result<Reading, VerdictsError> {
        const TOOL: &str = "generate_benchmark_report.py";
        self.use_schema(NEWEST)?;
        write(&self.folder.join("line.jsonl"), &format!("{line}\n"))?;
        let output = self.run(TOOL, &["line.jsonl", "--output", "line.md"])?;
        let has_crashed = String::from_utf8_lossy(&output.stderr).contains("Traceback");
        Ok(match output.status.code() {
            Some(0) => Reading::Reads,
            _ if has_crashed => Reading::Crashes,
            _ => Reading::Refuses,
        })
    }

    /// What mlx-knife's report says about our records.
    fn render(&self, records: &str) -> Result<String, VerdictsError> {
        const TOOL: &str = "generate_benchmark_report.py";
        self.use_schema(NEWEST)?;
        write(&self.folder.join("2026-01-30-v2.0.8.jsonl"), records)?;
        let output = self.run(TOOL, &["2026-01-30-v2.0.8.jsonl", "--output", "report.md"])?;
        if !output.status.success() {
            let output = String::from_utf8_lossy(&output.stdout).into_owned();
            return Err(VerdictsError::Tool { tool: TOOL, output });
        }
        let report = read(&self.folder.join("report.md"))?;
        let tells = |line: &&str| TELLING.iter().any(|start| line.starts_with(start));
        let telling: Vec<_> = report.lines().filter(tells).collect();
        Ok(lines(&telling))
    }
}

fn lines(lines: &[impl AsRef<str>]) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(line.as_ref());
        text.push('\n');
    }
    text
}

fn read(path: &Path) -> Result<String, VerdictsError> {
    fs::read_to_string(path).map_err(at(path))
}

fn write(path: &Path, text: &str) -> Result<(), VerdictsError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(at(folder))?;
    fs::write(path, text).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> VerdictsError {
    move |source| VerdictsError::File { path: path.to_path_buf(), source }
}
