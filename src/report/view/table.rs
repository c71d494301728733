//! The view for a terminal.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::{COLUMNS, Report, UNKNOWN, column, history, model_of, moment, percent, unread};

/// Tables of records and of their history, then what failed or was skipped, and the totals.
pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    for machine in &report.machines {
        text.extend([format!("{machine}\n")]);
    }
    if !report.rows.is_empty() {
        text.extend([format!("\n{}\n", records(report))]);
    }
    text.extend(report.shared().map(|note| format!("\n{note}\n")));
    let history = changes(report);
    if !history.is_empty() {
        text.extend([format!("\nOver time\n{history}\n")]);
    }
    let causes = causes(report);
    if !causes.is_empty() {
        text.extend([format!("\n{causes}")]);
    }
    let count = |outcome| report.count(outcome);
    let (passed, failed, skipped) = (count("passed"), count("failed"), count("skipped"));
    text.extend([format!("\n{passed} passed, {failed} failed, {skipped} skipped\n")]);
    for source in &report.sources {
        text.extend(unread(source).map(|sentence| format!("{sentence}\n")));
    }
    text.trim_start().to_owned()
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn to_text(table: &Table) -> String {
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

fn right(table: &mut Table, from: usize) {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

fn records(report: &Report) -> String {
    let told = report.columns();
    let told: Vec<_> =
        told.iter().filter_map(|place| Some((*place, COLUMNS.get(*place)?))).collect();
    let mut table = plain_table();
    let mut names = vec!["model", "test", "outcome"];
    let are_shared = report.shared().is_some();
    names.extend(are_shared.then_some("records"));
    let names = names.into_iter().map(str::to_owned);
    table.set_header(names.chain(told.iter().map(|(_, column)| column.heading())));
    for row in &report.rows {
        let mut cells = vec![model_of(row).to_owned(), row.label(), row.outcome.clone()];
        cells.extend(are_shared.then(|| row.records().to_string()));
        cells.extend(told.iter().map(|(place, column)| {
            let cell = row.cells.get(*place).and_then(Option::as_ref);
            cell.map_or_else(|| UNKNOWN.to_owned(), |cell| column.show(cell))
        }));
        table.add_row(cells);
    }
    right(&mut table, 3);
    to_text(&table)
}

fn changes(report: &Report) -> String {
    let mut table = plain_table();
    for series in history(report) {
        let Some(column) = column(series.column) else {
            continue;
        };
        for (at, point) in series.points.iter().enumerate() {
            let [model, test] = if at == 0 { [series.model, &series.test] } else { ["", ""] };
            table.add_row([
                model.to_owned(),
                test.to_owned(),
                moment(point.end),
                point.row.version.clone(),
                format!("{:.*} {}", column.digits, point.value, column.unit),
                point.change.map(percent).unwrap_or_default(),
            ]);
        }
    }
    right(&mut table, 4);
    if table.is_empty() { String::new() } else { to_text(&table) }
}

/// What failed or was skipped, with its cause.
fn causes(report: &Report) -> String {
    let mut text = String::new();
    for row in report.rows.iter().filter(|row| row.outcome != "passed") {
        let cause = row.cause.as_deref().unwrap_or("no cause is told");
        let times = match row.records() {
            1 => String::new(),
            records => format!(" ({records} times, the newest cause)"),
        };
        let what = format!("{} {}", model_of(row), row.label());
        text.extend([format!("{:<8} {what}{times}: {cause}\n", row.outcome)]);
    }
    text
}
