//! What is said while a model is downloaded.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{Exit, printer::Printer};
use crate::{
    checkpoint::Location,
    hub::{self, HubError, Network, Watch, size},
    measure::Stop,
    plan::Source,
};

/// A bar for the whole and one for each file on its way; a line at the start where nothing can be drawn.
pub(super) struct Bars<'a> {
    drawn: MultiProgress,
    label: String,
    printer: &'a Printer,
    stop: Option<&'a Stop>,
    count: Option<&'a AtomicU64>,
    whole: ProgressBar,
    files: Mutex<HashMap<String, ProgressBar>>,
}

impl<'a> Bars<'a> {
    /// Bars for the model called `label`, that is given up when `stop` is set.
    pub(super) fn new(printer: &'a Printer, label: &str, stop: Option<&'a Stop>) -> Self {
        let drawn = printer.bars();
        let whole = drawn.add(ProgressBar::no_length());
        whole.set_style(style("{msg} {bar:24} {bytes}/{total_bytes} {bytes_per_sec} {eta}"));
        whole.set_message(label.to_owned());
        let label = label.to_owned();
        Self { drawn, label, printer, stop, count: None, whole, files: Mutex::default() }
    }

    /// The same, which also adds the bytes that come to `count`.
    pub(super) fn counting(mut self, count: &'a AtomicU64) -> Self {
        self.count = Some(count);
        self
    }

    fn note(&self, text: &str) {
        self.drawn.suspend(|| self.printer.note(text));
    }

    fn files(&self) -> std::sync::MutexGuard<'_, HashMap<String, ProgressBar>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Bars<'_> {
    fn planned(&self, bytes: u64, missing: u64) {
        if missing > 0 {
            let label = &self.label;
            self.note(&format!("{label}: fetching {} of {}", size(missing), size(bytes)));
        }
        self.whole.set_length(missing);
    }

    fn began(&self, file: &str, size: u64, have: u64) {
        let bar = ProgressBar::new(size).with_position(have);
        bar.set_style(style("  {msg} {bar:24} {bytes}/{total_bytes} {bytes_per_sec} {eta}"));
        bar.set_message(file.to_owned());
        let bar = self.drawn.add(bar);
        if let Some(old) = self.files().insert(file.to_owned(), bar) {
            old.finish_and_clear();
        }
    }

    fn received(&self, file: &str, bytes: u64) {
        self.whole.inc(bytes);
        if let Some(count) = self.count {
            count.fetch_add(bytes, Ordering::SeqCst);
        }
        if let Some(bar) = self.files().get(file) {
            bar.inc(bytes);
        }
    }

    fn ended(&self, file: &str, _size: u64) {
        if let Some(bar) = self.files().remove(file) {
            bar.finish_and_clear();
        }
    }

    fn said(&self, text: &str) {
        self.note(text);
    }

    fn is_stopped(&self) -> bool {
        self.stop.is_some_and(Stop::is_asked)
    }
}

impl Drop for Bars<'_> {
    fn drop(&mut self) {
        // A terminal that cannot be drawn on has nothing to wipe.
        let _ = self.drawn.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A model that is on this machine, as [`Location::find`] finds it.
pub(super) struct Here {
    pub(super) argument: String,
    pub(super) revision: Option<String>,
}

/// Sees to it that the model that `argument` names is here, and fetches it where it is one of the hub and is not.
pub(super) fn ensure(
    argument: &str,
    revision: Option<&str>,
    printer: &Printer,
    network: Network,
) -> Result<Here, Exit> {
    let source = Source::from_argument(argument);
    let Source::Hub(model) = source else {
        let revision = revision.map(str::to_owned);
        let argument = source.to_argument();
        return Ok(Here { argument, revision });
    };
    let model = model.at(revision);
    let bars = Bars::new(printer, &model.label(), None);
    let provided = hub::provide(&model, network, &bars);
    drop(bars);
    match provided {
        // A revision in the name gives way to the commit that it is at.
        Ok(provided) => Ok(Here { argument: model.label(), revision: Some(provided.commit) }),
        Err(error) => Err(fail(&error, printer)),
    }
}

/// Finds the model that `argument` names, and fetches it first where it is not here.
pub(super) fn locate(
    argument: &str,
    revision: Option<&str>,
    printer: &Printer,
    network: Network,
) -> Result<Location, Exit> {
    let here = ensure(argument, revision, printer, network)?;
    Location::find(&here.argument, here.revision.as_deref()).map_err(|error| {
        printer.failure(&error, error.hint().as_deref());
        Exit::No
    })
}

/// Says why a model could not be fetched.
pub(super) fn fail(error: &HubError, printer: &Printer) -> Exit {
    printer.failure(error, error.hint().as_deref());
    if error.is_io() { Exit::Io } else { Exit::No }
}
