//! What a reader of a table must know beside its figures: failures, skips and warnings, each said once.

use super::{references, table::Row};
use crate::{
    host::fitness::Fitness,
    measure::{
        outcome::{Failure, Outcome, Stage, Verdict},
        rates,
        statistics::median,
    },
    plan::{Cell, Conditions, DecodeMode},
};

/// Lines of a child's standard error that are shown.
const STDERR_LINES: usize = 4;

/// Something to know about cells of one model.
#[derive(Debug, PartialEq, Eq)]
struct Note<'a> {
    kind: &'static str,
    label: &'a str,
    text: String,
    /// More lines, each with what it is.
    details: Vec<(&'static str, &'a str)>,
    cells: Vec<String>,
}

/// All notes, the same about several cells of a model in one, and an empty line after them.
pub(super) fn notes(rows: &[Row]) -> String {
    let mut notes: Vec<Note<'_>> = Vec::new();
    for note in rows.iter().flat_map(|row| about(row, rows)) {
        let same = |known: &&mut Note<'_>| {
            known.kind == note.kind
                && known.label == note.label
                && known.text == note.text
                && known.details == note.details
        };
        match notes.iter_mut().find(same) {
            Some(known) => known.cells.extend(note.cells),
            None => notes.push(note),
        }
    }
    let mut text: String = notes.iter().map(Note::to_text).collect();
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// The grade of the machine, what speaks against a better one, and an empty line after them.
pub(super) fn grade(fitness: &Fitness) -> String {
    let head = format!("note     the machine was of grade {}\n", fitness.grade);
    let reasons = fitness.reasons.iter();
    let reasons = reasons.map(|reason| format!("         {}: {}\n", reason.grade, reason.text));
    std::iter::once(head).chain(reasons).chain(["\n".to_owned()]).collect()
}

/// How a cell ended, as the end of a sentence.
pub(super) fn verdict(outcome: &Outcome) -> String {
    match &outcome.verdict {
        Verdict::Measured => "passed".to_owned(),
        Verdict::Skipped(skip) => format!("skipped: {}", skip.reason),
        Verdict::Failed(failure) => format!("failed {}", place(failure)),
    }
}

impl Note<'_> {
    fn to_text(&self) -> String {
        let (kind, label) = (self.kind, self.label);
        let cells = self.cells.join(", ");
        let head = format!("{kind:<8} {label} ({cells}) {}\n", self.text);
        let details = self.details.iter();
        let details = details.map(|(name, line)| format!("         {name}: {line}\n"));
        std::iter::once(head).chain(details).collect()
    }
}

fn about<'a>(row: &'a Row, rows: &'a [Row]) -> Vec<Note<'a>> {
    let note = |kind, text| Note {
        kind,
        label: &row.label,
        text,
        details: Vec::new(),
        cells: vec![row.cell.name_among(row.siblings(rows))],
    };
    let mut notes = Vec::new();
    match &row.outcome.verdict {
        Verdict::Measured => {}
        Verdict::Skipped(skip) => notes.push(note("skipped", skip.reason.clone())),
        Verdict::Failed(failure) => {
            notes.push(Note { details: details(failure), ..note("failed", place(failure)) });
        }
    }
    if row.outcome.random_ids {
        notes.push(note("note", "prompts were ids drawn at random".to_owned()));
    }
    if let Some(compared) = &row.outcome.findings.compared {
        notes.push(note("note", references::words(compared)));
    }
    notes.extend(gain(row, rows).map(|text| note("note", text)));
    notes.extend(row.outcome.warnings.iter().map(|text| note("note", text.clone())));
    notes
}

/// What being one step ahead gains, where the same cell was measured without.
fn gain(row: &Row, rows: &[Row]) -> Option<String> {
    let rate = |row: &Row| {
        let trials = row.outcome.trials.iter();
        let rates: Vec<_> = trials.filter_map(rates::decode_rate).collect();
        median(&rates).filter(|_| row.outcome.verdict == Verdict::Measured)
    };
    let decode = DecodeMode::Synchronous;
    let conditions = Conditions { decode, ..row.cell.conditions.clone() };
    let waiting = Cell { conditions, ..row.cell.clone() };
    let is_pipelined = row.cell.conditions.decode == DecodeMode::Pipelined;
    let other = rows.iter().find(|other| other.label == row.label && other.cell == waiting)?;
    let gain = rate(row)? / rate(other)?;
    (is_pipelined && gain.is_finite())
        .then(|| format!("decodes {gain:.2} times as fast as waiting for each token"))
}

fn place(failure: &Failure) -> String {
    format!("while {}: {}", doing(failure.stage), failure.message)
}

fn doing(stage: Stage) -> &'static str {
    match stage {
        Stage::Resolve => "finding the model",
        Stage::Load => "loading",
        Stage::Prompt => "making the prompt",
        Stage::Prefill => "reading the prompt",
        Stage::Decode => "generating",
        Stage::Cleanup => "releasing the model",
    }
}

fn details(failure: &Failure) -> Vec<(&'static str, &str)> {
    let hint = failure.hint.as_deref().map(|hint| ("hint", hint));
    let skipped = failure.stderr.len().saturating_sub(STDERR_LINES);
    let stderr = failure.stderr.iter().skip(skipped).map(|line| ("stderr", line.as_str()));
    hint.into_iter().chain(stderr).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::table::tests::{failed, row},
        host::fitness::{Grade, Reason},
        measure::trial::Trial,
        plan::Scenario,
    };

    #[test]
    fn what_is_true_of_both_scenarios_is_said_once() {
        let rows = [
            row("org/a", Scenario::Throughput, failed("`x` is missing")),
            row("org/a", Scenario::Chat, failed("`x` is missing")),
            row("org/b", Scenario::Chat, failed("`x` is missing")),
        ];
        let expected = "\
failed   org/a (throughput, chat) while loading: `x` is missing
failed   org/b (chat) while loading: `x` is missing

";
        assert_eq!(notes(&rows), expected);
    }

    #[test]
    fn a_failure_tells_its_hint_and_the_last_words() {
        let mut row = row("org/a", Scenario::Chat, failed("it is gone"));
        if let Verdict::Failed(failure) = &mut row.outcome.verdict {
            failure.hint = Some("try again".to_owned());
            failure.stderr = ["1", "2", "3", "4", "5"].map(str::to_owned).to_vec();
        }
        let expected = "\
failed   org/a (chat) while loading: it is gone
         hint: try again
         stderr: 2
         stderr: 3
         stderr: 4
         stderr: 5

";
        assert_eq!(notes(&[row]), expected);
    }

    #[test]
    fn warnings_of_measured_cells_are_told() {
        let mut row = row("org/a", Scenario::Throughput, Verdict::Measured);
        row.outcome.random_ids = true;
        row.outcome.warnings = vec!["it is hot".to_owned()];
        let expected = "\
note     org/a (throughput) prompts were ids drawn at random
note     org/a (throughput) it is hot

";
        assert_eq!(notes(&[row]), expected);
    }

    #[test]
    fn a_grade_is_told_with_what_speaks_against_a_better_one() {
        let reason = Reason { grade: Grade::C, rule: "a_rule", text: "it is slow".to_owned() };
        let fitness = |grade, reasons| Fitness { grade, reasons, not_judged: vec!["jitter"] };
        let expected = "\
note     the machine was of grade C
         C: it is slow

";
        assert_eq!(grade(&fitness(Grade::C, vec![reason])), expected);
        let expected = "note     the machine was of grade A\n\n";
        assert_eq!(grade(&fitness(Grade::A, Vec::new())), expected);
    }

    #[test]
    fn the_gain_of_one_step_ahead_is_told_where_both_were_measured() {
        let measured = |decode, gap_us| {
            let mut row = row("org/a", Scenario::Throughput, Verdict::Measured);
            row.cell.conditions.decode = decode;
            row.outcome.trials = vec![Trial::with_stamps(vec![0, gap_us, 2 * gap_us])];
            row
        };
        // 50 and 40 tokens a second.
        let ahead = measured(DecodeMode::Pipelined, 20_000);
        let waiting = measured(DecodeMode::Synchronous, 25_000);
        assert_eq!(
            notes(&[ahead.clone(), waiting.clone()]),
            "note     org/a (throughput[pipelined]) decodes 1.25 times as fast as waiting for each \
             token\n\n"
        );
        assert_eq!(notes(std::slice::from_ref(&ahead)), "");
        let mut other = waiting;
        other.cell.conditions.depth = 1;
        assert_eq!(notes(&[ahead, other]), "");
    }

    #[test]
    fn nothing_to_know_is_nothing() {
        assert_eq!(notes(&[row("org/a", Scenario::Chat, Verdict::Measured)]), "");
    }
}
