//! Charts with a line for each record: repetitions, gaps between tokens, phases of loads.

use std::{collections::HashMap, ptr};

use super::{
    super::{Report, Row, model_of},
    Section, section,
    svg::{self, Figure, LEFT, RIGHT, Scale},
};

/// Records of a chart of dots or bars, and of one of lines; more would be no chart any more.
const MOST: usize = 60;
const MOST_TALL: usize = 30;
/// Height of a record in a chart of dots or bars, and in one of lines.
const ROW: f64 = 22.0;
const TALL: f64 = 40.0;

/// The records of a chart, of what was measured more than once on a machine the newest.
fn chosen(report: &Report, has: impl Fn(&Row) -> bool) -> Vec<&Row> {
    let mut newest: HashMap<_, &Row> = HashMap::new();
    let key = |row: &Row| (row.model.clone(), row.label(), row.hardware.clone());
    let rows = || report.rows.iter().filter(|row| has(row));
    for row in rows() {
        let known = newest.entry(key(row)).or_insert(row);
        if row.end >= known.end {
            *known = row;
        }
    }
    let is_newest = |row: &&Row| newest.get(&key(row)).is_some_and(|known| ptr::eq(*known, *row));
    rows().filter(is_newest).collect()
}

/// What is said of records that are not drawn.
fn left(rows: usize, drawn: usize) -> String {
    match rows.saturating_sub(drawn) {
        0 => String::new(),
        left => format!(" {left} more records are told in words only."),
    }
}

/// A section with one chart.
pub(super) fn drawn(
    title: &'static str,
    caption: &str,
    (height, body): (f64, &str),
    words: &[String],
) -> Option<Section> {
    section(title, &Figure { title, caption, height, body, words }.html())
}

/// The model without its organisation, and the test.
fn label(row: &Row) -> String {
    let model = model_of(row);
    let model = model.rsplit('/').next().unwrap_or(model);
    // Sizes tell that it is throughput.
    let test = if row.test == "throughput" && !row.parameters.is_empty() {
        row.parameters.clone()
    } else {
        row.label()
    };
    format!("{model} {test}")
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle).copied()?;
    if sorted.len().is_multiple_of(2) {
        Some(f64::midpoint(*sorted.get(middle - 1)?, upper))
    } else {
        Some(upper)
    }
}

/// Each repetition as a dot, by how far it is from the median.
pub(super) fn repetitions(report: &Report) -> Option<Section> {
    let rows = chosen(report, |row| row.detail.rates.len() > 1);
    let spreads: Vec<Spread<'_>> = rows
        .iter()
        .filter_map(|row| {
            let middle = median(&row.detail.rates)?;
            Some((
                *row,
                middle,
                row.detail
                    .rates
                    .iter()
                    .map(|rate| (rate / middle - 1.0) * 100.0)
                    .collect::<Vec<_>>(),
            ))
        })
        .collect();
    if spreads.is_empty() {
        return None;
    }
    let widest =
        spreads.iter().flat_map(|(.., all)| all).fold(1.0, |most: f64, away| most.max(away.abs()));
    let scale = Scale { from: (-widest, widest), to: (LEFT, RIGHT) };
    let words: Vec<_> = spreads.iter().map(spread_words).collect();
    let left = left(spreads.len(), MOST);
    let spreads = spreads.get(..MOST).unwrap_or(&spreads);
    let height = ROW * spreads.len() as f64 + 26.0;
    let mut body = svg::rule((scale.at(0.0), 0.0), (scale.at(0.0), height - 22.0));
    for (at, (row, middle, all)) in spreads.iter().enumerate() {
        let y = ROW * (at as f64 + 0.5);
        body.push_str(&svg::name(&label(row), y));
        body.push_str(&svg::rule((LEFT, y), (RIGHT, y)));
        for (number, (away, rate)) in all.iter().zip(&row.detail.rates).enumerate() {
            body.extend([format!(
                "<circle class=\"c1 fill faint\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\"><title>repetition {}: \
                 {rate:.2} tok/s ({away:+.1} %)</title></circle>\n",
                scale.at(*away),
                number + 1,
            )]);
        }
        body.push_str(&svg::value(&format!("{middle:.1} tok/s"), y));
    }
    for (away, anchor) in [(-widest, "start"), (0.0, "middle"), (widest, "end")] {
        let text = if away.abs() < f64::MIN_POSITIVE {
            "median".to_owned()
        } else {
            format!("{away:+.1} %")
        };
        body.push_str(&svg::word(&text, (scale.at(away), height - 6.0), anchor));
    }
    let caption = format!(
        "Decode rate of each repetition, by how far it is from the median of its record.{left}"
    );
    drawn("Repetitions", &caption, (height, &body), &words)
}

/// A record, its median and how many percent each repetition is away from that.
type Spread<'a> = (&'a Row, f64, Vec<f64>);

fn spread_words((row, middle, all): &Spread<'_>) -> String {
    let most = all.iter().fold(0.0, |most: f64, away| most.max(away.abs()));
    format!("{}: median {middle:.1} tok/s, at most {most:.1} % away", label(row))
}

/// The time between two tokens, over the position in the answer.
pub(super) fn gaps(report: &Report) -> Option<Section> {
    let rows = chosen(report, |row| row.detail.gaps.len() > 1);
    if rows.is_empty() {
        return None;
    }
    let words: Vec<_> = rows.iter().map(|row| gap_words(row)).collect();
    let left = left(rows.len(), MOST_TALL);
    let rows = rows.get(..MOST_TALL).unwrap_or(&rows);
    let height = TALL * rows.len() as f64 + 22.0;
    let mut body = String::new();
    for (at, row) in rows.iter().enumerate() {
        let gaps = &row.detail.gaps;
        let (top, bottom) = (TALL * at as f64 + 4.0, TALL * (at as f64 + 1.0) - 6.0);
        let most = gaps.iter().copied().fold(0.0, f64::max);
        let x = Scale { from: (0.0, gaps.len() as f64 - 1.0), to: (LEFT, RIGHT) };
        let y = Scale { from: (0.0, most), to: (bottom, top) };
        let points: Vec<_> =
            gaps.iter().enumerate().map(|(n, gap)| (x.at(n as f64), y.at(*gap))).collect();
        body.push_str(&svg::name(&label(row), f64::midpoint(top, bottom)));
        body.push_str(&svg::rule((LEFT, bottom), (RIGHT, bottom)));
        body.push_str(&svg::line("c1", &points));
        body.push_str(&svg::value(&format!("up to {most:.1} ms"), f64::midpoint(top, bottom)));
    }
    body.push_str(&svg::word("first token", (LEFT, height - 4.0), "start"));
    body.push_str(&svg::word("last token", (RIGHT, height - 4.0), "end"));
    let caption = format!(
        "Milliseconds from one token to the next, over the position in the answer: of each position the median \
         of the repetitions. Every record has a scale of its own that begins at nothing.{left}"
    );
    drawn("Between tokens", &caption, (height, &body), &words)
}

fn gap_words(row: &Row) -> String {
    let gaps = &row.detail.gaps;
    let (most, middle) =
        (gaps.iter().copied().fold(0.0, f64::max), median(gaps).unwrap_or_default());
    format!("{}: median {middle:.1} ms, largest {most:.1} ms", label(row))
}

/// The phases of each load, end to end.
pub(super) fn loads(report: &Report) -> Option<Section> {
    let mut rows = chosen(report, |row| !row.detail.load.is_empty());
    // The cells of a model share a load.
    rows.dedup_by(|a, b| a.model == b.model && a.detail.load == b.detail.load);
    if rows.is_empty() {
        return None;
    }
    let mut phases: Vec<&str> = Vec::new();
    for (phase, ..) in rows.iter().flat_map(|row| &row.detail.load) {
        if !phases.contains(&phase.as_str()) {
            phases.push(phase);
        }
    }
    let words: Vec<_> = rows.iter().map(|row| load_words(row)).collect();
    let left = left(rows.len(), MOST);
    let rows = rows.get(..MOST).unwrap_or(&rows);
    let ends = rows.iter().flat_map(|row| &row.detail.load).map(|(_, _, end)| *end);
    let x = Scale { from: (0.0, ends.fold(0.0, f64::max)), to: (LEFT, RIGHT) };
    let height = ROW * rows.len() as f64 + 24.0;
    let mut body = String::new();
    for (at, row) in rows.iter().enumerate() {
        let y = ROW * (at as f64 + 0.5);
        body.push_str(&svg::name(model_of(row), y));
        for (phase, start, end) in &row.detail.load {
            let colour = phases.iter().position(|name| name == phase).unwrap_or_default() % 5 + 1;
            let (from, width) = (x.at(*start), x.at(*end) - x.at(*start));
            let title = format!("{phase}: {:.2} s", end - start);
            let class = format!("c{colour} fill");
            body.push_str(&svg::bar(&class, (from, y - 8.0), (width, 16.0), &title));
        }
        body.push_str(&svg::value(&format!("{:.2} s", load_time(row)), y));
    }
    let mut at = LEFT;
    for (number, phase) in phases.iter().enumerate() {
        let y = height - 6.0;
        body.push_str(&svg::bar(
            &format!("c{} fill", number % 5 + 1),
            (at, y - 9.0),
            (10.0, 10.0),
            phase,
        ));
        body.push_str(&svg::word(phase, (at + 15.0, y), "start"));
        at += 32.0 + 7.0 * phase.chars().count() as f64;
    }
    let caption = format!("How long each phase of a load took.{left}");
    drawn("Loads", &caption, (height, &body), &words)
}

fn load_time(row: &Row) -> f64 {
    row.detail.load.iter().map(|(_, _, end)| *end).fold(0.0, f64::max)
}

fn load_words(row: &Row) -> String {
    let phases = row.detail.load.iter();
    let phases = phases.map(|(phase, start, end)| format!("{phase} {:.2} s", end - start));
    let phases: Vec<_> = phases.collect();
    format!("{}: {:.2} s, of them {}", model_of(row), load_time(row), phases.join(", "))
}
