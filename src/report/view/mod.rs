//! Reports as people and other programs want them: one file a view.
//!
//! [`Report`] reads files, each line once, and keeps of a line what [`COLUMNS`] name. A view makes a text
//! of that. Whatever strangers wrote goes through `text` before it is shown.

mod columns;
mod csv;
mod detail;
mod gather;
mod history;
mod html;
mod json;
mod many;
mod markdown;
pub mod mlx_knife;
mod monitor;
mod needs;
mod table;
mod text;

pub use columns::{COLUMNS, Cell, Column};
pub use detail::Detail;
pub use gather::{Report, Row, Source};
pub use history::{Point, Series, history};
pub use needs::Needs;
pub(super) use text::markdown as markdown_text;

/// A way to show a report.
#[derive(Debug)]
pub struct View {
    /// What it is asked for by.
    pub name: &'static str,
    /// What it shows of a line.
    pub needs: Needs,
    /// The whole text, every line of it ended.
    pub render: fn(&Report) -> String,
    /// How it goes record by record, where it does.
    pub each: Option<Each>,
}

/// A text that is a head and a part for each record.
#[derive(Clone, Copy, Debug)]
pub struct Each {
    /// The head.
    pub head: fn() -> String,
    /// The part of a record.
    pub row: fn(&Row) -> String,
}

const CSV: Each = Each { head: csv::head, row: csv::row };

/// All of them; the first is for terminals.
pub const VIEWS: &[View] = &[
    View { name: "table", needs: Needs::Figures, render: table::render, each: None },
    View { name: "markdown", needs: Needs::Figures, render: markdown::render, each: None },
    View { name: "csv", needs: Needs::Figures, render: csv::render, each: Some(CSV) },
    View { name: "json", needs: Needs::Figures, render: json::render, each: None },
    View { name: "html", needs: Needs::Charts, render: html::render, each: None },
];

/// The view that is asked for by `name`.
pub fn view(name: &str) -> Option<&'static View> {
    VIEWS.iter().find(|view| view.name == name)
}

/// A change for people, such as `+2.5 %`.
fn percent(change: f64) -> String {
    format!("{:+.1} %", change * 100.0)
}

/// A moment for people.
fn moment(end: jiff::Timestamp) -> String {
    end.strftime("%Y-%m-%d %H:%M").to_string()
}

/// Stands for what is not known.
const UNKNOWN: &str = "–";

/// A model for people.
fn model_of(row: &Row) -> &str {
    row.model.as_deref().unwrap_or("(no model)")
}

/// The column `id`, which is one of [`COLUMNS`].
fn column(id: &str) -> Option<&'static Column> {
    COLUMNS.iter().find(|column| column.id == id)
}

/// Lines that could not be read, a sentence a file.
fn unread(source: &Source) -> Option<String> {
    let (number, reason) = source.unread.first()?;
    let more = match source.left_out {
        1 => String::new(),
        lines => format!(" (and {} more)", lines - 1),
    };
    Some(format!("{}:{number} was left out: {reason}{more}", source.name))
}

#[cfg(test)]
mod tests;
