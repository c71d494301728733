//! `run --dry-run`: the plan, cell by cell, with what is known of memory and time beforehand; nothing is measured.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use serde::Deserialize;

use super::printer::Printer;
use crate::{
    checkpoint::{Description, Location},
    footprint::Footprint,
    plan::{Cell, KvPacking, Plan, PlannedModel, Settings, Work},
    report::test_name,
};

/// Stands for what is not known.
const UNKNOWN: &str = "–";

/// What a model's files are multiplied by where nothing else is known, as mlx-knife's tests have it.
const BESIDE: f64 = 1.2;

/// Prints what `plan` comes to; how long a cell will take is told where `report` has the same cell.
pub(super) fn show(plan: &Plan, report: &Path, printer: &Printer) {
    let before = Before::read(report);
    let all = plan.models.len();
    let mut text = String::new();
    let mut total = Some(0.0);
    for (at, model) in plan.models.iter().enumerate() {
        let memory = Memory::of(model);
        text.extend([format!("[{}/{all}] {}, {}\n", at + 1, model.label, memory.source())]);
        for cell in &model.cells {
            let seconds = before.seconds(model, cell);
            total = total.zip(seconds).map(|(total, seconds)| total + seconds);
            let gib = memory.bytes(cell).map(|bytes| bytes as f64 / 1024_f64.powi(3));
            text.push_str(&line(&cell.name_among(model.cells.iter()), cell, gib, seconds));
        }
    }
    let cells: usize = plan.models.iter().map(|model| model.cells.len()).sum();
    let noun = if cells == 1 { "cell" } else { "cells" };
    let time = match total {
        Some(seconds) => {
            format!("{} minutes, as the same took in", number(Some(seconds / 60.0), 1))
        }
        None => "no time is predicted for cells that are not in".to_owned(),
    };
    text.extend([format!("\n{cells} {noun}; {time} `{}`\n", report.display())]);
    printer.data(&text);
}

/// A cell: its name, its repetitions, memory and time.
fn line(name: &str, cell: &Cell, gib: Option<f64>, seconds: Option<f64>) -> String {
    let sizes = match &cell.work {
        Work::Throughput { prompt_tokens, generation_tokens } => {
            format!("{prompt_tokens} in, {generation_tokens} out")
        }
        Work::Chat { max_tokens, .. } | Work::Stop { max_tokens, .. } => {
            format!("at most {max_tokens} out")
        }
    };
    format!(
        "  {name}: {sizes}, {} + {} repetitions, {} GiB, {} min\n",
        cell.warmup,
        cell.repetitions,
        number(gib, 2),
        number(seconds.map(|seconds| seconds / 60.0), 1)
    )
}

fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| format!("{value:.decimals$}"))
}

/// What is known of a model's memory.
enum Memory {
    /// From the headers of its files, by packing.
    Headers(Vec<(Option<KvPacking>, Footprint)>),
    /// From the size that the manifest tells, in bytes.
    Size(u64),
    /// Weights are held otherwise than in the files.
    Recast,
    Unknown,
}

impl Memory {
    fn of(model: &PlannedModel) -> Self {
        if !model.settings.keeps_weights() {
            return Self::Recast;
        }
        Self::of_headers(model)
            .map(Self::Headers)
            .or_else(|| model.size_bytes().map(Self::Size))
            .unwrap_or(Self::Unknown)
    }

    /// None where the model is not on this machine, or cannot be read.
    fn of_headers(model: &PlannedModel) -> Option<Vec<(Option<KvPacking>, Footprint)>> {
        let argument = model.source.to_argument();
        let location = Location::find(&argument, model.source.revision()).ok()?;
        let description = Description::read(location).ok()?;
        let mut packings: Vec<_> = model.cells.iter().map(|cell| cell.conditions.kv).collect();
        packings.dedup();
        let known =
            packings.into_iter().map(|kv| Some((kv, Footprint::of(&description, kv).ok()?)));
        known.collect()
    }

    fn source(&self) -> &'static str {
        match self {
            Self::Headers(_) => "memory from the headers of its files",
            Self::Size(_) => "memory from the size in the manifest alone",
            Self::Recast => "memory unknown: its weights are cast or unpacked when loading",
            Self::Unknown => {
                "memory unknown: it is not on this machine and the manifest tells no size"
            }
        }
    }

    /// Bytes that a cell will need; of a chat, whose prompt has no length yet, without that.
    fn bytes(&self, cell: &Cell) -> Option<u64> {
        match self {
            Self::Headers(known) => {
                let is_same = |(kv, _): &&(Option<KvPacking>, Footprint)| *kv == cell.conditions.kv;
                let (_, footprint) = known.iter().find(is_same)?;
                let need = footprint.need(cell.conditions.prefill_chunk.into())?;
                Some(need.at(tokens(cell)).total_bytes)
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a size is positive, and no model has 2⁶⁴ bytes"
            )]
            Self::Size(bytes) => Some((*bytes as f64 * BESIDE) as u64),
            Self::Recast | Self::Unknown => None,
        }
    }
}

fn tokens(cell: &Cell) -> u64 {
    let depth = u64::from(cell.conditions.depth);
    match &cell.work {
        Work::Throughput { prompt_tokens, generation_tokens } => {
            depth + u64::from(*prompt_tokens) + u64::from(*generation_tokens)
        }
        Work::Chat { max_tokens, .. } | Work::Stop { max_tokens, .. } => u64::from(*max_tokens),
    }
}

/// How long a repetition of each test took that passed before.
struct Before(HashMap<String, f64>);

/// What matters of a line of a report.
#[derive(Deserialize)]
struct Measured {
    test: String,
    outcome: String,
    performance: Request,
}

#[derive(Deserialize)]
struct Request {
    duration_s: f64,
}

impl Before {
    /// The last line of each test in the report at `path`; nothing where there is none.
    fn read(path: &Path) -> Self {
        let lines = File::open(path).map(|file| BufReader::new(file).split(b'\n'));
        let lines = lines.into_iter().flatten().map_while(Result::ok);
        let measured = lines.filter_map(|line| serde_json::from_slice::<Measured>(&line).ok());
        let passed = measured.filter(|line| line.outcome == "passed");
        Self(passed.map(|line| (line.test, line.performance.duration_s)).collect())
    }

    /// What all repetitions of a cell will take, without what is read outside of the timing.
    fn seconds(&self, model: &PlannedModel, cell: &Cell) -> Option<f64> {
        let name = test_name(&model.label, cell, &model.settings, &Settings::default());
        let runs = f64::from(cell.warmup) + f64::from(cell.repetitions);
        self.0.get(&name).map(|seconds| seconds * runs)
    }
}
