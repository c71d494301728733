//! What is told of each line, a column a figure: adding one is one line.
//!
//! A figure is looked for in all its places, the best first, so that lines of every program and version
//! can stand in one table. What no place tells is absent.

use serde_json::Value;

use super::text::plain;

/// A column of every view.
#[derive(Debug)]
pub struct Column {
    /// Its name in CSV and JSON, with the unit.
    pub id: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// Its unit for people; empty where it has none.
    pub unit: &'static str,
    /// Digits after the point for people.
    pub digits: usize,
    read: Read,
}

/// Where a column looks.
#[derive(Debug)]
enum Read {
    /// For a number, in places each with the factor that gives the column's unit.
    Number(&'static [(&'static str, f64)], Option<(&'static str, f64)>),
    /// For a text, or a list of texts or of objects with a `name`.
    Text(&'static [&'static str]),
    /// For true or false, and what each is called.
    Verdict(&'static str, [&'static str; 2]),
}

/// What a line tells in a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A figure, and the bounds that hold the true one in 95 of 100 cases, where they are told.
    Number(f64, Option<[f64; 2]>),
    /// Anything else.
    Text(String),
}

type Places = &'static [(&'static str, f64)];

const fn number(id: &'static str, title: &'static str, unit: &'static str, at: Places) -> Column {
    Column { id, title, unit, digits: 1, read: Read::Number(at, None) }
}

const fn words(id: &'static str, title: &'static str, at: &'static [&'static str]) -> Column {
    Column { id, title, unit: "", digits: 0, read: Read::Text(at) }
}

impl Column {
    const fn digits(self, digits: usize) -> Self {
        Self { digits, ..self }
    }

    /// With bounds, an array of two in the same unit as the first place.
    const fn within(self, interval: &'static str) -> Self {
        let read = match self.read {
            Read::Number(at, _) => match at {
                [(_, factor), ..] => Read::Number(at, Some((interval, *factor))),
                [] => self.read,
            },
            Read::Text(_) | Read::Verdict(..) => self.read,
        };
        Self { read, ..self }
    }
}

/// MiB of a GiB, and bytes of one.
const MIB: f64 = 1.0 / 1024.0;
const BYTES: f64 = 1.0 / (1024.0 * 1024.0 * 1024.0);

/// All of them, in the order of every view.
#[rustfmt::skip]
pub const COLUMNS: &[Column] = &[
    words("quantization", "packed", &["/model/quantization"]),
    number("size_gib", "size", "GiB", &[("/model/size_gb", 1.0)]).digits(2),
    number("prompt_tokens", "in", "", &[("/performance/prompt_tokens", 1.0)]).digits(0),
    number("completion_tokens", "out", "", &[("/performance/completion_tokens", 1.0)]).digits(0),
    number("duration_s", "time", "s", &[("/duration", 1.0)]),
    number("load_s", "load", "s", &[("/performance/model_load_time_s", 1.0)]).digits(2),
    number("ttft_ms", "TTFT", "ms", &[("/performance/time_to_first_token_s", 1e3)])
        .within("/metadata/mlxk_harness/statistics/time_to_first_token_s/interval_95"),
    number("prompt_tok_s", "prompt", "tok/s", &[("/metadata/mlxk_harness/prompt_tokens_per_sec", 1.0)])
        .within("/metadata/mlxk_harness/statistics/prompt_tokens_per_sec/interval_95"),
    number("decode_tok_s", "decode", "tok/s", &[("/performance/tokens_per_sec", 1.0)])
        .within("/metadata/mlxk_harness/statistics/tokens_per_sec/interval_95"),
    number("peak_gib", "peak", "GiB", &[("/performance/peak_ram_gb", 1.0), ("/performance/ram_peak_mb", MIB)]).digits(2),
    // Only Linux tells a peak.
    number("process_gib", "process", "GiB", &[("/metadata/mlxk_harness/memory/process/peak_bytes", BYTES), ("/metadata/mlxk_harness/memory/process/bytes", BYTES)]).digits(2),
    number("mbu_percent", "MBU", "%", &[("/metadata/mlxk_harness/roofline/decode/mbu", 100.0)]),
    number("mean_nll", "NLL", "", &[("/metadata/mlxk_harness/likelihood/mean_nll", 1.0)]).digits(3),
    words("flags", "flags", &["/metadata/mlxk_harness/flags"]),
    Column { id: "leaked", title: "stop tokens", unit: "", digits: 0,
        read: Read::Verdict("/stop_tokens/leaked", ["kept back", "leaked"]) },
    number("ram_free_gib", "free", "GiB", &[("/system_health/ram_free_gb", 1.0)]),
    number("swap_gib", "swap", "GiB", &[("/system_health/swap_gb", 1.0), ("/system_health/swap_used_mb", MIB)]),
    number("zombies", "zombies", "", &[("/system_health/zombies_detected", 1.0), ("/system_health/zombie_processes", 1.0)]).digits(0),
];

/// The columns that a history compares, the best first.
pub(super) const COMPARED: [&str; 2] = ["decode_tok_s", "duration_s"];

impl Column {
    /// The places of a line that it looks at, as JSON pointers.
    pub(super) fn places(&self) -> impl Iterator<Item = &'static str> + use<> {
        let (numbers, one, words): (&[_], _, &[_]) = match self.read {
            Read::Number(at, interval) => (at, interval.map(|(at, _)| at), &[]),
            Read::Text(at) => (&[], None, at),
            Read::Verdict(at, _) => (&[], Some(at), &[]),
        };
        numbers.iter().map(|(at, _)| *at).chain(one).chain(words.iter().copied())
    }

    /// What `line` tells.
    pub fn read(&self, line: &Value) -> Option<Cell> {
        match &self.read {
            Read::Number(places, interval) => {
                let value = places.iter().find_map(|(at, factor)| {
                    Some(at_place(line, at)?.as_f64()? * factor).filter(|value| value.is_finite())
                })?;
                let bounds = interval.and_then(|(at, factor)| {
                    let bounds = at_place(line, at)?.as_array()?;
                    let bound = |place: usize| Some(bounds.get(place)?.as_f64()? * factor);
                    Some([bound(0)?, bound(1)?])
                });
                Some(Cell::Number(value, bounds))
            }
            Read::Text(places) => places.iter().find_map(|at| texts(at_place(line, at)?)),
            Read::Verdict(at, [no, yes]) => {
                let is = at_place(line, at)?.as_bool()?;
                Some(Cell::Text(if is { *yes } else { *no }.to_owned()))
            }
        }
    }

    /// Its title with the unit.
    pub fn heading(&self) -> String {
        if self.unit.is_empty() {
            self.title.to_owned()
        } else {
            format!("{} {}", self.title, self.unit)
        }
    }

    /// Whether it holds figures.
    pub fn is_number(&self) -> bool {
        matches!(self.read, Read::Number(..))
    }

    /// Whether its figures may have bounds.
    pub fn has_bounds(&self) -> bool {
        matches!(self.read, Read::Number(_, Some(_)))
    }

    /// `cell` for people.
    pub fn show(&self, cell: &Cell) -> String {
        match cell {
            Cell::Text(text) => text.clone(),
            Cell::Number(value, None) => format!("{value:.*}", self.digits),
            Cell::Number(value, Some([low, high])) => {
                format!("{value:.d$} [{low:.d$}, {high:.d$}]", d = self.digits)
            }
        }
    }
}

/// What stands in a place that a JSON pointer without escapes names.
pub(super) fn at_place<'v>(line: &'v Value, pointer: &str) -> Option<&'v Value> {
    pointer.split('/').skip(1).try_fold(line, |value, key| value.get(key))
}

/// A text, or all of a list.
fn texts(value: &Value) -> Option<Cell> {
    let one = |value: &Value| {
        let name = value.get("name").or_else(|| value.get("kind")).or_else(|| value.get("flag"));
        name.unwrap_or(value).as_str().map(plain)
    };
    let text = match value.as_array() {
        Some(items) => items.iter().filter_map(one).collect::<Vec<_>>().join(", "),
        None => one(value)?,
    };
    (!text.is_empty()).then_some(Cell::Text(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(id: &str, line: &Value) -> Option<String> {
        let column = COLUMNS.iter().find(|column| column.id == id).unwrap();
        column.read(line).map(|cell| column.show(&cell))
    }

    #[test]
    fn every_column_has_a_name_of_its_own_and_is_compared_by_it() {
        let mut names: Vec<_> = COLUMNS.iter().map(|column| column.id).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COLUMNS.len());
        assert!(COMPARED.iter().all(|name| names.contains(name)));
    }

    #[test]
    fn a_figure_is_found_in_whichever_place_tells_it() {
        let old =
            json!({"performance": {"ram_peak_mb": 3200}, "system_health": {"swap_used_mb": 1536}});
        assert_eq!(read("peak_gib", &old).as_deref(), Some("3.12"));
        assert_eq!(read("swap_gib", &old).as_deref(), Some("1.5"));
        let new = json!({"performance": {"ram_peak_mb": 3200, "peak_ram_gb": 2.5}});
        assert_eq!(read("peak_gib", &new).as_deref(), Some("2.50"));
        assert_eq!(read("peak_gib", &json!({"performance": {"peak_ram_gb": "2"}})), None);
    }

    #[test]
    fn use_of_memory_is_told_as_percent_and_as_gib() {
        // 1.5 GiB are 1 610 612 736 bytes.
        let ours = |process: Value| {
            json!({"metadata": {"mlxk_harness": {"roofline": {"decode": {"mbu": 0.625}},
            "memory": {"process": process}}}})
        };
        let linux = ours(json!({"bytes": 1, "peak_bytes": 1_610_612_736_u64}));
        assert_eq!(read("mbu_percent", &linux).as_deref(), Some("62.5"));
        assert_eq!(read("process_gib", &linux).as_deref(), Some("1.50"));
        let macos = ours(json!({"bytes": 1_610_612_736_u64}));
        assert_eq!(read("process_gib", &macos).as_deref(), Some("1.50"));
        let prefill =
            json!({"metadata": {"mlxk_harness": {"roofline": {"prefill": {"mfu": 0.5}}}}});
        assert_eq!((read("mbu_percent", &prefill), read("process_gib", &prefill)), (None, None));
    }

    #[test]
    fn bounds_are_told_in_the_unit_of_the_figure() {
        let line = json!({"performance": {"time_to_first_token_s": 0.25}, "metadata": {"mlxk_harness":
            {"statistics": {"time_to_first_token_s": {"interval_95": [0.125, 0.5]}}}}});
        assert_eq!(read("ttft_ms", &line).as_deref(), Some("250.0 [125.0, 500.0]"));
    }

    #[test]
    fn lists_are_told_by_their_names() {
        let flags = |flags: Value| json!({"metadata": {"mlxk_harness": {"flags": flags}}});
        assert_eq!(
            read("flags", &flags(json!(["slowing", "jump"]))).as_deref(),
            Some("slowing, jump")
        );
        assert_eq!(read("flags", &flags(json!([{"name": "slowing"}]))).as_deref(), Some("slowing"));
        assert_eq!(read("flags", &flags(json!([]))), None);
        assert_eq!(
            read("leaked", &json!({"stop_tokens": {"leaked": true}})).as_deref(),
            Some("leaked")
        );
    }
}
