//! Lines judged while they are read: no tree is made of what only has to be looked at.
//!
//! A file may have hundreds of thousands of lines, nearly all of which fit. [`line`] reads such a line once,
//! with the same JSON reader as everything else, holds it against a [`Shape`] that was made of its schema, and
//! takes notes of what the rules ask for. It never refuses: a line that it does not accept is for the validator
//! to judge, which also has the words for what is wrong.

mod facts;
mod keep;
mod shape;
mod walk;

use std::sync::LazyLock;

use super::{
    lint::{Finding, Names},
    validate::LineKind,
    version::SchemaVersion,
};
use facts::Fact;
pub(super) use facts::{Facts, Place};
pub(super) use keep::Wanted;
use shape::Shape;

/// What is known of a line that fits.
#[derive(Debug)]
pub(super) struct Scanned<'a> {
    pub(super) kind: LineKind,
    pub(super) facts: Facts<'a>,
    /// What tells where or by whom the line was made.
    pub(super) leaks: Vec<Finding>,
}

static V0_1_0: LazyLock<Option<Shape>> = LazyLock::new(|| Shape::of_version(SchemaVersion::V0_1_0));
static V0_2_0: LazyLock<Option<Shape>> = LazyLock::new(|| Shape::of_version(SchemaVersion::V0_2_0));
static V0_2_2: LazyLock<Option<Shape>> = LazyLock::new(|| Shape::of_version(SchemaVersion::V0_2_2));
static MONITOR: LazyLock<Shape> = LazyLock::new(Shape::of_monitor);

/// What `text` is, if it surely fits; none says nothing about it.
pub(super) fn line<'a>(text: &'a str, names: &Names) -> Option<Scanned<'a>> {
    match named_version(text) {
        Some(version) => record(version, text, names),
        None => monitor(text, names),
    }
}

fn record<'a>(version: SchemaVersion, text: &'a str, names: &Names) -> Option<Scanned<'a>> {
    let shape = match version.schema() {
        SchemaVersion::V0_1_0 => &V0_1_0,
        SchemaVersion::V0_2_0 => &V0_2_0,
        SchemaVersion::V0_2_1 | SchemaVersion::V0_2_2 => &V0_2_2,
    };
    let (facts, leaks) = walk::line(text, shape.as_ref()?, names)?;
    // The version was looked for in the text, and may stand elsewhere in it.
    let is_its_own = facts.text(Place::SchemaVersion) == Some(version.name());
    is_its_own.then_some(Scanned { kind: LineKind::Record(version), facts, leaks })
}

fn monitor<'a>(text: &'a str, names: &Names) -> Option<Scanned<'a>> {
    if !text.contains("\"elapsed_s\"") {
        return None;
    }
    let (facts, _) = walk::line(text, &MONITOR, names)?;
    let is_record = facts.has(Place::SchemaVersion) || facts.has(Place::Outcome);
    let is_sample = !is_record && facts.number(Place::ElapsedS).is_some();
    is_sample.then(|| Scanned { kind: LineKind::Monitor, facts, leaks: Vec::new() })
}

/// The version that stands after the first key of that name, most likely the line's own.
fn named_version(text: &str) -> Option<SchemaVersion> {
    let (_, rest) = text.split_once("\"schema_version\"")?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    rest.get(..rest.find('"')?)?.parse().ok()
}

#[cfg(test)]
mod tests;
