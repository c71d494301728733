//! What a page needs of a file, in one pass.

use std::{
    collections::{BTreeSet, HashMap},
    io::{self, BufRead},
};

use serde_json::Value;

use super::{
    models::{MODES, Model},
    samples::Timed,
    tests_table::Test,
};
use crate::report::{lenient, lines::Lines, validate};

/// Seconds from which on a test is one of a model.
const SHORTEST: f64 = 0.5;
/// GiB of free memory below which a test is degraded.
const LEAST_RAM: f64 = 5.0;

/// Figures of which the least, the most and the mean are told.
#[derive(Clone, Debug, Default)]
pub(super) struct Range {
    pub(super) low: f64,
    pub(super) high: f64,
    sum: f64,
    count: usize,
}

impl Range {
    fn add(&mut self, value: f64) {
        let is_first = self.count == 0;
        self.low = if is_first { value } else { self.low.min(value) };
        self.high = if is_first { value } else { self.high.max(value) };
        self.sum += value;
        self.count += 1;
    }

    pub(super) fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum / self.count as f64 }
    }
}

/// What is in a file.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    pub(super) total: usize,
    pub(super) passed: usize,
    pub(super) with_model: usize,
    pub(super) skipped: usize,
    /// Tests that failed.
    pub(super) failed: Vec<String>,
    pub(super) duration: f64,
    pub(super) schema: Option<String>,
    pub(super) version: Option<String>,
    pub(super) machine: Option<String>,
    pub(super) cores: Option<String>,
    pub(super) swap: Range,
    pub(super) ram: Range,
    pub(super) zombies: Range,
    /// Records whose health is known, and what it is.
    pub(super) judged: usize,
    pub(super) clean: usize,
    pub(super) little_ram: usize,
    pub(super) with_zombies: usize,
    pub(super) models: Vec<Model>,
    model_places: HashMap<String, usize>,
    pub(super) tests: Vec<Test>,
    test_places: HashMap<(String, String), usize>,
    /// All tests that tell when they were, in the order of the file.
    pub(super) timed: Vec<Timed>,
    /// What mlx-knife's script would have got wrong.
    pub(super) corrections: BTreeSet<&'static str>,
}

fn text<'a>(line: &'a Value, pointer: &str) -> Option<&'a str> {
    line.pointer(pointer).and_then(Value::as_str)
}

fn number(line: &Value, pointer: &str) -> Option<f64> {
    line.pointer(pointer).and_then(Value::as_f64)
}

impl Statistics {
    pub(super) fn read(file: impl BufRead) -> io::Result<Self> {
        let mut statistics = Self::default();
        let mut lines = Lines::new(file);
        while let Some(line) = lines.next_line()? {
            let written = line.text.ok().and_then(|text| lenient::read(text).ok());
            let line = written.map(lenient::Written::known).unwrap_or_default();
            if line.get("outcome").is_some_and(Value::is_string) {
                statistics.add(&line);
            } else if validate::is_of_monitor(&line) {
                statistics.correct("Lines of the memory monitor are not taken for tests.");
            } else {
                statistics.correct("Lines that are no records are left out.");
            }
        }
        Ok(statistics)
    }

    pub(super) fn correct(&mut self, what: &'static str) {
        self.corrections.insert(what);
    }

    fn add(&mut self, line: &Value) {
        self.total += 1;
        if self.total == 1 {
            self.schema = text(line, "/schema_version").map(str::to_owned);
            self.version = text(line, "/mlx_knife_version").map(str::to_owned);
        }
        self.timed.extend(Timed::of(line));
        self.add_machine(line);
        let ram = self.add_health(line);
        match text(line, "/outcome") {
            Some("passed") => self.add_passed(line, ram),
            Some("skipped") => self.skipped += 1,
            Some("failed") => {
                let test = text(line, "/test").unwrap_or("unknown").to_owned();
                let model =
                    text(line, "/model/id").map(|id| format!(" ({})", super::models::display(id)));
                self.failed.push(test + &model.unwrap_or_default());
                self.correct("Failed tests are counted and listed.");
            }
            _ => self.correct("Lines that are no records are left out."),
        }
    }

    /// The first machine that is told.
    fn add_machine(&mut self, line: &Value) {
        let at = "/system/hardware_profile";
        if self.machine.is_some() || line.pointer(at).is_none() {
            return;
        }
        let named = text(line, &format!("{at}/model"));
        let declared = text(line, &format!("{at}/model_identifier"));
        if named.is_none() && declared.is_some() {
            self.correct("Spellings that only the schemas have are read too.");
        }
        self.machine = Some(named.or(declared).unwrap_or("unknown").to_owned());
        self.cores = number(line, &format!("{at}/cores_physical")).map(|cores| cores.to_string());
    }

    /// Judges the machine by free memory and zombies alone; tells the memory.
    fn add_health(&mut self, line: &Value) -> Option<f64> {
        let at = "/system_health";
        if line.pointer(at).is_none() {
            self.correct("Shares of clean tests are of the tests whose health is known.");
            return None;
        }
        let ram = number(line, &format!("{at}/ram_free_gb"));
        let mut either = |read: &str, declared: &str, factor: f64| {
            let value = number(line, &format!("{at}/{read}"));
            value.or_else(|| {
                let value = number(line, &format!("{at}/{declared}"))? * factor;
                self.corrections.insert("Spellings that only the schemas have are read too.");
                Some(value)
            })
        };
        let swap = either("swap_used_mb", "swap_gb", 1024.0);
        let zombies = either("zombie_processes", "zombies_detected", 1.0);
        if ram.is_none() || swap.is_none() || zombies.is_none() {
            self.correct("Memory, swap and zombies that a line does not tell are not taken for 0.");
        }
        for (range, value) in
            [(&mut self.swap, swap), (&mut self.ram, ram), (&mut self.zombies, zombies)]
        {
            if let Some(value) = value {
                range.add(value);
            }
        }
        let is_low = ram.is_some_and(|ram| ram < LEAST_RAM);
        let has_zombies = zombies.is_some_and(|zombies| zombies > 0.0);
        self.judged += 1;
        self.little_ram += usize::from(is_low);
        self.with_zombies += usize::from(has_zombies);
        self.clean += usize::from(!is_low && !has_zombies);
        ram
    }

    fn add_passed(&mut self, line: &Value, ram: Option<f64>) {
        self.passed += 1;
        let has_model = line.get("model").is_some();
        self.with_model += usize::from(has_model);
        let test = text(line, "/test").unwrap_or("unknown");
        let Some(duration) = number(line, "/duration") else {
            self.correct("Passed tests without duration are counted, and add no time.");
            return;
        };
        if test.ends_with("[vision_phase]") || test.ends_with("[text_phase]") {
            self.correct("Phases that were written by hand add nothing to the total time again.");
        } else {
            self.duration += duration;
        }
        let Some(id) = text(line, "/model/id") else {
            if has_model {
                self.correct("Models without id are left out of the tables.");
            }
            return;
        };
        if duration >= SHORTEST {
            self.add_inference(line, id, (duration, ram), test);
        }
    }

    fn add_inference(
        &mut self,
        line: &Value,
        id: &str,
        (duration, ram): (f64, Option<f64>),
        test: &str,
    ) {
        let modality = text(line, "/metadata/inference_modality").unwrap_or("unknown");
        if id.starts_with("$MLXK_WORKSPACE_HOME/") {
            self.correct("Models of a workspace are called by their folder in every table.");
        }
        let next = self.models.len();
        let place = *self.model_places.entry(id.to_owned()).or_insert(next);
        if place == next {
            self.models.push(Model::new(id, line));
        }
        if let Some(model) = self.models.get_mut(place) {
            model.all.add(duration, ram);
            let mode = MODES.iter().position(|(name, _)| *name == modality);
            if let Some(part) = mode.and_then(|mode| model.parts.get_mut(mode)) {
                part.add(duration, ram);
            }
        }
        let name = Test::name_of(test);
        let key = (name.to_owned(), modality.to_owned());
        let next = self.tests.len();
        let place = *self.test_places.entry(key.clone()).or_insert(next);
        if place == next {
            self.tests.push(Test { name: key.0, modality: key.1, runs: Vec::new() });
        }
        if let Some(test) = self.tests.get_mut(place) {
            test.runs.push((id.to_owned(), duration));
        }
    }

    /// Share of clean tests among those whose health is known, in percent.
    pub(super) fn clean_percent(&self) -> f64 {
        if self.judged == 0 { 0.0 } else { 100.0 * self.clean as f64 / self.judged as f64 }
    }

    pub(super) fn model(&self, id: &str) -> Option<&Model> {
        self.models.get(*self.model_places.get(id)?)
    }

    pub(super) fn test(&self, name: &str, modality: &str) -> Option<&Test> {
        self.tests.get(*self.test_places.get(&(name.to_owned(), modality.to_owned()))?)
    }
}
