//! The tables of a manifest, key by key.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::{
    Entry, Manifest, Problem,
    field::{Field, Wrong, fields},
};
use crate::{
    hub::Reference,
    plan::{Choices, OutOfRange, Passages, Source},
};

/// Reads `text`, which stands in the file at `path`.
pub(super) fn parse(path: &Path, text: &str) -> Result<Manifest, Wrong> {
    let document = DeTable::parse(text).map_err(|error| Wrong {
        offset: error.span().map_or(0, |span| span.start),
        problem: Problem::Syntax(error.message().to_owned()),
    })?;
    let mut manifest = Manifest {
        path: path.to_owned(),
        defaults: Choices::default(),
        schema: None,
        mlx_knife_version: None,
        models: Vec::new(),
    };
    for field in fields(document.get_ref()) {
        match field.key {
            "defaults" => read_defaults(&field, text, &mut manifest)?,
            "model" => read_models(&field, &mut manifest)?,
            _ => return Err(unknown(&field, Table::Top)),
        }
    }
    if manifest.models.is_empty() {
        return Err(Wrong { offset: 0, problem: Problem::Empty });
    }
    Ok(manifest)
}

fn read_defaults(field: &Field<'_>, text: &str, manifest: &mut Manifest) -> Result<(), Wrong> {
    let table = field.table()?;
    for field in fields(table) {
        match field.key {
            "schema" => manifest.schema = Some(field.written(field.text()?, text)),
            "mlx_knife_version" => {
                manifest.mlx_knife_version = Some(field.written(field.text()?, text));
            }
            "prompt_file" => {
                let file = read_prompt_file(&field, &folder_of(manifest))?;
                manifest.defaults.prompt_file = Some(file);
            }
            _ => read_choice(&field, Table::Defaults, &mut manifest.defaults)?,
        }
    }
    check(table, &manifest.defaults)
}

fn read_models(field: &Field<'_>, manifest: &mut Manifest) -> Result<(), Wrong> {
    let folder = folder_of(manifest);
    for (offset, entry) in
        field.list(|element| Ok((element.offset(), read_model(element, &folder)?)))?
    {
        let label = entry.source.label();
        if manifest.models.iter().any(|other| other.source.label() == label) {
            return Err(Wrong { offset, problem: Problem::Repeated(label) });
        }
        manifest.models.push(entry);
    }
    Ok(())
}

/// What relative paths are relative to.
fn folder_of(manifest: &Manifest) -> PathBuf {
    manifest.path.parent().unwrap_or(Path::new("")).to_owned()
}

fn read_prompt_file(field: &Field<'_>, folder: &Path) -> Result<Passages, Wrong> {
    let path = folder.join(field.text()?);
    Passages::of_file(&path).map_err(|error| {
        let reason = format!("cannot use `{}`: {error}", path.display());
        field.wrong(Problem::Other(reason))
    })
}

fn read_model(field: &Field<'_>, folder: &Path) -> Result<Entry, Wrong> {
    let table = field.table()?;
    let (mut id, mut path, mut revision) = (None, None, None);
    let (mut tags, mut size_gb, mut choices) = (Vec::new(), None, Choices::default());
    for field in fields(table) {
        match field.key {
            "id" => id = Some(read_id(&field)?),
            "path" => path = Some(folder.join(field.text()?)),
            "revision" => revision = Some((field.offset(), field.text()?)),
            "tags" => tags = field.list(Field::text)?,
            "size_gb" => size_gb = Some(read_size(&field)?),
            "prompt_file" => choices.prompt_file = Some(read_prompt_file(&field, folder)?),
            _ => read_choice(&field, Table::Model, &mut choices)?,
        }
    }
    check(table, &choices)?;
    let source = match (id, path, revision) {
        (Some(model), None, revision) => {
            Source::Hub(Reference { revision: revision.map(|(_, revision)| revision), ..model })
        }
        (None, Some(path), None) => Source::Path(path),
        (None, Some(_), Some((offset, _))) => {
            return Err(Wrong { offset, problem: Problem::RevisionOfPath });
        }
        (None, None, _) | (Some(_), Some(_), _) => return Err(field.wrong(Problem::NotOneSource)),
    };
    Ok(Entry { source, tags, size_gb, choices })
}

fn read_id(field: &Field<'_>) -> Result<Reference, Wrong> {
    let id = field.text()?;
    // A revision has a key of its own, and a manifest names the organization.
    let is_plain = id.contains('/') && !id.contains('@');
    let model = Reference::parse(&id).filter(|_| is_plain);
    model.ok_or_else(|| field.wrong(Problem::NotAnId(id)))
}

fn read_size(field: &Field<'_>) -> Result<f32, Wrong> {
    let size = field.number()?;
    if size > 0.0 && size.is_finite() {
        Ok(size)
    } else {
        Err(field.wrong(Problem::OutOfRange(OutOfRange { name: "size_gb", rule: "more than 0" })))
    }
}

/// A key of [`Choices`] and how its value is read.
type Choice = (&'static str, fn(&Field<'_>, &mut Choices) -> Result<(), Wrong>);

/// Every key that may stand in `[defaults]` and in a `[[model]]`.
const CHOICES: &[Choice] = &[
    ("scenarios", |field, to| put(&mut to.scenarios, field.list(Field::name))),
    ("prompt_tokens", |field, to| put(&mut to.prompt_tokens, field.one_or_list(Field::count))),
    ("generation_tokens", |field, to| {
        put(&mut to.generation_tokens, field.one_or_list(Field::count))
    }),
    ("depth", |field, to| put(&mut to.depth, field.one_or_list(Field::count))),
    ("prompt", |field, to| put(&mut to.prompt, field.text())),
    ("max_tokens", |field, to| put(&mut to.max_tokens, field.count())),
    ("repetitions", |field, to| put(&mut to.repetitions, field.count())),
    ("warmup", |field, to| put(&mut to.warmup, field.count())),
    ("temperature", |field, to| put(&mut to.temperature, field.number())),
    ("top_p", |field, to| put(&mut to.top_p, field.number())),
    ("min_p", |field, to| put(&mut to.min_p, field.number())),
    ("top_k", |field, to| put(&mut to.top_k, field.count())),
    ("repetition_penalty", |field, to| put(&mut to.repetition_penalty, field.number())),
    ("seed", |field, to| put(&mut to.seed, field.count())),
    ("random_ids", |field, to| put(&mut to.random_ids, field.switch())),
    ("nll_tokens", |field, to| put(&mut to.nll_tokens, field.count())),
    ("dtype", |field, to| put(&mut to.dtype, field.name())),
    ("dequantize", |field, to| put(&mut to.dequantize, field.switch())),
    ("device", |field, to| put(&mut to.device, field.name())),
    ("prefill_chunk", |field, to| put(&mut to.prefill_chunk, field.one_or_list(Field::count))),
    ("kv_bits", |field, to| put(&mut to.kv_bits, field.one_or_list(Field::count))),
    ("kv_group_size", |field, to| put(&mut to.kv_group_size, field.count())),
    ("kv_start", |field, to| put(&mut to.kv_start, field.count())),
    ("decode", |field, to| put(&mut to.decode, field.one_or_list(Field::name))),
];

/// Why `batch` is refused.
const NO_BATCH: &str = "`batch` is not supported yet: requests run one at a time";

fn put<T>(slot: &mut Option<T>, value: Result<T, Wrong>) -> Result<(), Wrong> {
    *slot = Some(value?);
    Ok(())
}

fn read_choice(field: &Field<'_>, table: Table, to: &mut Choices) -> Result<(), Wrong> {
    match CHOICES.iter().find(|(name, _)| *name == field.key) {
        Some((_, read)) => read(field, to),
        None if field.key == "batch" => Err(field.wrong(Problem::Other(NO_BATCH.to_owned()))),
        None => Err(unknown(field, table)),
    }
}

/// Refuses values out of range, at their place in `table`.
fn check(table: &DeTable<'_>, choices: &Choices) -> Result<(), Wrong> {
    choices.check().map_err(|out| Wrong {
        offset: table.get(out.name).map_or(0, |value| value.span().start),
        problem: Problem::OutOfRange(out),
    })
}

/// The kinds of tables in a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    Top,
    Defaults,
    Model,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Top => "a manifest",
            Self::Defaults => "`[defaults]`",
            Self::Model => "a `[[model]]`",
        }
    }

    fn keys(self) -> Vec<&'static str> {
        let choices = CHOICES.iter().map(|(name, _)| *name).chain(["prompt_file"]);
        match self {
            Self::Top => vec!["defaults", "model"],
            Self::Defaults => choices.chain(["schema", "mlx_knife_version"]).collect(),
            Self::Model => choices.chain(["id", "path", "revision", "tags", "size_gb"]).collect(),
        }
    }
}

fn unknown(field: &Field<'_>, table: Table) -> Wrong {
    let elsewhere = [Table::Defaults, Table::Model]
        .into_iter()
        .find(|other| *other != table && other.keys().contains(&field.key));
    let hint = match elsewhere {
        Some(other) => Some(format!("`{}` belongs in {}", field.key, other.name())),
        None => nearest(field.key, table.keys()).map(|key| format!("did you mean `{key}`?")),
    };
    Wrong {
        offset: field.key_offset,
        problem: Problem::UnknownKey { key: field.key.to_owned(), table: table.name(), hint },
    }
}

/// The name that `typed` most likely stands for.
fn nearest(typed: &str, names: Vec<&'static str>) -> Option<&'static str> {
    names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(typed, name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}
