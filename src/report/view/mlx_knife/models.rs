//! What is known of each model, and of all models of about one size.

use serde_json::Value;

use super::super::text::markdown;

/// What went into a model, in the order that rows stand in.
pub(super) const MODES: [(&str, &str); 3] =
    [("vision", "Vision"), ("text", "Text"), ("audio", "Audio")];

/// Tests and the memory that was free at them.
#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    pub(super) count: usize,
    pub(super) time: f64,
    /// The least and the most, where any line tells it.
    pub(super) ram: Option<(f64, f64)>,
}

/// A model, by the passed tests that took half a second or more.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) id: String,
    /// In GiB; 0 where it is not told, as the layout has it.
    pub(super) size: f64,
    pub(super) all: Part,
    /// One for each of [`MODES`].
    pub(super) parts: [Part; 3],
}

impl Part {
    pub(super) fn add(&mut self, duration: f64, ram: Option<f64>) {
        self.count += 1;
        self.time += duration;
        if let Some(ram) = ram {
            let (low, high) = self.ram.unwrap_or((ram, ram));
            self.ram = Some((low.min(ram), high.max(ram)));
        }
    }

    /// The range of free memory for a table.
    pub(super) fn range(&self) -> String {
        match self.ram {
            None => "-".to_owned(),
            Some((low, high)) if low.total_cmp(&high).is_eq() => format!("{low:.1}"),
            Some((low, high)) => format!("{low:.1}-{high:.1}"),
        }
    }
}

impl Model {
    pub(super) fn new(id: &str, line: &Value) -> Self {
        let size = line.pointer("/model/size_gb").and_then(Value::as_f64).unwrap_or(0.0);
        Self { id: id.to_owned(), size, all: Part::default(), parts: Default::default() }
    }

    /// Its name for a table: without the organisation, and without folders.
    pub(super) fn short(&self) -> String {
        let name = display(&self.id);
        markdown(name.split_once('/').map_or(name, |(_, name)| name))
    }

    /// The parts that have a row, each with its mode; all of them together where no mode is told.
    pub(super) fn rows(&self) -> Vec<(&'static str, &Part, String)> {
        let parts = MODES.iter().zip(&self.parts).filter(|(_, part)| part.count > 0);
        let mut rows: Vec<_> = parts.map(|((_, mode), part)| (*mode, part, part.range())).collect();
        if rows.is_empty() {
            let range = self.all.ram.map(|(low, high)| format!("{low:.1}-{high:.1}"));
            rows.push(("-", &self.all, range.unwrap_or_else(|| "-".to_owned())));
        }
        rows
    }

    pub(super) fn part(&self, mode: &str) -> Option<&Part> {
        let at = MODES.iter().position(|(_, name)| *name == mode);
        at.map_or(Some(&self.all), |at| self.parts.get(at).filter(|part| part.count > 0))
    }
}

/// A model by its hub id, or by the name of its folder.
pub(super) fn display(id: &str) -> &str {
    if id.starts_with('/') {
        return id.trim_end_matches('/').rsplit('/').next().unwrap_or(id);
    }
    id.strip_prefix("$MLXK_WORKSPACE_HOME/").unwrap_or(id)
}

/// What is said of all models of about one size.
pub(super) fn category(title: &str, models: &[&Model]) -> String {
    let count = models.len() as f64;
    let mut text = format!("{title}: {} models\n", models.len());
    let size: f64 = models.iter().map(|model| model.size).sum();
    text.extend([format!("  Avg size:               {:.1} GB\n", size / count)]);
    let mut is_told = false;
    for ((_, mode), at) in MODES.iter().zip(0..) {
        let parts = models.iter().filter_map(|model| model.parts.get(at));
        let parts: Vec<_> = parts.filter(|part: &&Part| part.count > 0).collect();
        if parts.is_empty() {
            continue;
        }
        is_told = true;
        let time: f64 = parts.iter().map(|part| part.time / part.count as f64).sum();
        text.extend([format!("  {mode} Tests:\n    Models tested:        {}\n", parts.len())]);
        text.extend([format!("    Avg test time:        {:.1}s\n", time / parts.len() as f64)]);
        let ranges: Vec<_> = parts.iter().filter_map(|part| part.ram).collect();
        let low = ranges.iter().map(|(low, _)| *low).reduce(f64::min);
        let high = ranges.iter().map(|(_, high)| *high).filter(|high| *high > 0.0).reduce(f64::max);
        if let (Some(low), Some(high)) = (low, high) {
            text.extend([format!("    RAM range:            {low:.1}-{high:.1} GB\n")]);
        }
    }
    if !is_told {
        let time: f64 = models.iter().map(|model| model.all.time / model.all.count as f64).sum();
        text.extend([format!("  Avg test time:          {:.1}s\n", time / count)]);
        let lows: Vec<_> =
            models.iter().filter_map(|model| model.all.ram).map(|ram| ram.0).collect();
        if !lows.is_empty() {
            let low = lows.iter().sum::<f64>() / lows.len() as f64;
            text.extend([format!("  Avg min RAM:            {low:.1} GB\n")]);
        }
    }
    text
}
