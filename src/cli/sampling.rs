//! The flags of `run` that have the machine looked at meanwhile, and what is said of it.

use std::{
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;

use super::printer::Printer;
use crate::host::sampler::{Ended, Sampler, Summary};

/// Milliseconds between two looks, unless somebody wants others.
pub(super) const INTERVAL: u32 = 200;

/// Files beside one report.
const MOST: u32 = 1_000;

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Machine")]
pub(super) struct Sampling {
    /// Looks at memory, swap and processors meanwhile, every 200 ms or so many, and writes what mlx-knife's `memplot.py`
    /// draws; by default nothing looks
    #[arg(long, value_name = "MS", num_args = 0..=1, require_equals = true, default_missing_value = "200", value_parser = interval())]
    sample: Option<u32>,
    /// Where to write it, and look [default: the report's name with `.memory.jsonl`]
    #[arg(long, value_name = "FILE")]
    sample_output: Option<PathBuf>,
}

/// A sampler with its file.
#[derive(Debug)]
pub(super) struct Samples {
    pub(super) sampler: Sampler,
    path: Option<PathBuf>,
}

/// Samples were wanted and cannot be had; why, was said.
#[derive(Clone, Copy, Debug)]
pub(super) struct CannotSample;

/// What an interval may be, in milliseconds.
pub(super) fn interval() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(20..=60_000)
}

impl Sampling {
    /// Begins to look, where that is wanted, while `report` is written; says why it cannot.
    pub(super) fn begin(
        &self,
        report: &Path,
        printer: &Printer,
    ) -> Result<Option<Samples>, CannotSample> {
        self.try_begin(report).map_err(|message| {
            printer.error(message, None);
            CannotSample
        })
    }

    fn try_begin(&self, report: &Path) -> Result<Option<Samples>, String> {
        let interval = match (self.sample, &self.sample_output) {
            (Some(interval), _) => interval,
            (None, Some(_)) => INTERVAL,
            (None, None) => return Ok(None),
        };
        let (file, path) = match &self.sample_output {
            Some(path) if is_same(path, report) => {
                return Err(format!("`{}` is the report: name another file", path.display()));
            }
            Some(path) => (create(path), path.clone()),
            None => beside(report),
        };
        let file = file.map_err(|error| cannot_write(&path, &error))?;
        Samples::begin(Some((file, path)), interval).map(Some)
    }
}

impl Samples {
    /// Begins to look, and to write to the file where there is one.
    pub(super) fn begin(file: Option<(File, PathBuf)>, interval: u32) -> Result<Self, String> {
        let (file, path) = file.unzip();
        let sampler = Sampler::begin(file, Duration::from_millis(interval.into()))
            .map_err(|error| format!("cannot look at the machine meanwhile: {error}"))?;
        Ok(Self { sampler, path })
    }

    /// Ends it, and says what was seen.
    pub(super) fn end(self, exit_code: Option<u8>, printer: &Printer) {
        let Ended { summary, error } = self.sampler.end(exit_code);
        printer.note(seen(&summary));
        let Some(path) = &self.path else { return };
        match error {
            None => {
                printer.note(format!("wrote {} samples to `{}`", summary.samples, path.display()));
            }
            Some(error) => printer.warning(cannot_write(path, &error)),
        }
    }
}

fn is_same(path: &Path, other: &Path) -> bool {
    path.canonicalize().is_ok_and(|path| other.canonicalize().is_ok_and(|other| path == other))
}

/// Makes `path`, and its folders; what somebody measured is not written over.
pub(super) fn create(path: &Path) -> io::Result<File> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.len() > 0 {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "it holds something already; name another file",
        ));
    }
    Ok(file)
}

pub(super) fn cannot_write(path: &Path, error: &io::Error) -> String {
    format!("cannot write samples to `{}`: {error}", path.display())
}

/// The first file beside `report` that does not exist: `name.memory.jsonl`, `name.memory-2.jsonl` and so on.
fn beside(report: &Path) -> (io::Result<File>, PathBuf) {
    let mut tried = PathBuf::new();
    for number in 1..=MOST {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        let path = report.with_extension(format!("memory{suffix}.jsonl"));
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => tried = path,
            made => return (made, path),
        }
    }
    (Err(io::ErrorKind::AlreadyExists.into()), tried)
}

/// What was seen, in a sentence, as far as it is known.
fn seen(summary: &Summary) -> String {
    let mut parts = vec![format!("{:.1} s", summary.duration_s)];
    if let (Some(min), Some(max)) = (summary.ram_free_min_gb, summary.ram_free_max_gb) {
        parts.push(format!("{min:.1} to {max:.1} GiB free"));
    }
    parts.extend(summary.swap_max_mb.map(|swap| format!("at most {swap} MiB of swap")));
    let resident = summary.child_resident_max_mb;
    parts.extend(resident.map(|resident| format!("at most {resident:.0} MiB in the child")));
    parts.extend(summary.interval_mean_ms.map(|mean| format!("a look every {mean:.0} ms")));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_for_its_report_and_none_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let report = folder.path().join("2026-01-30-v0.1.0.jsonl");
        let mut names = Vec::new();
        for _ in 0..2 {
            let (file, path) = beside(&report);
            assert!(file.is_ok());
            names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
        assert_eq!(names, ["2026-01-30-v0.1.0.memory.jsonl", "2026-01-30-v0.1.0.memory-2.jsonl"]);
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let summary = Summary { duration_s: 1.25, ..Summary::default() };
        assert_eq!(seen(&summary), "1.2 s");
        let summary = Summary {
            ram_free_min_gb: Some(1.0),
            ram_free_max_gb: Some(2.0),
            swap_max_mb: Some(0),
            interval_mean_ms: Some(200.1),
            ..summary
        };
        let words = "1.2 s, 1.0 to 2.0 GiB free, at most 0 MiB of swap, a look every 200 ms";
        assert_eq!(seen(&summary), words);
    }
}
