//! `--reference` and `--save-reference`: greedy answers are compared with those of another run, or kept for another one.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
};

use clap::Args;

use super::{Exit, printer::Printer};
use crate::measure::{
    outcome::Outcome,
    reference::{self, Compared, Likeness, Reference},
};

/// What is compared, and what is kept.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Comparison")]
pub(super) struct Comparison {
    /// Compares the tokens and log-probabilities of greedy answers with those kept in this file
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// Keeps the tokens and log-probabilities of greedy answers in this file, for `--reference`
    #[arg(long, value_name = "FILE")]
    save_reference: Option<PathBuf>,
}

/// What is compared, and where answers are kept.
#[derive(Debug, Default)]
pub(super) struct References {
    known: Option<Reference>,
    kept: Option<(PathBuf, File)>,
    has_diverged: bool,
}

impl Comparison {
    /// Reads what is compared with, and opens what is kept: anew, unless the run is resumed.
    pub(super) fn begin(&self, is_resumed: bool, printer: &Printer) -> Result<References, Exit> {
        let failed = |what: &str, path: &Path, error: &std::io::Error| {
            printer.error(format!("cannot {what} `{}`: {error}", path.display()), None);
            Exit::Io
        };
        let known = self.reference.as_ref().map(|path| {
            Reference::read(path).map_err(|error| failed("compare with", path, &error))
        });
        let kept = self.save_reference.as_ref().map(|path| {
            let mut options = OpenOptions::new();
            options.create(true).append(is_resumed).write(true).truncate(!is_resumed);
            let file = options.open(path).map_err(|error| failed("write", path, &error))?;
            Ok((path.clone(), file))
        });
        // What is compared with is read before a file of the same name is emptied.
        Ok(References { known: known.transpose()?, kept: kept.transpose()?, has_diverged: false })
    }
}

impl References {
    /// Whether greedy answers are wanted.
    pub(super) fn are_wanted(&self) -> bool {
        self.known.is_some() || self.kept.is_some()
    }

    /// Whether anything was not as in the reference.
    pub(super) fn have_diverged(&self) -> bool {
        self.has_diverged
    }

    /// Compares and keeps the greedy answers of `outcome`, a cell of `model`.
    pub(super) fn look(&mut self, model: &str, outcome: &mut Outcome, printer: &Printer) {
        let answers = &outcome.findings.greedy;
        let stored = self.kept.as_mut().map(|(path, file)| {
            let mut all = answers.iter();
            (path, all.try_for_each(|greedy| reference::store(file, model, greedy)))
        });
        if let Some((path, Err(error))) = stored {
            printer.warning(format!("cannot keep answers in `{}`: {error}", path.display()));
            self.kept = None;
        }
        if let (Some(known), true) = (&self.known, outcome.verdict.is_measured()) {
            let compared = known.compare(model, answers);
            self.has_diverged |= compared.verdict == Likeness::Diverged;
            outcome.findings.compared = Some(compared);
        }
    }
}

/// How a cell compares, as the end of a sentence.
pub(super) fn words(compared: &Compared) -> String {
    let Compared { verdict, at, prompts, log_probability_gap, model, reason } = compared;
    let place = at.map_or_else(String::new, |at| format!(" at token {at}"));
    let head = match verdict {
        Likeness::NotCompared => "not compared".to_owned(),
        Likeness::Identical => "IDENTICAL".to_owned(),
        Likeness::Tie => format!("TIE{place}"),
        Likeness::Diverged => format!("DIVERGED{place}"),
    };
    let of = (*prompts > 0).then(|| format!("{prompts} prompts"));
    let gap = log_probability_gap.map(|gap| format!("log-probabilities within {gap:.1e}"));
    let model = model.as_ref().map(|model| format!("compared with {model}"));
    let parts = [Some(head), of, gap, model, reason.clone()];
    format!("reference: {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_is_told_in_a_line() {
        let compared = Compared {
            verdict: Likeness::Diverged,
            at: Some(3),
            prompts: 4,
            log_probability_gap: Some(0.25),
            model: Some("org/other".to_owned()),
            reason: None,
        };
        assert_eq!(
            words(&compared),
            "reference: DIVERGED at token 3, 4 prompts, log-probabilities within 2.5e-1, compared with org/other"
        );
        let none = Compared {
            verdict: Likeness::NotCompared,
            at: None,
            prompts: 0,
            log_probability_gap: None,
            model: None,
            reason: Some("the prompt is another one".to_owned()),
        };
        assert_eq!(words(&none), "reference: not compared, the prompt is another one");
    }
}
