//! A line of one version becomes a line of another, and nothing of it is lost.
//!
//! What the new version has and the old one had not is derived where the line tells it, and absent
//! otherwise. What has no place in the new version goes below `metadata.mlxk_migration`, with the version
//! that the line came from and the fields that were derived, so that migrating back gives the line as it
//! was. `schemas/MIGRATIONS.md` says the same for people.

mod derive;
mod place;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    lenient, schema,
    validate::{self, LineError, LineKind, Mismatch},
    version::SchemaVersion,
};
use derive::{DERIVATIONS, UNKNOWN};

/// Where a migrated line keeps what has no other place, below `metadata`.
const BLOCK: &str = "/metadata/mlxk_migration";

/// What became of a field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It follows from these others.
    Derived(&'static str),
    /// The version declares it, and nothing in the line tells it.
    Unknown,
    /// It has no place in the version and went below `metadata.mlxk_migration.kept`.
    Kept,
    /// It was no number of JSON, and went below `metadata.mlxk_migration.numbers`.
    NoNumber,
}

/// What migrating a file did, counted in lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Records by the version they came from.
    pub records: BTreeMap<SchemaVersion, u64>,
    /// Lines of the memory monitor, passed on as they were.
    pub monitor: u64,
    /// What became of fields, by their JSON pointers.
    pub fields: BTreeMap<(String, Fate), u64>,
}

/// Makes lines of one version out of lines of any.
#[derive(Debug)]
pub struct Migration {
    target: SchemaVersion,
    /// The keys that the root may have.
    root: Vec<String>,
    account: Account,
}

impl Migration {
    /// One to `target`.
    pub fn new(target: SchemaVersion) -> Self {
        let schema = schema::of(target);
        let root = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        let root = root.map(|(key, _)| key.clone()).collect();
        Self { target, root, account: Account::default() }
    }

    /// What was done so far.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// `text` as a line of the target. One that is of it already stays as it is, to the byte.
    ///
    /// # Errors
    ///
    /// Where the line does not fit the version it names: what it means is then not known.
    pub fn line(&mut self, text: &str) -> Result<String, LineError> {
        let (kind, written) = validate::examine(text)?;
        let LineKind::Record(named) = kind else {
            self.account.monitor += 1;
            return Ok(text.to_owned());
        };
        let strange = written.strange.clone();
        let mut line = written.known();
        let mut block = Block::take(&mut line)?;
        let origin = block.as_ref().map_or(named, |block| block.from);
        if origin == self.target && block.is_none() && strange.is_empty() {
            self.count(origin, &[]);
            return Ok(text.to_owned());
        }
        let mut fates = Vec::new();
        let mut kept = Block::new(origin);
        for (pointer, token) in
            strange.into_iter().chain(block.take().into_iter().flat_map(|b| b.numbers))
        {
            fates.push((pointer.clone(), Fate::NoNumber));
            kept.numbers.push((pointer, token));
        }
        place::set(&mut line, "/schema_version", json!(self.target.name()));
        if origin != self.target {
            self.derive(&mut line, &mut kept, &mut fates);
        }
        self.keep(&mut line, &mut kept, &mut fates)?;
        kept.put(&mut line);
        validate::against(self.target, &line)?;
        self.count(origin, &fates);
        Ok(line.to_string())
    }

    fn count(&mut self, origin: SchemaVersion, fates: &[(String, Fate)]) {
        *self.account.records.entry(origin).or_default() += 1;
        for fate in fates {
            *self.account.fields.entry(fate.clone()).or_default() += 1;
        }
    }

    fn derive(&self, line: &mut Value, kept: &mut Block, fates: &mut Vec<(String, Fate)>) {
        for derivation in DERIVATIONS {
            let is_due =
                derivation.since <= self.target && line.pointer(derivation.field).is_none();
            if let Some(value) = (derivation.make)(line).filter(|_| is_due) {
                place::set(line, derivation.field, value);
                kept.derived.push(derivation.field.to_owned());
                fates.push((derivation.field.to_owned(), Fate::Derived(derivation.from)));
            }
        }
        for unknown in UNKNOWN {
            let is_new = unknown.since > kept.from && unknown.since <= self.target;
            if is_new && line.pointer(unknown.field).is_none() && (unknown.applies)(line) {
                fates.push((unknown.field.to_owned(), Fate::Unknown));
            }
        }
    }

    /// Takes out of `line` whatever the target has no place for, or another type.
    fn keep(
        &self,
        line: &mut Value,
        kept: &mut Block,
        fates: &mut Vec<(String, Fate)>,
    ) -> Result<(), Mismatch> {
        let keys: Vec<_> = line.as_object().into_iter().flat_map(Map::keys).cloned().collect();
        let homeless = keys.iter().filter(|key| !self.root.contains(key));
        let mut homeless: Vec<_> = homeless.map(|key| format!("/{}", place::escape(key))).collect();
        loop {
            for pointer in homeless.drain(..) {
                if let Some(value) = line.pointer(&pointer).cloned() {
                    lenient::remove(line, &pointer);
                    fates.push((pointer.clone(), Fate::Kept));
                    kept.kept.push((pointer, value));
                }
            }
            let Err(mismatch) = validate::against(self.target, line) else {
                return Ok(());
            };
            let pointer = place::without_index(line, &mismatch.pointer);
            if pointer.is_empty() || line.pointer(&pointer).is_none() {
                return Err(mismatch);
            }
            homeless.push(pointer);
        }
    }
}

/// What stands below `metadata.mlxk_migration`.
#[derive(Debug)]
struct Block {
    from: SchemaVersion,
    /// Fields that the line did not have.
    derived: Vec<String>,
    /// Fields that the version has no place for.
    kept: Vec<(String, Value)>,
    /// Numbers that JSON has not, as they were written.
    numbers: Vec<(String, String)>,
}

impl Block {
    fn new(from: SchemaVersion) -> Self {
        Self { from, derived: Vec::new(), kept: Vec::new(), numbers: Vec::new() }
    }

    /// Takes the block of an earlier migration out of `line` and undoes what that did.
    fn take(line: &mut Value) -> Result<Option<Self>, Mismatch> {
        let Some(block) = line.pointer(BLOCK).cloned() else {
            return Ok(None);
        };
        let named = block.get("from").and_then(Value::as_str).and_then(|name| name.parse().ok());
        let Some(from) = named else {
            let pointer = format!("{BLOCK}/from");
            return Err(Mismatch {
                pointer,
                reason: "this names no version".to_owned(),
                others: 0,
            });
        };
        let mut taken = Self::new(from);
        let derived = block.get("derived").and_then(Value::as_array).into_iter().flatten();
        for field in derived.filter_map(Value::as_str) {
            lenient::remove(line, field);
        }
        let part = |name| block.get(name).and_then(Value::as_object).into_iter().flatten();
        for (pointer, value) in part("kept") {
            place::set(line, pointer, value.clone());
        }
        for (pointer, token) in part("numbers") {
            taken.numbers.push((pointer.clone(), token.as_str().unwrap_or_default().to_owned()));
        }
        lenient::remove(line, BLOCK);
        if block.get("metadata") == Some(&json!("added")) {
            lenient::remove(line, "/metadata");
        }
        Ok(Some(taken))
    }

    /// Writes the block into `line`, where there is anything to tell.
    fn put(self, line: &mut Value) {
        let is_at_home = line.get("schema_version") == Some(&json!(self.from.name()));
        if is_at_home && self.kept.is_empty() && self.numbers.is_empty() {
            return;
        }
        let mut block = Map::new();
        block.insert("by".to_owned(), json!(env!("CARGO_PKG_VERSION")));
        block.insert("from".to_owned(), json!(self.from.name()));
        let numbers: Map<_, _> =
            self.numbers.into_iter().map(|(at, token)| (at, json!(token))).collect();
        let parts = [
            ("derived", json!(self.derived)),
            ("kept", Value::Object(self.kept.into_iter().collect())),
            ("numbers", Value::Object(numbers)),
        ];
        for (name, part) in parts {
            let is_empty = part.as_array().is_some_and(Vec::is_empty)
                || part.as_object().is_some_and(Map::is_empty);
            if !is_empty {
                block.insert(name.to_owned(), part);
            }
        }
        if line.get("metadata").is_none() {
            block.insert("metadata".to_owned(), json!("added"));
        }
        place::set(line, BLOCK, Value::Object(block));
    }
}

#[cfg(test)]
mod tests;
