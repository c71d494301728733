//! The view for spreadsheets and data frames: a line a record, every column, figures as they are.

use csv::WriterBuilder;

use super::{COLUMNS, Cell, Column, Report, Row, text::field};

/// A header, and a line for each record. Of a figure with bounds they stand in columns of their own.
pub(super) fn render(report: &Report) -> String {
    let rows = report.rows.iter().map(row);
    std::iter::once(head()).chain(rows).collect::<Vec<_>>().concat()
}

/// The header.
pub(super) fn head() -> String {
    let fixed = ["model", "test", "parameters", "outcome", "timestamp", "version"];
    let mut head: Vec<String> = fixed.map(str::to_owned).to_vec();
    for column in COLUMNS {
        head.push(column.id.to_owned());
        if column.has_bounds() {
            head.extend(["low", "high"].map(|bound| format!("{}_{bound}", column.id)));
        }
    }
    head.push("cause".to_owned());
    text(&head)
}

/// The line of a record.
pub(super) fn row(row: &Row) -> String {
    text(&line(row))
}

fn text(cells: &[String]) -> String {
    let mut writer = WriterBuilder::new().from_writer(Vec::new());
    // A list in memory takes everything.
    let _ = writer.write_record(cells);
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn line(row: &Row) -> Vec<String> {
    let end = row.end.map(|end| end.to_string()).unwrap_or_default();
    let model = row.model.as_deref().unwrap_or_default();
    let mut cells: Vec<_> = [model, &row.test, &row.parameters, &row.outcome].map(field).to_vec();
    cells.extend([end, field(&row.version)]);
    for (column, cell) in COLUMNS.iter().zip(&row.cells) {
        cells.extend(figures(column, cell.as_ref()));
    }
    cells.push(row.cause.as_deref().map(field).unwrap_or_default());
    cells
}

/// What is not known is an empty field.
fn figures(column: &Column, cell: Option<&Cell>) -> Vec<String> {
    let (mut cells, bounds) = match cell {
        None => (vec![String::new()], None),
        Some(Cell::Text(text)) => (vec![field(text)], None),
        Some(Cell::Number(value, bounds)) => (vec![value.to_string()], *bounds),
    };
    if column.has_bounds() {
        let bounds = bounds.map(|bounds| bounds.map(|bound| bound.to_string()));
        cells.extend(bounds.unwrap_or_default());
    }
    cells
}
