//! `show --stop-tokens`: what a model's files say of its stop tokens, and where they disagree.

use super::{Exit, printer::Printer};
use crate::{
    checkpoint::{Description, Location},
    stops::{Dialect, Mark, Token},
    text::stops::{Audit, EndToken, Source},
};

/// Audits the model at `location`.
pub(super) fn show(location: Location, is_json: bool, printer: &Printer) -> Exit {
    let description = match Description::read(location) {
        Ok(description) => description,
        Err(error) => {
            printer.failure(&error, error.hint().as_deref());
            return Exit::No;
        }
    };
    let id = &description.location().id;
    let audit = match Audit::of(&description) {
        Ok(audit) => audit,
        Err(error) => {
            printer.failure(&error, None);
            return Exit::No;
        }
    };
    if is_json {
        printer.line(serde_json::json!({ "id": id, "stop_tokens": audit }));
    } else {
        printer.data(&text(id, &audit));
    }
    Exit::Ok
}

/// The sources, the tokens, what the template writes, and what is lacking.
fn text(id: &str, audit: &Audit) -> String {
    let mut lines = vec![
        format!("{:<27} {id}", "model"),
        format!("{:<27} {}", "in force", list(&audit.in_force)),
    ];
    lines.extend(audit.sources.iter().map(source));
    if let Some(turns) = &audit.template {
        let mark = |mark: &Option<Mark>| mark.as_ref().map_or_else(nothing, mark_text);
        lines.push(format!("{:<27} {}", "template, after a turn", mark(&turns.end_between)));
        lines.push(format!("{:<27} {}", "template, after the last", mark(&turns.end_last)));
        let headers = [&turns.user_header, &turns.assistant_header];
        let names = ["user begins with", "assistant begins with"];
        lines.extend(names.iter().zip(headers).filter_map(|(name, header)| {
            Some(format!("{name:<27} {}", one_line(header.as_deref()?)))
        }));
    }
    if let Some(thinking) = &audit.thinking {
        let opened = audit.template.as_ref().is_some_and(|turns| turns.opens_thinking);
        let opened = if opened { ", opened by the template" } else { "" };
        let shape = match thinking {
            Dialect::Delimited { open, close } => format!("{open} … {close}{opened}"),
            Dialect::Channels => "in channels".to_owned(),
        };
        lines.push(format!("{:<27} {shape}", "thinks"));
    }
    lines.extend(audit.notes.iter().map(|note| format!("{:<27} {note}", "note")));
    lines.push("\nend tokens of the vocabulary".to_owned());
    lines.extend(audit.tokens.iter().map(token));
    lines.push(String::new());
    if audit.lacks.is_empty() {
        lines.push("the sources agree".to_owned());
    }
    lines.extend(audit.lacks.iter().map(|lack| lack.sentence.clone()));
    lines.push(String::new());
    lines.join("\n")
}

fn source(source: &Source) -> String {
    let unknown = source.unknown.iter().filter(|what| what.starts_with('`'));
    let unknown: Vec<String> = unknown.map(|what| format!("{what} (no token)")).collect();
    let known = (!source.tokens.is_empty()).then(|| list(&source.tokens));
    let all: Vec<String> = known.into_iter().chain(unknown).collect();
    let all = if all.is_empty() { nothing() } else { all.join(", ") };
    format!("{:<27} {all}", source.name)
}

fn token(end: &EndToken) -> String {
    let force = if end.in_force { "in force" } else { "not in force" };
    format!("{:<24} {:>10}  {force:<12}  {}", end.token.name(), end.token.id, end.held.words())
}

fn list(tokens: &[Token]) -> String {
    if tokens.is_empty() {
        return nothing();
    }
    let words = tokens.iter().map(|token| match &token.text {
        Some(text) => format!("{} {}", token.id, one_line(text)),
        None => token.id.to_string(),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn mark_text(mark: &Mark) -> String {
    match mark.id {
        Some(id) => format!("{id} {}", one_line(&mark.text)),
        None => format!("{} (spelled with several tokens)", one_line(&mark.text)),
    }
}

fn nothing() -> String {
    "–".to_owned()
}

/// Line breaks spelled out.
fn one_line(text: &str) -> String {
    text.replace('\n', "\\n")
}
