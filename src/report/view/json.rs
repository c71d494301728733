//! The view for programs: what the other views show, as one JSON object.

use serde_json::{Map, Value, json};

use super::{COLUMNS, Cell, Report, Row, history};

/// Files, machines, records and their history. What is not known is absent.
pub(super) fn render(report: &Report) -> String {
    let files: Vec<_> = report
        .sources
        .iter()
        .map(|source| {
            let unread = source.unread.iter();
            let unread: Vec<_> =
                unread.map(|(line, reason)| json!({"line": line, "reason": reason})).collect();
            json!({"name": source.name, "records": source.records, "monitor": source.monitor,
            "left_out": source.left_out, "unread": unread})
        })
        .collect();
    let records: Vec<_> = report.rows.iter().map(record).collect();
    let history: Vec<_> = history(report).iter().map(|series| {
        let points: Vec<_> = series.points.iter().map(|point| {
            let mut told = json!({"timestamp": point.end.to_string(), "version": point.row.version,
                "value": point.value});
            if let (Some(change), Some(keys)) = (point.change, told.as_object_mut()) {
                keys.insert("change".to_owned(), json!(change));
            }
            told
        }).collect();
        json!({"model": series.model, "test": series.test, "column": series.column, "points": points})
    }).collect();
    let mut told = json!({"files": files, "machines": report.machines, "records": records,
        "history": history});
    if let (Some(note), Some(keys)) = (report.shared(), told.as_object_mut()) {
        keys.insert("note".to_owned(), json!(note));
    }
    format!("{told:#}\n")
}

fn record(row: &Row) -> Value {
    let mut record = Map::new();
    let mut tell = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            record.insert(key.to_owned(), value);
        }
    };
    tell("model", row.model.as_ref().map(|model| json!(model)));
    tell("test", Some(json!(row.test)));
    tell("parameters", (!row.parameters.is_empty()).then(|| json!(row.parameters)));
    tell("outcome", Some(json!(row.outcome)));
    tell("records", row.many.as_ref().map(|many| json!(many.records)));
    tell("timestamp", row.end.map(|end| json!(end.to_string())));
    tell("version", Some(json!(row.version)));
    for (column, cell) in COLUMNS.iter().zip(&row.cells) {
        match cell {
            None => {}
            Some(Cell::Text(text)) => tell(column.id, Some(json!(text))),
            Some(Cell::Number(value, bounds)) => {
                tell(column.id, Some(json!(value)));
                let name = if row.many.is_some() { "range" } else { "interval_95" };
                tell(&format!("{}_{name}", column.id), bounds.map(|bounds| json!(bounds)));
            }
        }
    }
    tell("cause", row.cause.as_ref().map(|cause| json!(cause)));
    tell("warnings", (!row.warnings.is_empty()).then(|| json!(row.warnings)));
    Value::Object(record)
}
