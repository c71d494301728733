//! The table at the end of a run.

use super::{
    layout::{COLUMNS, Layout, Line, WIDEST, aligned},
    notes::notes,
};
use crate::{
    measure::{
        outcome::{Outcome, Verdict},
        rates,
        roofline::utilization,
        statistics::{Interval, median, median_interval},
        steadiness::{Flag, flags},
        trial::Trial,
    },
    plan::{Cell, Work},
};

/// A cell that was measured, or tried.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) label: String,
    pub(super) cell: Cell,
    pub(super) outcome: Outcome,
}

/// Stands for what is not known.
const UNKNOWN: &str = "–";

/// Columns of figures, each with its unit below.
const HEADER: [[&str; COLUMNS]; 2] = [
    ["", "", "", "load", "TTFT", "prompt", "decode", "NLL", "MBU", "peak", ""],
    ["", "in", "out", "s", "ms", "tok/s", "tok/s", "nats", "%", "GiB", "outcome"],
];

/// What stands before a scenario, below the name of its model.
const INDENT: &str = "  ";

/// The whole text, every line of it ended.
pub(super) fn table(rows: &[Row]) -> String {
    let header = HEADER.map(|line| line.map(str::to_owned));
    let mut body: Vec<[Line; 2]> =
        rows.iter().map(|row| [columns(row, rows), bounds(row)]).collect();
    let mut layout = Layout::of(header.iter().chain(body.as_flattened()));
    if layout.width() > WIDEST {
        shorten_names(rows, &mut body);
        layout = Layout::of(header.iter().chain(body.as_flattened()));
    }
    let mut table: String = header.iter().map(|line| aligned(line, &layout)).collect();
    let mut above = None;
    for (row, lines) in rows.iter().zip(&body) {
        if above != Some(&row.label) {
            table.extend([row.label.as_str(), "\n"]);
        }
        above = Some(&row.label);
        let told = lines.iter().filter(|line| line.iter().any(|text| !text.is_empty()));
        table.extend(told.map(|line| aligned(line, &layout)));
    }
    format!("{table}\n{}{}{}", legend(rows), notes(rows), totals(rows))
}

fn columns(row: &Row, rows: &[Row]) -> Line {
    let outcome = &row.outcome;
    let load = outcome.loaded.as_ref().map(|loaded| loaded.load_us() as f64 / 1e6);
    let (tokens_in, tokens_out) = tokens(row);
    let [first, prompt, decode] = figures(outcome).map(|samples| figure(median(&samples)));
    [
        format!("{INDENT}{}", name(row, rows)),
        count(tokens_in),
        count(tokens_out),
        number(load, 2),
        first,
        prompt,
        decode,
        number(foretold(outcome), 2),
        count(memory_use(outcome).map(|share| share * 100.0)),
        number(peak(outcome), 2),
        short_verdict(outcome).to_owned(),
    ]
}

/// The scenario, and what was swept beside the sizes, which have columns of their own.
fn name(row: &Row, rows: &[Row]) -> String {
    let mut words = vec![row.cell.work.scenario().name().to_owned()];
    words.extend(row.cell.distinctions(row.siblings(rows)));
    words.join(" ")
}

/// Leaves out the scenario where all rows have the same and are told apart by something else.
fn shorten_names(rows: &[Row], body: &mut [[Line; 2]]) {
    let scenario = |row: &Row| row.cell.work.scenario().name();
    let Some(first) = rows.first().map(scenario) else { return };
    if rows.iter().any(|row| scenario(row) != first) {
        return;
    }
    for [[name, ..], _] in body {
        if let Some((_, rest)) = name.trim_start().split_once(' ') {
            *name = format!("{INDENT}{rest}");
        }
    }
}

impl Row {
    /// The cells of its model among `rows`.
    pub(super) fn siblings<'a>(&self, rows: &'a [Self]) -> impl Iterator<Item = &'a Cell> + Clone {
        rows.iter().filter(|row| row.label == self.label).map(|row| &row.cell)
    }

    /// What speaks against its figures.
    fn flags(&self) -> Vec<Flag> {
        flags(counted(&self.outcome), self.cell.conditions.depth)
    }
}

/// What stands below the figures of a row: the interval of each median, and what speaks against it.
fn bounds(row: &Row) -> Line {
    let [first, prompt, decode] = figures(&row.outcome).map(|samples| interval(&samples));
    let flags: Vec<_> = row.flags().into_iter().map(Flag::name).collect();
    let none = String::new;
    let flags = flags.join(" ");
    [none(), none(), none(), none(), first, prompt, decode, none(), none(), none(), flags]
}

/// The repetitions of each figure that has an interval: TTFT in milliseconds, and the rates.
fn figures(outcome: &Outcome) -> [Vec<f64>; 3] {
    let milliseconds =
        |trial: &Trial| rates::time_to_first_token(trial).map(|seconds| seconds * 1e3);
    let of = |figure: fn(&Trial) -> Option<f64>| samples(outcome, figure);
    [of(milliseconds), of(rates::prompt_rate), of(rates::decode_rate)]
}

/// What the marks of these rows mean, and an empty line after it.
fn legend(rows: &[Row]) -> String {
    let seen: Vec<Flag> = rows.iter().flat_map(Row::flags).collect();
    let has_interval = rows
        .iter()
        .flat_map(|row| figures(&row.outcome))
        .any(|samples| !interval(&samples).is_empty());
    let mut text = String::new();
    if has_interval {
        text.push_str("below a median: where it lies in 95 of 100 cases\n");
    }
    for flag in Flag::ALL.into_iter().filter(|flag| seen.contains(flag)) {
        text.extend([flag.name(), ": ", flag.meaning(), "\n"]);
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

fn short_verdict(outcome: &Outcome) -> &'static str {
    match outcome.verdict {
        Verdict::Measured => "passed",
        Verdict::Skipped(_) => "skipped",
        Verdict::Failed(_) => "failed",
    }
}

/// Tokens of prompt and answer, as measured; before that, as planned where that is exact.
fn tokens(row: &Row) -> (Option<f64>, Option<f64>) {
    let planned = match &row.cell.work {
        Work::Throughput { prompt_tokens, generation_tokens } => {
            Some((f64::from(*prompt_tokens), f64::from(*generation_tokens)))
        }
        Work::Chat { .. } | Work::Stop { .. } => None,
    };
    let read = middle(&row.outcome, |trial| Some(f64::from(trial.prompt_tokens)));
    let generated = middle(&row.outcome, |trial| Some(trial.visible_us.len() as f64));
    (read.or(planned.map(|(read, _)| read)), generated.or(planned.map(|(_, generated)| generated)))
}

/// The mean negative log-likelihood of the shipped text, in nats: a broken model is fast, and foretells badly.
fn foretold(outcome: &Outcome) -> Option<f64> {
    let likelihood = outcome.findings.likelihood.as_ref()?;
    (outcome.verdict == Verdict::Measured).then_some(likelihood.mean_nll)
}

/// The part of the memory's ceiling that the decode made use of.
fn memory_use(outcome: &Outcome) -> Option<f64> {
    let roofline = outcome.loaded.as_ref()?.roofline.as_ref()?;
    Some(utilization(roofline, counted(outcome)).decode?.mbu)
}

/// The most that MLX's allocator held in any repetition, in GiB.
fn peak(outcome: &Outcome) -> Option<f64> {
    let bytes = counted(outcome).iter().filter_map(|trial| trial.memory.peak_bytes).max()?;
    Some(bytes as f64 / 1024_f64.powi(3))
}

/// The repetitions that count: as in a report, a cell that failed has no figures.
fn counted(outcome: &Outcome) -> &[Trial] {
    match outcome.verdict {
        Verdict::Measured => &outcome.trials,
        Verdict::Skipped(_) | Verdict::Failed(_) => &[],
    }
}

fn samples(outcome: &Outcome, figure: fn(&Trial) -> Option<f64>) -> Vec<f64> {
    counted(outcome).iter().filter_map(figure).collect()
}

fn middle(outcome: &Outcome, figure: fn(&Trial) -> Option<f64>) -> Option<f64> {
    median(&samples(outcome, figure))
}

/// A figure to four digits or more.
fn figure(value: Option<f64>) -> String {
    let is_small = value.is_some_and(|value| value < 1e3);
    number(value, usize::from(is_small))
}

/// The bounds of a median, where samples suffice.
fn interval(samples: &[f64]) -> String {
    median_interval(samples).map_or_else(String::new, |Interval { low, high }| {
        format!("{}–{}", figure(Some(low)), figure(Some(high)))
    })
}

fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| format!("{value:.decimals$}"))
}

fn count(value: Option<f64>) -> String {
    number(value, 0)
}

/// How many cells ended how.
fn totals(rows: &[Row]) -> String {
    let count = |verdict| rows.iter().filter(|row| short_verdict(&row.outcome) == verdict).count();
    let [passed, failed, skipped] = ["passed", "failed", "skipped"].map(count);
    format!("{passed} passed, {failed} failed, {skipped} skipped\n")
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{
        measure::{
            findings::TextLikelihood,
            outcome::{Failure, Skip, Stage},
        },
        plan::Scenario,
    };

    /// A row of a cell of 64 and 3 tokens, or of a chat.
    pub(in crate::cli) fn row(label: &str, scenario: Scenario, verdict: Verdict) -> Row {
        let work = match scenario {
            Scenario::Throughput => Work::Throughput { prompt_tokens: 64, generation_tokens: 3 },
            Scenario::Chat => Work::Chat { prompt: "Hi".to_owned(), max_tokens: 8 },
            Scenario::Stop => Work::Stop { set: 1, max_tokens: 8 },
        };
        Row {
            label: label.to_owned(),
            cell: Cell { work, ..Cell::throughput([64, 3], 0, 2) },
            outcome: Outcome::unbegun(verdict, SystemTime::UNIX_EPOCH),
        }
    }

    pub(in crate::cli) fn failed(message: &str) -> Verdict {
        Verdict::Failed(Failure {
            stage: Stage::Load,
            kind: "tensor_missing".to_owned(),
            message: message.to_owned(),
            hint: None,
            stderr: Vec::new(),
        })
    }

    /// Three tokens: the first after 500 ms, 100 ms of them before the prompt was ready, then one each `gap_us`.
    fn trial(gap_us: u64) -> Trial {
        let mut trial = Trial::with_stamps((0..3).map(|token| 500_000 + token * gap_us).collect());
        trial.prompt_tokens = 64;
        trial.prompt_ready_us = 100_000;
        trial.memory.peak_bytes = Some(gap_us * 53_687);
        trial
    }

    pub(in crate::cli) fn likelihood(mean_nll: f64) -> TextLikelihood {
        let (text, ids_sha256) = ("text".to_owned(), String::new());
        TextLikelihood { mean_nll, tokens: 512, text, ids_sha256 }
    }

    #[test]
    fn a_table_can_be_read_from_left_to_right() {
        let mut measured = row("org/tiny", Scenario::Throughput, Verdict::Measured);
        // 50 and 40 tokens a second; the larger peak is 1.25 GiB.
        measured.outcome.trials = vec![trial(20_000), trial(25_000)];
        measured.outcome.findings.likelihood = Some(likelihood(2.5251));
        let skip = Skip {
            kind: "tokenizer_missing".to_owned(),
            reason: "there is no tokenizer".to_owned(),
        };
        // What is found of a cell that failed says nothing of a speed.
        let mut broken = row("mlx-community/large", Scenario::Throughput, failed("`x` is missing"));
        broken.outcome.findings.likelihood = Some(likelihood(11.93));
        let rows = [measured, row("org/tiny", Scenario::Chat, Verdict::Skipped(skip)), broken];
        let expected = "                       load   TTFT  prompt  decode   NLL  MBU  peak
              in  out     s     ms   tok/s   tok/s  nats    %   GiB  outcome
org/tiny
  throughput  64    3     –  500.0   160.0    45.0  2.53    –  1.25  passed
  chat         –    –     –      –       –       –     –    –     –  skipped
mlx-community/large
  throughput  64    3     –      –       –       –     –    –     –  failed

skipped  org/tiny (chat) there is no tokenizer
failed   mlx-community/large (throughput) while loading: `x` is missing

1 passed, 1 failed, 1 skipped
";
        assert_eq!(table(&rows), expected);
    }

    #[test]
    fn what_is_swept_beside_the_sizes_stands_behind_the_scenario() {
        let mut rows = vec![row("org/tiny", Scenario::Throughput, Verdict::Measured); 3];
        rows[1].cell.conditions.depth = 1024;
        rows.push(row("org/tiny", Scenario::Chat, Verdict::Measured));
        // Another model is no reason.
        rows[2].label = "org/other".to_owned();
        rows[2].cell.conditions.depth = 7;
        let names: Vec<_> = rows.iter().map(|row| name(row, &rows)).collect();
        assert_eq!(names, ["throughput d0", "throughput d1024", "throughput", "chat"]);
    }

    #[test]
    fn eight_repetitions_have_intervals_and_flags() {
        let mut slowing = row("org/tiny", Scenario::Throughput, Verdict::Measured);
        // Tokens take 20 ms, then 21.4 ms: decode falls from 50.0 to 46.7 tokens a second.
        slowing.outcome.trials = (0..8).map(|at| trial(20_000 + at * 200)).collect();
        // The bounds: scipy.stats.mstats.median_cihs.
        let expected =
            "                       load         TTFT       prompt     decode   NLL  MBU  peak
              in  out     s           ms        tok/s      tok/s  nats    %   GiB  outcome
org/tiny
  throughput  64    3     –        500.0        160.0       48.3     –    –  1.07  passed
                             500.0–500.0  160.0–160.0  47.1–49.5                   slowing

below a median: where it lies in 95 of 100 cases
slowing: later repetitions were slower: the machine may have been hot or busy

1 passed, 0 failed, 0 skipped
";
        assert_eq!(table(&[slowing]), expected);
    }

    #[test]
    fn a_large_figure_needs_no_decimals() {
        assert_eq!([Some(999.94), Some(1_234.5)].map(figure), ["999.9", "1234"]);
    }
}
