//! `list`: the architectures that can be run, and the models in the local cache.

use std::fs;

use clap::Args;

use super::{Exit, printer::Printer};
use crate::{
    checkpoint::{Description, Format, LoadError, Location, locate, sentence},
    footprint::Footprint,
    hub::{integrity, is_gguf},
    models::FAMILIES,
};

/// What is listed.
#[derive(Clone, Debug, Args)]
pub(super) struct Arguments {
    /// Only the models in the local cache, with whether they are whole and can be run
    #[arg(long)]
    cached: bool,
}

/// Lists what was asked for.
pub(super) fn run(arguments: &Arguments, printer: &Printer) -> Exit {
    if !arguments.cached {
        printer.line("architectures (`model_type` of a model's `config.json`):");
        for family in FAMILIES {
            printer.line(format!("  {}", family.model_types.join(", ")));
        }
        printer.line("");
    }
    let models: Vec<_> = locate::cached().into_iter().flat_map(single_files).collect();
    if models.is_empty() {
        printer.line("no model is in the local Hugging Face cache");
        return Exit::Ok;
    }
    let width = models.iter().map(|model| model.id.len()).max().unwrap_or_default();
    if !arguments.cached {
        printer.line("models in the local Hugging Face cache:");
    }
    for model in &models {
        let entry = entry(model, width);
        if arguments.cached {
            printer.line(format!("{entry}  {}", state(model)));
        } else {
            printer.line(format!("  {entry}"));
        }
    }
    Exit::Ok
}

/// A snapshot without a configuration is one model for each GGUF file in it.
fn single_files(model: Location) -> Vec<Location> {
    if model.path.join("config.json").exists() {
        return vec![model];
    }
    let entries = fs::read_dir(&model.path).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| is_gguf(name)).collect();
    names.sort();
    if names.is_empty() {
        return vec![model];
    }
    let single = |name: String| Location {
        path: model.path.join(&name),
        format: Format::Gguf,
        id: format!("{}:{name}", model.id),
        revision: model.revision.clone(),
    };
    names.into_iter().map(single).collect()
}

/// Id, size and revision, the id padded to `width`.
fn entry(model: &Location, width: usize) -> String {
    let size = model.size_bytes() as f64 / 1024_f64.powi(3);
    let revision = model.revision.as_deref().unwrap_or("–");
    let short = revision.get(..8).unwrap_or(revision);
    format!("{:<width$}  {size:>7.2} GiB  {short}", model.id)
}

/// Whether a model is whole, and whether it can be run.
fn state(model: &Location) -> String {
    let flaw = match model.format {
        Format::Safetensors => integrity::check(&model.path),
        Format::Gguf => integrity::check_weights(&model.path, &model.id),
    };
    match (flaw, obstacle(model)) {
        (Err(flaw), _) => format!("unhealthy: {flaw}"),
        (Ok(()), Ok(None)) => "healthy, runs".to_owned(),
        (Ok(()), Ok(Some(obstacle))) => format!("healthy, cannot run: {obstacle}"),
        (Ok(()), Err(error)) => format!("healthy, cannot run: {}", sentence(&error)),
    }
}

/// What keeps a model from being run, from its headers alone.
fn obstacle(model: &Location) -> Result<Option<String>, LoadError> {
    let description = Description::read(model.clone())?;
    Ok(Footprint::of(&description, None)?.obstacle)
}
