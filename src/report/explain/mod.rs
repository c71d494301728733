//! A line's figures are derived once more, from the samples that the line holds.
//!
//! What is compared are digits: a figure holds where the line states it just as it follows. Numbers that follow from
//! nothing in the line are told apart from those that do, and none is passed over.

mod derived;
mod evidence;
mod given;
mod memory;
mod number;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use derived::Derived;
use evidence::{Evidence, OURS};
use number::{Leaf, numbers, states};

/// The parts of a line in which every number is a derived figure.
const FIGURES: [&str; 4] = [
    "/performance/",
    "/timeline/",
    "/metadata/mlxk_harness/figures/",
    "/metadata/mlxk_harness/statistics/",
];

/// Why a line cannot be explained.
#[derive(Debug, Error)]
pub enum Unexplained {
    /// It is not JSON.
    #[error("the line is not JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    /// A key stands twice in an object, so that two readers may read two values.
    #[error("a key stands twice in one object of the line")]
    Twice,
    /// It has no part of ours.
    #[error("it is no line of mlxk-harness: `{OURS}` is missing")]
    NotOurs,
    /// What its figures follow from is not there, or not as it is written now.
    #[error("`{what}` is lacking: {why}")]
    Lacks {
        /// Where it should stand, as a JSON pointer.
        what: String,
        /// What is wrong.
        why: String,
    },
}

/// A line, explained.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The name of its test.
    pub test: String,
    /// How the test ended.
    pub outcome: String,
    /// Whether every figure follows from the samples, and they can be true.
    pub holds: bool,
    /// What the samples say that no clock can have shown, a sentence each.
    pub impossible: Vec<String>,
    /// Every derived figure that the line states or should state.
    pub figures: Vec<Explained>,
    /// All other numbers, told together where they differ in indexes only.
    pub given: Vec<Given>,
}

/// A derived figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explained {
    /// Where it stands, as a JSON pointer.
    pub figure: String,
    /// Its unit.
    pub unit: &'static str,
    /// Its definition.
    pub definition: String,
    /// The definition with the numbers of the line, for each repetition where there are some.
    pub steps: Vec<String>,
    /// As the line states it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stated: Option<String>,
    /// As it follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recomputed: Option<f64>,
    /// Whether these are the same.
    pub follows: bool,
}

/// Numbers that follow from nothing in the line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Given {
    /// Where they stand: a JSON pointer, with `*` for indexes.
    pub numbers: String,
    /// How many there are.
    pub count: usize,
    /// What they are; absent where this version does not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<&'static str>,
}

/// Derives the figures of a line once more and compares.
///
/// # Errors
///
/// [`Unexplained`], where the line is none of ours or does not hold what its figures follow from.
pub fn explain(text: &str) -> Result<Explanation, Unexplained> {
    let line: Value = serde_json::from_str(text).map_err(Unexplained::NotJson)?;
    let evidence = Evidence::read(&line)?;
    let mut leaves: BTreeMap<String, &str> = BTreeMap::new();
    let mut order = Vec::new();
    for Leaf { pointer, text } in numbers(text, &line).ok_or(Unexplained::Twice)? {
        leaves.insert(pointer.clone(), text);
        order.push(pointer);
    }
    let derived = derived::derived(&evidence);
    let is_current = line.pointer(&format!("{OURS}/version")).and_then(Value::as_str)
        == Some(env!("CARGO_PKG_VERSION"));
    let mut judged = |derived| judge(derived, &mut leaves, is_current);
    let mut figures: Vec<_> = derived.into_iter().filter_map(&mut judged).collect();
    if is_current {
        let known: Vec<_> = figures.iter().map(|figure| figure.figure.clone()).collect();
        let is_figure = |pointer: &&String| FIGURES.iter().any(|part| pointer.starts_with(part));
        let unknown = order.iter().filter(|pointer| !known.contains(pointer)).filter(is_figure);
        figures.extend(unknown.map(|pointer| Derived::undefined(pointer)).filter_map(&mut judged));
    }
    order.retain(|pointer| leaves.contains_key(pointer));
    let impossible = evidence.impossible();
    let word = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Explanation {
        test: word("test"),
        outcome: word("outcome"),
        holds: impossible.is_empty() && figures.iter().all(|figure| figure.follows),
        impossible,
        figures,
        given: together(&order),
    })
}

/// Compares a figure with what the line states, and takes that out of `leaves`.
///
/// A figure that the line does not state is none that an earlier version should have known.
fn judge(
    derived: Derived,
    leaves: &mut BTreeMap<String, &str>,
    is_current: bool,
) -> Option<Explained> {
    let Derived { pointer, unit, definition, account } = derived;
    let stated = leaves.remove(&pointer);
    let value = account.as_ref().map(|account| account.value);
    let follows = match (stated, value) {
        (None, None) => return None,
        (None, Some(_)) if !is_current => return None,
        (Some(stated), Some(value)) => states(stated, value),
        (None, Some(_)) | (Some(_), None) => false,
    };
    Some(Explained {
        figure: pointer,
        unit,
        definition,
        steps: account.map(|account| account.steps).unwrap_or_default(),
        stated: stated.map(str::to_owned),
        recomputed: value,
        follows,
    })
}

/// Numbers whose places differ in indexes only, told once.
fn together(pointers: &[String]) -> Vec<Given> {
    let mut groups: Vec<Given> = Vec::new();
    for pointer in pointers {
        let numbers = without_indexes(pointer);
        match groups.iter_mut().find(|group| group.numbers == numbers) {
            Some(group) => group.count += 1,
            None => groups.push(Given { numbers, count: 1, what: given::given(pointer) }),
        }
    }
    groups
}

fn without_indexes(pointer: &str) -> String {
    let is_index = |step: &str| !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
    let steps = pointer.split('/').map(|step| if is_index(step) { "*" } else { step });
    steps.collect::<Vec<_>>().join("/")
}
