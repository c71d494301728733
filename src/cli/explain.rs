//! `explain`: how each figure of a line follows from its samples, and whether it does.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use super::{Exit, printer::Printer};
use crate::report::{Explained, Explanation, Given, LineKind, Unexplained, check_line, explain};

/// Columns that a line of text should not exceed.
const WIDTH: usize = 100;

/// What the symbols of formulas mean.
const SYMBOLS: &str = "\
P tokens of the prompt are ready as ids r seconds after the request; of n tokens the first, second
and last are visible at t1, t2 and tn, the first one of the answer at ta; at te all is over.
";

/// What is explained.
#[derive(Clone, Debug, Args)]
pub(super) struct Arguments {
    /// A report, or one line of it, counted from 1
    #[arg(value_name = "FILE[:LINE]")]
    place: PathBuf,
    /// Prints a JSON object for each line
    #[arg(long)]
    json: bool,
}

/// Explains the lines that are asked for, whatever becomes of the others.
pub(super) fn run(arguments: &Arguments, printer: &Printer) -> Exit {
    let (path, only) = split(&arguments.place);
    let lines = match lines(&path, only) {
        Ok(lines) => lines,
        Err(error) => {
            printer.error(format!("cannot read `{}`: {error}", path.display()), None);
            return Exit::Io;
        }
    };
    if lines.is_empty() {
        let what = only.map_or_else(
            || format!("`{}` has no line of a report", path.display()),
            |number| format!("`{}` has no line {number}", path.display()),
        );
        printer.error(what, None);
        return Exit::Usage;
    }
    let mut exit = Exit::Ok;
    for (number, bytes) in lines {
        let place = format!("{}:{number}", path.display());
        exit = worse(exit, line(&place, &bytes, arguments.json, printer));
    }
    exit
}

/// A figure that does not follow weighs more than a line that says too little.
fn worse(one: Exit, other: Exit) -> Exit {
    let weight = |exit: Exit| match exit {
        Exit::No => 2,
        Exit::Usage => 1,
        Exit::Ok | Exit::Io | Exit::Unfit | Exit::Interrupted => 0,
    };
    if weight(other) > weight(one) { other } else { one }
}

/// The file and the line of it; a file may have a colon in its name.
fn split(place: &Path) -> (PathBuf, Option<u64>) {
    let named = place.to_str().and_then(|text| text.rsplit_once(':'));
    match named.and_then(|(path, number)| Some((path, number.parse().ok()?))) {
        Some((path, number)) if !place.exists() => (path.into(), Some(number)),
        _ => (place.to_owned(), None),
    }
}

/// The lines to explain with their numbers; of a whole file neither blank ones nor those of the memory monitor.
fn lines(path: &Path, only: Option<u64>) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let mut lines = Vec::new();
    for (number, bytes) in (1..).zip(BufReader::new(File::open(path)?).split(b'\n')) {
        let bytes = bytes?;
        let is_wanted = match only {
            Some(only) => only == number,
            None => !bytes.trim_ascii().is_empty() && !is_of_monitor(&bytes),
        };
        if is_wanted {
            lines.push((number, bytes));
        }
    }
    Ok(lines)
}

fn is_of_monitor(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|line| matches!(check_line(line), Ok(LineKind::Monitor)))
}

fn line(place: &str, bytes: &[u8], json: bool, printer: &Printer) -> Exit {
    let Ok(text) = std::str::from_utf8(bytes) else {
        printer.error(format!("{place}: the line is not UTF-8"), None);
        return Exit::Usage;
    };
    let explanation = match explain(text) {
        Ok(explanation) => explanation,
        Err(error) => {
            let hint = matches!(error, Unexplained::NotOurs)
                .then_some("`check` tells whether it fits the format");
            printer.error(format!("{place}: {error}"), hint);
            return Exit::Usage;
        }
    };
    if json {
        printer.line(json!({ "line": place, "explanation": explanation }));
    } else {
        printer.data(&page(place, &explanation));
    }
    for complaint in complaints(&explanation) {
        printer.error(format!("{place}: {complaint}"), None);
    }
    if explanation.holds { Exit::Ok } else { Exit::No }
}

/// What is wrong with a line, a sentence each.
fn complaints(explanation: &Explanation) -> Vec<String> {
    let wrong = explanation.figures.iter().filter(|figure| !figure.follows);
    let wrong =
        wrong.map(|Explained { figure, stated, recomputed, .. }| match (stated, recomputed) {
            (Some(stated), Some(value)) => {
                format!("`{figure}` is stated as {stated}, and {value} follows from the samples")
            }
            (Some(stated), None) => {
                format!("`{figure}` is stated as {stated}, and the samples do not give it")
            }
            (None, Some(value)) => {
                format!("`{figure}` is not stated, and {value} follows from the samples")
            }
            (None, None) => format!("`{figure}` is neither stated nor given"),
        });
    explanation.impossible.iter().cloned().chain(wrong).collect()
}

/// The whole text about a line, every line of it ended.
fn page(place: &str, explanation: &Explanation) -> String {
    let Explanation { test, outcome, figures, given, .. } = explanation;
    let mut page = format!("{place}  {test}  {outcome}\n{SYMBOLS}\n");
    for figure in figures {
        page.push_str(&of_figure(figure));
    }
    page.push_str("not derived:\n");
    for group in given {
        page.push_str(&of_given(group));
    }
    let wrong = figures.iter().filter(|figure| !figure.follows).count();
    let count = figures.len();
    let total = match wrong {
        0 => format!("all {count} figures follow"),
        wrong => format!("{wrong} of {count} figures do not follow"),
    };
    page.extend(["\n", &total, " from the samples\n\n"]);
    page
}

fn of_figure(figure: &Explained) -> String {
    let Explained { figure: name, unit, definition, steps, stated, recomputed, follows } = figure;
    let value = stated.as_deref().unwrap_or("absent");
    let mut text = format!("{name} = {value} {unit}\n");
    if !follows {
        let found = recomputed.map_or_else(|| "nothing".to_owned(), |value| value.to_string());
        text = format!("{text}    DOES NOT FOLLOW: the samples give {found}\n");
    }
    text = format!("{text}    {definition}\n");
    let mut row = String::new();
    for step in steps {
        if !row.is_empty() && 4 + row.chars().count() + 2 + step.chars().count() > WIDTH {
            text = format!("{text}    {row}\n");
            row.clear();
        }
        let gap = if row.is_empty() { "" } else { "; " };
        row.extend([gap, step]);
    }
    if row.is_empty() { text } else { format!("{text}    {row}\n") }
}

fn of_given(group: &Given) -> String {
    let Given { numbers, count, what } = group;
    let what = what.unwrap_or("unknown to this version, not checked");
    let times = if *count == 1 { String::new() } else { format!(" ({count})") };
    format!("    {numbers}{times}: {what}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_named_after_the_last_colon_of_what_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("report:7");
        std::fs::write(&odd, "").unwrap();
        assert_eq!(split(&odd), (odd.clone(), None));
        assert_eq!(split(Path::new("a.jsonl:12")), ("a.jsonl".into(), Some(12)));
        assert_eq!(split(Path::new("a.jsonl")), ("a.jsonl".into(), None));
        assert_eq!(split(Path::new("a:b")), ("a:b".into(), None));
    }

    #[test]
    fn steps_are_told_in_lines_of_bounded_length() {
        let figure = Explained {
            figure: "/a".to_owned(),
            unit: "s",
            definition: "d".to_owned(),
            steps: vec!["1234567890 / 1234567890".to_owned(); 8],
            stated: Some("1".to_owned()),
            recomputed: Some(2.0),
            follows: false,
        };
        let text = of_figure(&figure);
        assert!(
            text.starts_with("/a = 1 s\n    DOES NOT FOLLOW: the samples give 2\n    d\n    1")
        );
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert_eq!(text.matches("1234567890 / 1234567890").count(), 8);
    }

    #[test]
    fn a_wrong_figure_weighs_more_than_a_line_that_lacks() {
        assert_eq!(worse(Exit::Usage, Exit::No), Exit::No);
        assert_eq!(worse(Exit::No, Exit::Usage), Exit::No);
        assert_eq!(worse(Exit::Ok, Exit::Usage), Exit::Usage);
    }
}
