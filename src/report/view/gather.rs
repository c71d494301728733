//! Files become rows: of each line only what a view shows is kept.

use std::io::{self, BufRead};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    columns::{COLUMNS, Cell, at_place},
    detail::Detail,
    many::{Many, Rows},
    monitor::Watch,
    needs::Needs,
    text::plain,
};
use crate::report::{lines::Lines, model_id, validate};

/// Lines of a file that are left out and told one by one, and machines that are told.
const TOLD: usize = 1_000;

/// Everything that a view can show.
#[derive(Debug, Default)]
pub struct Report {
    /// The files, in the order they were named.
    pub sources: Vec<Source>,
    /// The records, in the order of the files and their lines; where there are too many, one row for all of a test.
    pub rows: Vec<Row>,
    /// The machines that lines name, each once.
    pub machines: Vec<String>,
    /// What was seen of the machine, a file each.
    pub(super) watches: Vec<Watch>,
    shared: Rows,
    needs: Needs,
}

/// A file.
#[derive(Debug)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Records in it.
    pub records: u64,
    /// Lines of mlx-knife's memory monitor.
    pub monitor: u64,
    /// Lines that are neither, and are left out.
    pub left_out: u64,
    /// The first thousand of them: the number of each and why.
    pub unread: Vec<(u64, String)>,
}

/// A record.
#[derive(Clone, Debug)]
pub struct Row {
    /// The model, without a folder; none where the line names none.
    pub model: Option<String>,
    /// The test without its file and what stands in brackets.
    pub test: String,
    /// What stood in brackets, without the model.
    pub parameters: String,
    /// How it ended.
    pub outcome: String,
    /// When it ended.
    pub end: Option<Timestamp>,
    /// The program that measured.
    pub version: String,
    /// The machine without its software; empty where the line names none.
    pub hardware: String,
    /// What is told in each of [`COLUMNS`].
    pub cells: Vec<Option<Cell>>,
    /// Why it failed or was skipped.
    pub cause: Option<String>,
    /// What a reader must know.
    pub warnings: Vec<String>,
    /// What charts are drawn of.
    pub(super) detail: Detail,
    /// What the records have in common that share this row.
    pub(super) many: Option<Box<Many>>,
}

impl Report {
    /// An empty one that keeps what is needed and no more.
    pub fn new(needs: Needs) -> Self {
        Self { needs, ..Self::default() }
    }

    /// Reads a file, whatever its lines are.
    ///
    /// # Errors
    ///
    /// Where it cannot be read.
    pub fn read(&mut self, name: &str, file: impl BufRead) -> io::Result<()> {
        self.read_with(name, file, &mut |report, row| {
            report.shared.add(&mut report.rows, row);
            Ok(())
        })
    }

    /// Reads a file, and hands each record to `take` instead of keeping it.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read, or what `take` fails with.
    pub fn read_each(
        &mut self,
        name: &str,
        file: impl BufRead,
        take: &mut dyn FnMut(&Row) -> io::Result<()>,
    ) -> io::Result<()> {
        self.read_with(name, file, &mut |_, row| take(&row))
    }

    fn read_with(
        &mut self,
        name: &str,
        file: impl BufRead,
        take: &mut dyn FnMut(&mut Self, Row) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut source =
            Source { name: plain(name), records: 0, monitor: 0, left_out: 0, unread: Vec::new() };
        let mut lines = Lines::new(file);
        let mut watch = Watch::new(name);
        while let Some(line) = lines.next_line()? {
            let read = line.text.map_err(|error| error.to_string());
            match read.and_then(|text| self.needs.read(text)) {
                Ok(value) if validate::is_of_monitor(&value) => {
                    source.monitor += 1;
                    if self.needs == Needs::Charts {
                        watch.add(&value);
                    }
                }
                Ok(value) if value.get("outcome").is_some_and(Value::is_string) => {
                    source.records += 1;
                    let row = self.row(&value);
                    take(self, row)?;
                }
                Ok(_) => source.leave_out(line.number, "no record: it has no `outcome`".to_owned()),
                Err(reason) => source.leave_out(line.number, reason),
            }
        }
        self.sources.push(source);
        self.watches.extend(watch.is_told().then_some(watch));
        Ok(())
    }

    fn row(&mut self, line: &Value) -> Row {
        let hardware = hardware(line);
        let row = Row::of(line, hardware.join(", "));
        if let Some(machine) = machine(line, hardware)
            && !self.machines.contains(&machine)
            && self.machines.len() < TOLD
        {
            self.machines.push(machine);
        }
        row
    }

    /// What a row is, where records share them.
    pub fn shared(&self) -> Option<String> {
        self.rows.first()?.many.as_ref()?;
        let records: u64 = self.sources.iter().map(|source| source.records).sum();
        let rows = self.rows.len();
        let uncounted = match self.shared.uncounted {
            0 => String::new(),
            more => format!("; {more} more records of other tests have no row"),
        };
        Some(format!(
            "{records} records in {rows} rows: each row is all of one test, model, machine and outcome, with the mean \
             and [least, most] of its figures{uncounted}"
        ))
    }

    /// The columns in which any row tells something, by their place in [`COLUMNS`].
    pub fn columns(&self) -> Vec<usize> {
        let is_told = |place: &usize| {
            self.rows.iter().any(|row| row.cells.get(*place).is_some_and(Option::is_some))
        };
        (0..COLUMNS.len()).filter(is_told).collect()
    }

    /// How many records ended as `outcome`.
    pub fn count(&self, outcome: &str) -> u64 {
        self.rows.iter().filter(|row| row.outcome == outcome).map(Row::records).sum()
    }
}

impl Source {
    fn leave_out(&mut self, number: u64, reason: String) {
        self.left_out += 1;
        if self.unread.len() < TOLD {
            self.unread.push((number, reason));
        }
    }
}

fn text(line: &Value, pointer: &str) -> Option<String> {
    at_place(line, pointer).and_then(Value::as_str).map(plain)
}

impl Row {
    fn of(line: &Value, hardware: String) -> Self {
        let id = text(line, "/model/id").filter(|id| !id.is_empty());
        let model = id.as_deref().map(shown_model);
        let test = text(line, "/test").unwrap_or_default();
        let (test, parameters) = parts(&test, id.as_deref());
        let end = text(line, "/timestamp").and_then(|time| time.parse().ok());
        let ours = "/metadata/mlxk_harness/version";
        let version = text(line, ours).map(|version| format!("mlxk-harness {version}"));
        let knife = text(line, "/mlx_knife_version").map(|version| format!("mlx-knife {version}"));
        let warnings = at_place(line, "/metadata/mlxk_harness/warnings").and_then(Value::as_array);
        Self {
            model,
            test,
            parameters,
            outcome: text(line, "/outcome").unwrap_or_default(),
            end,
            version: version.or(knife).unwrap_or_default(),
            hardware,
            cells: COLUMNS.iter().map(|column| column.read(line)).collect(),
            cause: cause(line),
            detail: Detail::of(line, end),
            many: None,
            warnings: warnings.into_iter().flatten().filter_map(Value::as_str).map(plain).collect(),
        }
    }

    /// The test with its parameters, on one line.
    pub fn label(&self) -> String {
        if self.parameters.is_empty() {
            self.test.clone()
        } else {
            format!("{} {}", self.test, self.parameters)
        }
    }

    /// What stands in the column `id`.
    pub fn cell(&self, id: &str) -> Option<&Cell> {
        let place = COLUMNS.iter().position(|column| column.id == id)?;
        self.cells.get(place)?.as_ref()
    }

    /// The figure in the column `id`.
    pub fn number(&self, id: &str) -> Option<f64> {
        match self.cell(id)? {
            Cell::Number(value, _) => Some(*value),
            Cell::Text(_) => None,
        }
    }
}

/// A model by its hub id, or by the name of its folder.
fn shown_model(id: &str) -> String {
    let id = id.strip_prefix("$MLXK_WORKSPACE_HOME/").unwrap_or(id);
    model_id(id).to_owned()
}

/// The name of a test after the last `::`, and what stands in brackets after it, without the model.
fn parts(test: &str, model: Option<&str>) -> (String, String) {
    let (head, brackets) = match test.find('[') {
        Some(at) => test.split_at(at),
        None => (test, ""),
    };
    let name = head.rsplit("::").next().unwrap_or(head);
    let inner = brackets.trim_start_matches('[').trim_end_matches(']').replace("][", " ");
    let without = model.and_then(|model| inner.strip_prefix(model));
    let parameters = without.map_or(inner.as_str(), |rest| rest.trim_start_matches('-'));
    (name.to_owned(), parameters.to_owned())
}

/// Why a line is no measurement, as far as it tells.
fn cause(line: &Value) -> Option<String> {
    let skip = text(line, "/metadata/skip_reason");
    let skip = skip.map(|reason| reason.strip_prefix("Skipped: ").unwrap_or(&reason).to_owned());
    skip.or_else(|| {
        let failure = at_place(line, "/metadata/mlxk_harness/failure")?;
        let at = |key: &str| failure.get(key).and_then(Value::as_str).map(plain);
        let message = at("message")?;
        let place: Vec<_> = [at("stage"), at("kind")].into_iter().flatten().collect();
        let hint = at("hint").map(|hint| format!(" ({hint})")).unwrap_or_default();
        Some(format!("{}: {message}{hint}", place.join(", ")))
    })
}

/// The machine, part by part.
fn hardware(line: &Value) -> Vec<String> {
    let known = at_place(line, "/system/hardware_profile");
    let profile = |key: &str| known?.get(key)?.as_str().map(plain);
    let count = |key: &str| known?.get(key)?.as_u64();
    let ram = at_place(line, "/system/ram_total_gb").and_then(Value::as_f64);
    let parts = [
        profile("chip").or_else(|| text(line, "/system/hardware")),
        profile("model_identifier").or_else(|| profile("model")),
        count("cores_physical").map(|cores| format!("{cores} cores")),
        count("gpu_cores").map(|cores| format!("{cores} GPU cores")),
        ram.map(|ram| format!("{ram:.0} GiB")),
    ];
    parts.into_iter().flatten().collect()
}

/// A machine and what runs on it, on one line.
fn machine(line: &Value, mut hardware: Vec<String>) -> Option<String> {
    let software = [
        text(line, "/system/platform_version"),
        text(line, "/system/mlx_version").map(|version| format!("MLX {version}")),
    ];
    hardware.extend(software.into_iter().flatten());
    hardware.dedup();
    (!hardware.is_empty()).then(|| hardware.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::lenient;

    #[test]
    fn a_test_is_told_without_its_file_and_its_model() {
        let case = |test: &str, model: Option<&str>| {
            let (name, parameters) = parts(test, model);
            format!("{name}|{parameters}")
        };
        let ours = "mlxk-harness::chat[org/x-c60b12032-g50]";
        assert_eq!(case(ours, Some("org/x")), "chat|c60b12032-g50");
        let theirs = "tests_2.0/live/test_cli_e2e.py::TestRun::test_run_command[text_07]";
        assert_eq!(case(theirs, Some("org/x")), "test_run_command|text_07");
        assert_eq!(case("a::pipe[p][vision_phase]", None), "pipe|p vision_phase");
        assert_eq!(case("a::b", None), "b|");
    }

    #[test]
    fn a_model_is_told_without_its_folder() {
        assert_eq!(shown_model("$MLXK_WORKSPACE_HOME/pixtral-12b-8bit"), "pixtral-12b-8bit");
        assert_eq!(shown_model("/Users/ada/x"), "x");
        assert_eq!(shown_model("org/x"), "org/x");
    }

    #[test]
    fn a_torn_line_is_told_and_hides_nothing() {
        let mut report = Report::default();
        let file = "{\"outcome\": \"passed\", \"test\": \"a::b\"}\n3\n{\"elapsed_s\": 1}\n{\"out";
        report.read("a.jsonl", file.as_bytes()).unwrap();
        let source = &report.sources[0];
        assert_eq!((report.rows.len(), source.records, source.monitor), (1, 1, 1));
        let numbers: Vec<_> = source.unread.iter().map(|(number, _)| *number).collect();
        assert_eq!((numbers, source.left_out), (vec![2, 4], 2));
    }

    #[test]
    fn a_row_is_the_same_whether_all_of_a_line_is_read_or_what_is_needed() {
        for text in [
            include_str!("../../../tests/fixtures/reports/valid/assembled.jsonl"),
            include_str!("../../../tests/fixtures/reports/valid/as-mlx-knife-writes.jsonl"),
            include_str!("../../../tests/fixtures/reports/rendered/2026-02-11-v2.0.4-wet.jsonl"),
        ] {
            for text in text.lines() {
                let whole = lenient::read(text).unwrap().known();
                let read = Needs::Charts.read(text).unwrap();
                let row = |line| Row::of(line, hardware(line).join(", "));
                assert_eq!(format!("{:?}", row(&whole)), format!("{:?}", row(&read)), "{text}");
                let machine = |line| machine(line, hardware(line));
                assert_eq!(machine(&whole), machine(&read));
                let figures =
                    |line| format!("{:?}", Row { detail: Detail::default(), ..row(line) });
                let read = Needs::Figures.read(text).unwrap();
                assert_eq!(figures(&whole), figures(&read), "{text}");
            }
        }
    }
}
