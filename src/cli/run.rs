//! `run`: measures every cell of a plan and appends a line for each to a report.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueEnum};
use jiff::{Timestamp, tz::TimeZone};

use super::{
    Exit,
    campaign::{Campaign, Care, Format, Setup, View},
    dry_run,
    fetching::Order,
    fit, interrupt,
    printer::Printer,
    references,
    sampling::Sampling,
    shared::Shared,
    sweep::Sweep,
    unfinished::Unfinished,
};
use crate::{
    host::fitness::Grade,
    hub::Network,
    measure::{patience::Patience, supervise::Isolation},
    plan::{
        Choices, Manifest, ManifestError, MemoryBudget, NotABudget, Passages, Plan, Scenario,
        Selection, Written,
    },
    report::{self, Journal, MlxKnifeVersion, NotAVersion, SchemaVersion},
};

/// What is measured, and where it is written.
#[derive(Clone, Debug, Args)]
pub(super) struct Arguments {
    /// A manifest (`*.toml`), a model's folder, a GGUF file, or the id of a hub model
    #[arg(required = true, value_name = "MANIFEST|MODEL")]
    names: Vec<String>,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    report: Report,
    #[command(flatten)]
    shared: Shared,
    #[command(flatten)]
    sampling: Sampling,
    #[command(flatten)]
    comparison: references::Comparison,
    #[command(flatten)]
    children: Children,
    /// Prints the plan, with memory and time as far as they are known beforehand, and measures nothing
    #[arg(long)]
    dry_run: bool,
    /// Downloads a model while the one before it is measured; by default nothing else runs then
    #[arg(long)]
    overlap_download: bool,
    /// Ends with exit code 1 where stop tokens misbehave, which the scenario `stop` looks for
    #[arg(long)]
    strict_stop: bool,
    /// Measures only on a machine of this grade or better, after trying for two seconds how steadily it runs
    #[arg(long, value_name = "GRADE", ignore_case = true)]
    require_grade: Option<Grade>,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "What is measured")]
struct Choice {
    /// Only models with this tag; more than once for any of several
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Only models with this in their names; more than once for any of several
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Only this scenario; more than once for several
    #[arg(long = "scenario", value_name = "SCENARIO")]
    scenarios: Vec<Scenario>,
    /// Repetitions that are measured
    #[arg(long, value_name = "N")]
    repetitions: Option<u32>,
    /// Repetitions that are run before and not counted
    #[arg(long, value_name = "N")]
    warmup: Option<u32>,
    /// Cuts throughput prompts from this text instead of the shipped ones
    #[arg(long, value_name = "FILE", value_parser = passages, conflicts_with = "random_ids")]
    prompt_file: Option<Passages>,
    /// Makes throughput prompts of ids drawn at random
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    random_ids: Option<bool>,
    /// Tokens of the shipped text that the model's likelihood is measured on, after the repetitions [default: 512]
    #[arg(long, value_name = "N", conflicts_with = "no_nll")]
    nll_tokens: Option<u32>,
    /// Measures no likelihood
    #[arg(long)]
    no_nll: bool,
    #[command(flatten)]
    sweep: Sweep,
}

fn passages(path: &str) -> Result<Passages, String> {
    Passages::of_file(Path::new(path)).map_err(|error| error.to_string())
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Report")]
struct Report {
    /// The report to append to; by default `reports/<UTC date>-v<version>.jsonl`
    #[arg(long = "report-output", value_name = "FILE")]
    path: Option<PathBuf>,
    /// Goes on with a run that was left unfinished at this report: what it measured is not measured again
    #[arg(long)]
    resume: bool,
    /// The version of the lines
    #[arg(long, value_name = "VERSION")]
    schema: Option<SchemaVersion>,
    /// What the lines name as mlx-knife's version [default: this program's]
    #[arg(long, value_name = "VERSION")]
    mlx_knife_version: Option<MlxKnifeVersion>,
    /// Prints the report's lines instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Child processes")]
struct Children {
    /// What a child process is for: all cells of a model, or one
    #[arg(long, value_name = "WHAT", default_value = "model")]
    isolate: Isolate,
    /// Seconds in which a child must come further: be loaded, read a chunk of a prompt, make a token; or of stages, such as
    /// `load=900,prefill=600,decode=120,cleanup=10`
    #[arg(long, value_name = "SECONDS", default_value = "900")]
    timeout: Patience,
    /// Seconds that the machine rests before each child but the first, which then warms up as every child does
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    cooldown: u32,
    /// Has the system let go of a model's files before each load, so that they are read from disk
    #[arg(long)]
    cold: bool,
    /// What a model may need: `12GB`, `60%` of the memory, `off`; by default 40 to 70 %, by the machine's size
    #[arg(long, value_name = "BUDGET", default_value = "usual", hide_default_value = true, value_parser = budget)]
    memory_budget: MemoryBudget,
}

fn budget(text: &str) -> Result<MemoryBudget, NotABudget> {
    if text == "usual" { Ok(MemoryBudget::Usual) } else { text.parse() }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Isolate {
    Model,
    Cell,
}

impl Children {
    fn care(&self) -> Care {
        Care {
            patience: self.timeout,
            cooldown: Duration::from_secs(self.cooldown.into()),
            budget: self.memory_budget,
            cold: self.cold,
            aim: None,
            isolation: match self.isolate {
                Isolate::Model => Isolation::Model,
                Isolate::Cell => Isolation::Cell,
            },
        }
    }
}

impl Arguments {
    /// When what is not here is fetched.
    fn order(&self) -> Order {
        if self.overlap_download { Order::Beside } else { Order::Before }
    }

    /// What will be measured, and what its lines look like; says why it cannot be.
    fn plan(&self, printer: &Printer) -> Result<(Plan, Format), Exit> {
        if let Err(reason) = self.choice.sweep.check() {
            printer.error(reason, None);
            return Err(Exit::Usage);
        }
        let plan = self.selection().plan().map_err(|error| {
            printer.failure(&error, error.hint().as_deref());
            Exit::Usage
        })?;
        self.choice.sweep.check_aim(&plan).map_err(|reason| {
            printer.error(reason, None);
            Exit::Usage
        })?;
        let format = self.report.format(plan.manifest.as_ref()).map_err(|error| {
            printer.failure(&error, error.hint().as_deref());
            Exit::Usage
        })?;
        Ok((plan, format))
    }

    fn selection(&self) -> Selection {
        let Choice { tags, only, scenarios, .. } = self.choice.clone();
        Selection {
            arguments: self.names.clone(),
            tags,
            only,
            scenarios,
            flags: Choices {
                repetitions: self.choice.repetitions,
                warmup: self.choice.warmup,
                prompt_file: self.choice.prompt_file.clone(),
                random_ids: self.choice.random_ids,
                nll_tokens: if self.choice.no_nll { Some(0) } else { self.choice.nll_tokens },
                ..self.choice.sweep.over(&self.shared.choices())
            },
        }
    }
}

/// Measures what the arguments name.
pub(super) fn run(arguments: &Arguments, printer: &Printer, network: Network) -> Exit {
    let (plan, format) = match arguments.plan(printer) {
        Ok(planned) => planned,
        Err(exit) => return exit,
    };
    if arguments.dry_run {
        dry_run::show(&plan, &arguments.report.path(&format.mlx_knife_version), printer);
        return Exit::Ok;
    }
    let stop = match interrupt::listen() {
        Ok(stop) => stop,
        Err(error) => {
            printer.error(format!("cannot listen for interrupts: {error}"), None);
            return Exit::Io;
        }
    };
    let machine = match fit::machine(arguments.require_grade, printer) {
        Ok(machine) => machine,
        Err(exit) => return exit,
    };
    let view = format.view;
    let journal = match arguments.report.open(&format.mlx_knife_version, printer) {
        Ok(journal) => journal,
        Err(exit) => return exit,
    };
    let Ok(samples) = arguments.sampling.begin(journal.path(), printer) else {
        return Exit::Io;
    };
    let unfinished = match arguments.report.unfinished(journal.path(), printer) {
        Ok(unfinished) => unfinished,
        Err(exit) => return exit,
    };
    let Ok(references) = arguments.comparison.begin(arguments.report.resume, printer) else {
        return Exit::Io;
    };
    let mut campaign = Campaign::new(Setup {
        printer,
        host: machine.host(),
        journal,
        format,
        unfinished,
        care: Care { aim: arguments.choice.sweep.aim(), ..arguments.children.care() },
        references,
        is_strict: arguments.strict_stop,
        sampler: samples.as_ref().map(|samples| &samples.sampler),
        stop,
    });
    machine.warn(printer);
    campaign.measure(&plan, network, arguments.order());
    machine.tell(view, printer);
    let exit = campaign.conclude();
    if let Some(samples) = samples {
        samples.end(None, printer);
    }
    exit
}

impl Report {
    /// The file to append to.
    fn path(&self, version: &MlxKnifeVersion) -> PathBuf {
        self.path.clone().unwrap_or_else(|| {
            let today = TimeZone::UTC.to_datetime(Timestamp::now()).date();
            report::default_path(Path::new("reports"), today, version)
        })
    }

    /// Opens the report.
    fn open(&self, version: &MlxKnifeVersion, printer: &Printer) -> Result<Journal, Exit> {
        let opened = Journal::open(self.path(version)).and_then(|mut journal| {
            if self.resume && journal.path().is_file() {
                journal.cut_torn_line()?;
            }
            Ok(journal)
        });
        opened.map_err(|error| {
            printer.failure(&error, error.hint());
            Exit::Io
        })
    }

    /// Opens what an unfinished run left beside the report at `path`, and what this one would leave.
    fn unfinished(&self, path: &Path, printer: &Printer) -> Result<Unfinished, Exit> {
        Unfinished::begin(path, self.resume, printer).map_err(|error| {
            let path = path.display();
            let what = format!("cannot keep what is measured beside `{path}`: {error}");
            printer.error(what, None);
            Exit::Io
        })
    }

    /// What lines look like; flags win over the manifest.
    fn format(&self, manifest: Option<&Manifest>) -> Result<Format, ManifestError> {
        let schema = written(
            manifest,
            |manifest| manifest.schema.as_ref(),
            |text| SchemaVersion::from_str(text, false).map_err(|_| unknown_schema(text)),
        );
        let mlx_knife_version = written(
            manifest,
            |manifest| manifest.mlx_knife_version.as_ref(),
            |text| text.parse().map_err(|error: NotAVersion| error.to_string()),
        );
        Ok(Format {
            schema: self.schema.or(schema?).unwrap_or_default(),
            mlx_knife_version: self
                .mlx_knife_version
                .clone()
                .or(mlx_knife_version?)
                .unwrap_or_default(),
            view: if self.json { View::Lines } else { View::Table },
        })
    }
}

/// What a manifest says at `place`, as `read` understands it.
fn written<T>(
    manifest: Option<&Manifest>,
    place: fn(&Manifest) -> Option<&Written<String>>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, ManifestError> {
    let Some((manifest, written)) = manifest.and_then(|all| Some((all, place(all)?))) else {
        return Ok(None);
    };
    let refuse = |reason| manifest.refuse(written.place, reason);
    read(&written.value).map(Some).map_err(refuse)
}

fn unknown_schema(text: &str) -> String {
    let known: Vec<_> = SchemaVersion::value_variants()
        .iter()
        .filter(|version| version.to_possible_value().is_some())
        .map(|version| format!("`{version}`"))
        .collect();
    format!("no line can be written in version `{text}`, only in {}", known.join(" and "))
}
