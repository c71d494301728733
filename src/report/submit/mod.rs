//! A report made fit to leave the machine: what is personal is taken out, and what is left is summed up and sealed.

mod scrub;
mod strings;
mod summary;
mod text;

use std::{collections::BTreeMap, fmt};

use thiserror::Error;

use super::{
    lint::{Linter, Names},
    validate::{LineError, LineKind},
};
pub use scrub::{Kind, Secrets};
pub use summary::Summary;
pub use text::{pull_request, seals};

/// Replaced things of one kind that are told with their lines; of more the first ones.
const TOLD: usize = 3;

/// Takes what is personal out of the lines of one file, and sums them up.
#[derive(Debug)]
pub struct Submission {
    secrets: Secrets,
    names: Names,
    linter: Linter,
    summary: Summary,
    changes: BTreeMap<Change, Lines>,
}

/// A thing that was replaced.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Where it stood, as a JSON pointer to what is left.
    pub pointer: String,
    /// What was found.
    pub kinds: Vec<Kind>,
    /// The text that is left.
    pub left: String,
}

/// The lines of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// The first three.
    pub first: Vec<u64>,
    /// How many there are.
    pub count: u64,
}

impl fmt::Display for Lines {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first: Vec<_> = self.first.iter().map(u64::to_string).collect();
        formatter.write_str(&first.join(","))?;
        match self.count.saturating_sub(self.first.len() as u64) {
            0 => Ok(()),
            more => write!(formatter, " and {more} more"),
        }
    }
}

/// Why a line cannot be submitted.
#[derive(Debug, Error)]
pub enum Unfit {
    /// It does not pass `check`.
    #[error(transparent)]
    Line(#[from] LineError),
    /// It does not fit any more once what is personal was taken out.
    #[error("what is personal stands where it cannot be taken out: {0}")]
    Changed(#[source] LineError),
    /// Something personal was found and could not be taken out.
    #[error("`{pointer}` still tells something personal: {message}")]
    Leak {
        /// Where.
        pointer: String,
        /// What.
        message: String,
    },
}

impl Submission {
    /// One that takes out `secrets`.
    pub fn new(secrets: Secrets) -> Self {
        let names = secrets.names();
        let linter = Linter::new(names.clone());
        let (summary, changes) = (Summary::default(), BTreeMap::new());
        Self { secrets, names, linter, summary, changes }
    }

    /// The line `number` without anything personal. One that has nothing stays as it is, to the byte.
    ///
    /// # Errors
    ///
    /// See [`Unfit`].
    pub fn line(&mut self, number: u64, text: &str) -> Result<String, Unfit> {
        self.linter.look(number, text)?;
        let (clean, changes) = strings::replaced(text, &self.secrets);
        let mut judge = Linter::new(self.names.clone());
        let (kind, findings) = judge.look(number, &clean).map_err(Unfit::Changed)?;
        let personal = ["home", "path", "name"];
        if let Some(leak) = findings.into_iter().find(|found| personal.contains(&found.rule)) {
            return Err(Unfit::Leak { pointer: leak.pointer, message: leak.message });
        }
        for change in changes {
            let lines = self.changes.entry(change).or_default();
            lines.count += 1;
            if lines.first.len() < TOLD {
                lines.first.push(number);
            }
        }
        self.summary.take(&clean, kind == LineKind::Monitor);
        Ok(clean)
    }

    /// All that was replaced, by place.
    pub fn changes(&self) -> &BTreeMap<Change, Lines> {
        &self.changes
    }

    /// What the lines are, so far.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }
}

#[cfg(test)]
mod tests;
