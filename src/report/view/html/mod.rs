//! The view for a browser: one page that needs nothing but itself.
//!
//! No network, no library: the charts are inline SVG, each with its figures in words, and the only script
//! sorts tables. The page forbids all others: its policy names that script by its hash, so that nothing a
//! stranger wrote could run even if it were not escaped.

mod charts;
mod svg;
mod timeline;

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

use super::{
    COLUMNS, Cell, Column, Report, UNKNOWN, column, history, model_of, moment, percent, text::html,
    unread,
};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The whole page.
pub(super) fn render(report: &Report) -> String {
    let hash = BASE64_STANDARD.encode(Sha256::digest(SCRIPT));
    let policy =
        format!("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hash}'");
    let sections = [
        records(report),
        causes(report),
        charts::repetitions(report),
        charts::gaps(report),
        charts::loads(report),
        timeline::timeline(report),
        over_time(report),
        warnings(report),
        files(report),
    ];
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <title>Benchmark report</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{}{}\
         <script>{SCRIPT}</script>\n</body>\n</html>\n",
        head(report),
        sections.concat(),
    )
}

/// A section, unless it is empty.
fn section(title: &str, body: &str) -> String {
    if body.is_empty() {
        String::new()
    } else {
        format!("<section>\n<h2>{title}</h2>\n{body}</section>\n")
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.map(|item| format!("<li>{item}</li>\n")).collect();
    if items.is_empty() { String::new() } else { format!("<ul>\n{}</ul>\n", items.concat()) }
}

/// What the page is of: how many ended how, and the machines with their health.
fn head(report: &Report) -> String {
    let count = |outcome| report.count(outcome);
    let mut text = format!(
        "<h1>Benchmark report</h1>\n<p>{} passed, {} failed, {} skipped</p>\n",
        count("passed"),
        count("failed"),
        count("skipped"),
    );
    text.push_str(&list(report.machines.iter().map(|machine| html(machine))));
    let health = ["ram_free_gib", "swap_gib", "zombies"].iter().filter_map(|id| {
        let column = column(id)?;
        let values: Vec<_> = report.rows.iter().filter_map(|row| row.number(id)).collect();
        let low = values.iter().copied().reduce(f64::min)?;
        let high = values.iter().copied().reduce(f64::max)?;
        let d = column.digits;
        Some(
            format!("{} {low:.d$} to {high:.d$} {}", column.title, column.unit)
                .trim_end()
                .to_owned(),
        )
    });
    let health: Vec<_> = health.collect();
    if !health.is_empty() {
        text.extend([format!("<p class=\"soft\">Before the tests: {}</p>\n", health.join(", "))]);
    }
    text
}

fn head_cell(title: &str, class: &str) -> String {
    format!("<th scope=\"col\"{class}><button type=\"button\">{}</button></th>", html(title))
}

fn records(report: &Report) -> String {
    if report.rows.is_empty() {
        return String::new();
    }
    let told = report.columns();
    let told: Vec<_> =
        told.iter().filter_map(|place| Some((*place, COLUMNS.get(*place)?))).collect();
    let mut text = "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Records\">\n\
        <table class=\"sort\">\n<thead><tr>"
        .to_owned();
    for title in ["model", "test", "outcome"] {
        text.push_str(&head_cell(title, ""));
    }
    for (_, column) in &told {
        let class = if column.is_number() { " class=\"n\"" } else { "" };
        text.push_str(&head_cell(&column.heading(), class));
    }
    text.push_str("</tr></thead>\n<tbody>\n");
    for row in &report.rows {
        let class =
            if ["failed", "skipped"].contains(&row.outcome.as_str()) { &row.outcome } else { "" };
        text.extend([format!("<tr class=\"{class}\">")]);
        for words in [model_of(row), &row.label(), &row.outcome] {
            let words = html(words);
            text.extend([format!("<td data-value=\"{words}\">{words}</td>")]);
        }
        for (place, column) in &told {
            text.push_str(&cell(column, row.cells.get(*place).and_then(Option::as_ref)));
        }
        text.push_str("</tr>\n");
    }
    section("Records", &(text + "</tbody>\n</table>\n</div>\n"))
}

fn cell(column: &Column, cell: Option<&Cell>) -> String {
    match cell {
        None => format!("<td class=\"n soft\">{UNKNOWN}</td>"),
        Some(Cell::Text(text)) => {
            let text = html(text);
            format!("<td data-value=\"{text}\">{text}</td>")
        }
        Some(Cell::Number(value, bounds)) => {
            let d = column.digits;
            let range = bounds
                .map(|[low, high]| format!(" <span class=\"range\">{low:.d$}–{high:.d$}</span>"));
            let range = range.unwrap_or_default();
            format!("<td class=\"n\" data-value=\"{value}\">{value:.d$}{range}</td>")
        }
    }
}

fn causes(report: &Report) -> String {
    let told = |outcome: &str| {
        list(report.rows.iter().filter(|row| row.outcome == outcome).map(|row| {
            let cause = row.cause.as_deref().unwrap_or("no cause is told");
            format!("<b>{}</b> {}: {}", html(model_of(row)), html(&row.label()), html(cause))
        }))
    };
    section("Failures", &told("failed")) + &section("Skipped", &told("skipped"))
}

fn over_time(report: &Report) -> String {
    let mut rows = String::new();
    for series in history(report) {
        let Some(column) = column(series.column) else {
            continue;
        };
        for point in &series.points {
            rows.extend([format!(
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{:.*} {}</td>\
                 <td class=\"n\">{}</td></tr>\n",
                html(series.model),
                html(&series.test),
                moment(point.end),
                html(&point.row.version),
                column.digits,
                point.value,
                column.unit,
                point.change.map(percent).unwrap_or_default(),
            )]);
        }
    }
    if rows.is_empty() {
        return rows;
    }
    section(
        "Over time",
        &format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Over time\">\n<table>\n<thead><tr>\
         <th scope=\"col\">model</th><th scope=\"col\">test</th><th scope=\"col\">when</th>\
         <th scope=\"col\">measured by</th><th scope=\"col\" class=\"n\">figure</th>\
         <th scope=\"col\" class=\"n\">change</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
        ),
    )
}

fn warnings(report: &Report) -> String {
    let told = report
        .rows
        .iter()
        .flat_map(|row| row.warnings.iter().map(move |text| (model_of(row), text)));
    let mut told: Vec<_> = told.collect();
    told.sort_unstable();
    told.dedup();
    section(
        "Warnings",
        &list(
            told.into_iter().map(|(model, text)| format!("<b>{}</b>: {}", html(model), html(text))),
        ),
    )
}

fn files(report: &Report) -> String {
    section(
        "Files",
        &list(report.sources.iter().map(|source| {
            let left = unread(source).map(|sentence| format!("; {}", html(&sentence)));
            let monitor = match source.monitor {
                0 => String::new(),
                monitor => format!(", {monitor} lines of the memory monitor"),
            };
            let name = html(&source.name);
            format!("{name}: {} records{monitor}{}", source.records, left.unwrap_or_default())
        })),
    )
}
