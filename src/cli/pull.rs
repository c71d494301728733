//! `pull`: downloads models from the hub into the local cache.

use clap::Args;

use super::{
    Exit,
    downloads::{Bars, fail},
    line::Line,
    printer::Printer,
};
use crate::{
    hub::{self, HubError, Network, Reference, cache, size},
    plan::{Selection, Source},
};

/// What is downloaded.
#[derive(Clone, Debug, Args)]
pub(super) struct Arguments {
    /// A manifest (`*.toml`), or a model of the hub: `org/name`, `org/name@revision`, `org/name:file.gguf`
    #[arg(required = true, value_name = "MODEL|MANIFEST")]
    names: Vec<String>,
    /// Only models with this tag; more than once for any of several
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// A branch, tag or commit, for models that name none
    #[arg(long)]
    revision: Option<String>,
    /// Says how much would be downloaded, and downloads nothing
    #[arg(long)]
    dry_run: bool,
}

/// Downloads model after model; one that fails does not hide the others.
pub(super) fn run(arguments: &Arguments, printer: &Printer, network: Network) -> Exit {
    let selection = Selection {
        arguments: arguments.names.clone(),
        tags: arguments.tags.clone(),
        ..Selection::default()
    };
    let plan = match selection.plan() {
        Ok(plan) => plan,
        Err(error) => {
            printer.failure(&error, error.hint().as_deref());
            return Exit::Usage;
        }
    };
    let mut line = Line::new(network);
    let mut worst = Exit::Ok;
    for planned in plan.models {
        let exit = match planned.source {
            Source::Hub(model) => one(model, arguments, printer, &mut line),
            Source::Path(path) if path.exists() => {
                printer.note(format!("{}: is a path, and not downloaded", planned.label));
                Exit::Ok
            }
            Source::Path(path) => {
                let text = format!("`{}` is neither here nor a name of the hub", path.display());
                printer.error(text, Some("a model of the hub is `org/name`"));
                Exit::No
            }
        };
        // What could not be tried outweighs what was refused.
        if exit != Exit::Ok && worst != Exit::Io {
            worst = exit;
        }
    }
    worst
}

fn one(model: Reference, arguments: &Arguments, printer: &Printer, line: &mut Line) -> Exit {
    let revision = model.revision.clone().or_else(|| arguments.revision.clone());
    let model = model.at(revision.as_deref());
    let bars = Bars::new(printer, &model.label(), None);
    let answer = line.ask(|network| match network {
        Network::Forbidden => cached(&model, &bars),
        Network::Allowed if arguments.dry_run => preview(&model, &bars),
        Network::Allowed => pull(&model, &bars),
    });
    drop(bars);
    match answer {
        Ok(line) => {
            printer.line(line);
            Exit::Ok
        }
        Err(error) => fail(&error, printer),
    }
}

fn cached(model: &Reference, bars: &Bars<'_>) -> Result<String, HubError> {
    hub::provide(model, Network::Forbidden, bars)
        .map(|_| format!("{}: is cached; the hub was not asked", model.label()))
        .map_err(|_| HubError::NotCached { model: model.to_string(), near: cache::near(&model.id) })
}

fn pull(model: &Reference, bars: &Bars<'_>) -> Result<String, HubError> {
    let provided = hub::pull(model, bars)?;
    let short = provided.commit.get(..8).unwrap_or_default();
    let label = model.label();
    Ok(match provided.fetched {
        Some(fetched) => {
            let seconds = fetched.time.as_secs_f64();
            format!("{label}  {short}  {} in {seconds:.1} s", size(fetched.bytes))
        }
        None => format!("{label}  {short}  was here already"),
    })
}

fn preview(model: &Reference, bars: &Bars<'_>) -> Result<String, HubError> {
    let preview = hub::preview(model, bars)?;
    let short = preview.commit.get(..8).unwrap_or_default();
    let free = preview.available.map_or_else(|| "–".to_owned(), size);
    Ok(format!(
        "{}  {short}  {} files, {} bytes ({}), {} bytes ({}) to come, {free} free",
        model.label(),
        preview.files,
        preview.bytes,
        size(preview.bytes),
        preview.missing,
        size(preview.missing),
    ))
}
