//! The view for a browser: one page that needs nothing but itself.
//!
//! No network, no library: the charts are inline SVG, each with its figures in words, and the only script
//! sorts tables. The page forbids all others: its policy names that script by its hash, so that nothing a
//! stranger wrote could run even if it were not escaped.

mod charts;
mod plane;
mod svg;
mod sweeps;
mod tables;
mod timeline;

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

use super::{Report, Row, column, model_of, text::html, unread};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A part of the page with a title of its own.
#[derive(Debug)]
struct Section {
    title: &'static str,
    body: String,
}

/// A section, unless it is empty.
fn section(title: &'static str, body: &str) -> Option<Section> {
    (!body.is_empty()).then(|| Section { title, body: body.to_owned() })
}

impl Section {
    /// What links call it by.
    fn id(&self) -> String {
        self.title.to_lowercase().replace(' ', "-")
    }

    fn html(&self) -> String {
        let Self { title, body } = self;
        format!("<section id=\"{}\">\n<h2>{title}</h2>\n{body}</section>\n", self.id())
    }
}

/// The whole page.
pub(super) fn render(report: &Report) -> String {
    let hash = BASE64_STANDARD.encode(Sha256::digest(SCRIPT));
    let policy =
        format!("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hash}'");
    let sections = sections(report);
    let text: String = sections.iter().map(Section::html).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <title>Benchmark report</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>Benchmark report</h1>\n<p>{} passed, {} failed, {} skipped</p>\n{}</header>\n\
         <main>\n{text}</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        report.count("passed"),
        report.count("failed"),
        report.count("skipped"),
        contents(&sections),
    )
}

fn sections(report: &Report) -> Vec<Section> {
    let mut sections = Vec::new();
    sections.extend(machine(report));
    sections.extend(tables::records(report));
    sections.extend(causes(report));
    sections.extend(sweeps::sweeps(report));
    sections.extend(charts::repetitions(report));
    sections.extend(charts::gaps(report));
    sections.extend(charts::loads(report));
    sections.extend(timeline::timelines(report));
    sections.extend(tables::over_time(report));
    sections.extend(warnings(report));
    sections.extend(files(report));
    sections
}

/// Links to all sections.
fn contents(sections: &[Section]) -> String {
    let links = sections
        .iter()
        .map(|section| format!("<a href=\"#{}\">{}</a>\n", section.id(), section.title));
    let links: String = links.collect();
    if links.is_empty() { links } else { format!("<nav aria-label=\"Sections\">\n{links}</nav>\n") }
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.map(|item| format!("<li>{item}</li>\n")).collect();
    if items.is_empty() { String::new() } else { format!("<ul>\n{}</ul>\n", items.concat()) }
}

/// The machines and how they did.
fn machine(report: &Report) -> Option<Section> {
    let health = ["ram_free_gib", "swap_gib", "zombies"].iter().filter_map(|id| {
        let column = column(id)?;
        let values: Vec<_> = report.rows.iter().filter_map(|row| row.number(id)).collect();
        let low = values.iter().copied().reduce(f64::min)?;
        let high = values.iter().copied().reduce(f64::max)?;
        let d = column.digits;
        let text = format!("{} {low:.d$} to {high:.d$} {}", column.title, column.unit);
        Some(text.trim_end().to_owned())
    });
    let health: Vec<_> = health.collect();
    let quality = counted(report.rows.iter().flat_map(|row| &row.detail.quality));
    let grades = counted(report.rows.iter().filter_map(|row| row.detail.grade.as_ref()));
    let told = [
        ("Before the tests", health.join(", ")),
        ("Judgement of the machine, records each", quality),
        ("Grade of the machine, records each", grades),
    ];
    let told = told.into_iter().filter(|(_, text)| !text.is_empty());
    let machines = report.machines.iter().map(|machine| html(machine));
    section(
        "Machine",
        &list(machines.chain(told.map(|(title, text)| format!("{title}: {}", html(&text))))),
    )
}

/// Each text with how often it comes, in order of the texts.
fn counted<'a>(texts: impl Iterator<Item = &'a String>) -> String {
    let mut texts: Vec<&str> = texts.map(String::as_str).collect();
    texts.sort_unstable();
    let counts = texts.chunk_by(|a, b| a == b);
    let counts = counts.filter_map(|run| Some(format!("{} {}", run.first()?, run.len())));
    counts.collect::<Vec<_>>().join(", ")
}

/// What was not measured, and why.
fn causes(report: &Report) -> impl Iterator<Item = Section> {
    let told = |outcome: &str| {
        let rows = report.rows.iter().filter(|row| row.outcome == outcome);
        list(rows.map(|row| {
            let cause = row.cause.as_deref().unwrap_or("no cause is told");
            format!(
                "<b>{}</b> {}: {}{}",
                html(model_of(row)),
                html(&row.label()),
                html(cause),
                last_words(row)
            )
        }))
    };
    let sections = [("Failures", told("failed")), ("Skipped", told("skipped"))];
    sections.into_iter().filter_map(|(title, body)| section(title, &body))
}

/// What a child wrote to standard error before it failed.
fn last_words(row: &Row) -> String {
    let lines: Vec<_> = row.detail.stderr.iter().map(|line| html(line)).collect();
    if lines.is_empty() {
        return String::new();
    }
    format!(
        "\n<details>\n<summary>The last of its standard error</summary>\n<pre tabindex=\"0\">{}</pre>\n</details>\n",
        lines.join("\n")
    )
}

fn warnings(report: &Report) -> Option<Section> {
    let told = report
        .rows
        .iter()
        .flat_map(|row| row.warnings.iter().map(move |text| (model_of(row), text)));
    let mut told: Vec<_> = told.collect();
    told.sort_unstable();
    told.dedup();
    let told = told.into_iter();
    section(
        "Warnings",
        &list(told.map(|(model, text)| format!("<b>{}</b>: {}", html(model), html(text)))),
    )
}

fn files(report: &Report) -> Option<Section> {
    section(
        "Files",
        &list(report.sources.iter().map(|source| {
            let left = unread(source).map(|sentence| format!("; {}", html(&sentence)));
            let monitor = match source.monitor {
                0 => String::new(),
                monitor => format!(", {monitor} lines of a memory monitor"),
            };
            let name = html(&source.name);
            format!("{name}: {} records{monitor}{}", source.records, left.unwrap_or_default())
        })),
    )
}
