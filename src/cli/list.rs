//! `list`: the architectures that can be run, and the models in the local cache.

use clap::Args;

use super::{Exit, printer::Printer};
use crate::{
    checkpoint::locate::{self, Location},
    models::FAMILIES,
};

/// Nothing can be chosen.
#[derive(Clone, Debug, Args)]
pub(super) struct Arguments {}

/// Lists both.
pub(super) fn run(_: &Arguments, printer: &Printer) -> Exit {
    printer.line("architectures (`model_type` of a model's `config.json`):");
    for family in FAMILIES {
        printer.line(format!("  {}", family.model_types.join(", ")));
    }
    let models = locate::cached();
    if models.is_empty() {
        printer.line("\nno model is in the local Hugging Face cache");
        return Exit::Ok;
    }
    printer.line("\nmodels in the local Hugging Face cache:");
    let width = models.iter().map(|model| model.id.len()).max().unwrap_or_default();
    for model in &models {
        printer.line(format!("  {}", entry(model, width)));
    }
    Exit::Ok
}

/// Id, size and revision, the id padded to `width`.
fn entry(model: &Location, width: usize) -> String {
    let size = model.size_bytes() as f64 / 1024_f64.powi(3);
    let revision = model.revision.as_deref().unwrap_or("–");
    let short = revision.get(..8).unwrap_or(revision);
    format!("{:<width$}  {size:>7.2} GiB  {short}", model.id)
}
