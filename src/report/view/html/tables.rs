//! Tables: the records, which can be sorted, and what changed over time.

use super::{
    super::{
        COLUMNS, Cell, Column, Report, UNKNOWN, column, history, model_of, moment, percent,
        text::html,
    },
    Section, section,
};

fn head_cell(title: &str, class: &str) -> String {
    format!("<th scope=\"col\"{class}><button type=\"button\">{}</button></th>", html(title))
}

/// A table that is scrolled for itself.
fn scrolled(label: &str, class: &str, head: &str, body: &str) -> String {
    format!(
        "<div class=\"scroll tall\" tabindex=\"0\" role=\"region\" aria-label=\"{label}\">\n\
         <table{class}>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n</div>\n"
    )
}

/// A model that may go on in the next line after its organisation.
fn breakable(model: &str) -> String {
    // Tags that were escaped hold no `/` of their own.
    model.replace('/', "/<wbr>")
}

/// A row a record.
pub(super) fn records(report: &Report) -> Option<Section> {
    if report.rows.is_empty() {
        return None;
    }
    let told = report.columns();
    let told: Vec<_> =
        told.iter().filter_map(|place| Some((*place, COLUMNS.get(*place)?))).collect();
    let mut head: String =
        ["model", "test", "outcome"].iter().map(|title| head_cell(title, "")).collect();
    for (_, column) in &told {
        let class = if column.is_number() { " class=\"n\"" } else { "" };
        head.push_str(&head_cell(&column.heading(), class));
    }
    let mut body = String::new();
    for row in &report.rows {
        let class =
            if ["failed", "skipped"].contains(&row.outcome.as_str()) { &row.outcome } else { "" };
        let label = html(&row.label());
        let (model, outcome) = (html(model_of(row)), html(&row.outcome));
        body.extend([format!(
            "<tr class=\"{class}\"><th scope=\"row\" data-value=\"{model}\">{}</th>\
             <td data-value=\"{label}\">{label}</td><td class=\"outcome\" data-value=\"{outcome}\">{outcome}</td>",
            breakable(&model),
        )]);
        for (place, column) in &told {
            body.push_str(&cell(column, row.cells.get(*place).and_then(Option::as_ref)));
        }
        body.push_str("</tr>\n");
    }
    let shared = report.shared().map(|note| format!("<p>{}</p>\n", html(&note)));
    let note = shared.unwrap_or_default()
        + "<p class=\"soft screen\">A heading sorts by its column, and once more the other way. Small figures are \
           95 % intervals.</p>\n";
    section("Records", &(note + &scrolled("Records", " class=\"sort\"", &head, &body)))
}

fn cell(column: &Column, cell: Option<&Cell>) -> String {
    let class = if column.is_number() { "n" } else { "" };
    match cell {
        None => format!("<td class=\"{class} soft\">{UNKNOWN}</td>"),
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

/// A row for each measurement of what was measured more than once.
pub(super) fn over_time(report: &Report) -> Option<Section> {
    let mut rows = String::new();
    for series in history(report) {
        let Some(column) = column(series.column) else {
            continue;
        };
        for point in &series.points {
            rows.extend([format!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{:.*} {}</td>\
                 <td class=\"n\">{}</td></tr>\n",
                breakable(&html(series.model)),
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
        return None;
    }
    let head = [
        ("model", ""),
        ("test", ""),
        ("when", ""),
        ("measured by", ""),
        ("figure", " class=\"n\""),
        ("change", " class=\"n\""),
    ]
    .map(|(title, class)| format!("<th scope=\"col\"{class}>{title}</th>"));
    section("Over time", &scrolled("Over time", "", &head.concat(), &rows))
}
