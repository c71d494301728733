//! The view for a page, a comment or a pull request.

use super::{
    COLUMNS, Report, UNKNOWN, column, history, model_of, moment, percent, text::markdown, unread,
};

/// Sections for machines, records, history, failures and skips, warnings and files.
pub(super) fn render(report: &Report) -> String {
    let mut text = "# Benchmark report\n".to_owned();
    list(&mut text, "Machine", report.machines.iter().map(|machine| markdown(machine)));
    text.push_str("\n## Records\n\n");
    text.extend(report.shared().map(|note| format!("{}\n\n", markdown(&note))));
    text.push_str(&records(report));
    let history = changes(report);
    if !history.is_empty() {
        text.extend([format!("\n## Over time\n\n{history}")]);
    }
    for (outcome, title) in [("failed", "Failures"), ("skipped", "Skipped")] {
        let rows = report.rows.iter().filter(|row| row.outcome == outcome);
        list(
            &mut text,
            title,
            rows.map(|row| {
                let cause = row.cause.as_deref().unwrap_or("no cause is told");
                format!(
                    "**{}** {}: {}",
                    markdown(model_of(row)),
                    markdown(&row.label()),
                    markdown(cause)
                )
            }),
        );
    }
    let mut warnings: Vec<_> = report
        .rows
        .iter()
        .flat_map(|row| row.warnings.iter().map(move |text| (model_of(row), text)))
        .collect();
    warnings.sort_unstable();
    warnings.dedup();
    let warnings = warnings.into_iter();
    list(
        &mut text,
        "Warnings",
        warnings.map(|(model, text)| format!("**{}**: {}", markdown(model), markdown(text))),
    );
    list(
        &mut text,
        "Files",
        report.sources.iter().map(|source| {
            let left = unread(source).map(|sentence| format!("; {}", markdown(&sentence)));
            let name = markdown(&source.name);
            format!("{name}: {} records{}", source.records, left.unwrap_or_default())
        }),
    );
    text
}

fn list(text: &mut String, title: &str, items: impl Iterator<Item = String>) {
    let items: Vec<_> = items.map(|item| format!("- {item}\n")).collect();
    if !items.is_empty() {
        text.extend([format!("\n## {title}\n\n{}", items.concat())]);
    }
}

fn line(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn records(report: &Report) -> String {
    let told = report.columns();
    let told: Vec<_> =
        told.iter().filter_map(|place| Some((*place, COLUMNS.get(*place)?))).collect();
    let are_shared = report.shared().is_some();
    let mut head = ["Model", "Test", "Outcome"].map(str::to_owned).to_vec();
    let mut rule = vec!["---".to_owned(); 3];
    if are_shared {
        head.push("Records".to_owned());
        rule.push("--:".to_owned());
    }
    for (_, column) in &told {
        head.push(column.heading());
        rule.push(if column.is_number() { "--:" } else { "---" }.to_owned());
    }
    let mut text = line(&head) + &line(&rule);
    for row in &report.rows {
        let mut cells = [model_of(row), &row.label(), &row.outcome].map(markdown).to_vec();
        cells.extend(are_shared.then(|| row.records().to_string()));
        cells.extend(told.iter().map(|(place, column)| {
            let cell = row.cells.get(*place).and_then(Option::as_ref);
            cell.map_or_else(|| UNKNOWN.to_owned(), |cell| markdown(&column.show(cell)))
        }));
        text.push_str(&line(&cells));
    }
    text
}

fn changes(report: &Report) -> String {
    let mut text = String::new();
    for series in history(report) {
        let Some(column) = column(series.column) else {
            continue;
        };
        let name = markdown(&series.test);
        text.extend([format!("### {}: {name}\n\n", markdown(series.model))]);
        text.extend([format!("| When | Measured by | {} | Change |\n", column.heading())]);
        text.push_str("| --- | --- | --: | --: |\n");
        for point in &series.points {
            text.push_str(&line(&[
                moment(point.end),
                markdown(&point.row.version),
                format!("{:.*}", column.digits, point.value),
                point.change.map(percent).unwrap_or_default(),
            ]));
        }
        text.push('\n');
    }
    text.trim_end().to_owned() + if text.is_empty() { "" } else { "\n" }
}
