//! How busy the GPU was during each test, where a file of the memory monitor tells.

use std::collections::BTreeSet;

use super::{
    super::text::markdown,
    models::display,
    samples::{Memory, Seen, Timed},
    tests_table::Test,
};

/// Rows of a table.
const MOST_COLD: usize = 15;
const MOST_HIGH: usize = 10;
/// Percent from which on the GPU is busy.
const HIGH: f64 = 50.0;

/// What was seen during each test, in the order of the file.
#[derive(Debug)]
pub(super) struct Gpu<'a> {
    memory: &'a Memory,
    tests: Vec<(&'a Timed, Option<Seen>)>,
}

impl<'a> Gpu<'a> {
    /// Nothing where no test was watched.
    pub(super) fn of(tests: &'a [Timed], memory: &'a Memory) -> Option<Self> {
        let tests: Vec<_> = tests.iter().map(|test| (test, memory.seen(test.span))).collect();
        tests.iter().any(|(_, seen)| seen.is_some()).then_some(Self { memory, tests })
    }

    fn seen(&self) -> impl Iterator<Item = (&'a Timed, Seen)> {
        self.tests.iter().filter_map(|(test, seen)| Some((*test, (*seen)?)))
    }

    /// What mlx-knife's script would have got wrong.
    pub(super) fn corrections(&self) -> BTreeSet<&'static str> {
        let mut corrections = BTreeSet::new();
        if self.tests.iter().any(|(test, seen)| self.memory.seen(test.shifted) != *seen) {
            corrections.insert("Samples of a test are from before its end, not from after it.");
        }
        if self.seen().any(|(_, seen)| seen.has_gaps) {
            corrections.insert("What a sample does not tell of the GPU is not taken for 0.");
        }
        if self.memory.measured().is_some() {
            corrections
                .insert("The sample interval is the one that was, not the one that was asked for.");
        }
        let mut names: Vec<_> = self.seen().map(|(test, _)| &test.test).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        if names.len() < all {
            corrections.insert("Tests with one name are each told of the GPU.");
        }
        corrections
    }

    /// The first test of each model, by time.
    fn cold(&self) -> Vec<&(&'a Timed, Option<Seen>)> {
        let mut tests: Vec<_> =
            self.tests.iter().filter(|(test, _)| test.model.is_some()).collect();
        tests.sort_by(|a, b| a.0.timestamp.cmp(&b.0.timestamp));
        let mut known = BTreeSet::new();
        tests.retain(|(test, _)| {
            let model = test.model.as_deref().unwrap_or_default();
            known.insert(display(model).replace("mlx-community/", ""))
        });
        tests
    }

    /// The section; `old` is the same of the file that is compared with.
    pub(super) fn section(&self, old: Option<&Self>) -> String {
        let mut text = "## GPU Analysis (v1.1)\n\nPer-test GPU utilization correlated from memory monitoring data.\n\n"
            .to_owned();
        let cold = self.cold();
        if !cold.is_empty() {
            text.push_str(&cold_starts(&cold));
        }
        text.push_str(&self.busiest());
        text + &self.summary(cold.len(), old)
    }

    fn busiest(&self) -> String {
        let is_high = |seen: &Seen| seen.device.is_some_and(|share| share > HIGH);
        let mut high: Vec<_> = self.seen().filter(|(_, seen)| is_high(seen)).collect();
        if high.is_empty() {
            return String::new();
        }
        let share = |seen: &Seen| seen.device.unwrap_or_default();
        high.sort_by(|a, b| share(&b.1).total_cmp(&share(&a.1)));
        let mut text =
            "### High GPU Utilization Tests\n\nTests with >50% average GPU device utilization.\n\n\
                        | Test | Model | GPU Dev | GPU Rnd | Pressure |\n\
                        |------|-------|--------:|--------:|:--------:|\n"
                .to_owned();
        for (test, seen) in high.into_iter().take(MOST_HIGH) {
            let pressure = if seen.is_short_of_memory { "⚠️ WARN" } else { "OK" };
            text.push_str(&row(test, [&told(seen.device), &told(seen.renderer), pressure]));
        }
        text + "\n"
    }

    fn summary(&self, cold: usize, old: Option<&Self>) -> String {
        let interval = self
            .memory
            .measured()
            .map_or_else(|| self.memory.asked(), |every| format!("{every:.0}"));
        let mut text = format!(
            "### GPU Utilization Summary\n\n```\nSample interval:      {interval}ms\n\
             Correlated tests:     {}\nCold-start tests:     {cold}\n",
            self.seen().count()
        );
        for (name, look) in LOOKS {
            for (what, figure) in FIGURES {
                let new = figure(&self.shares(look));
                let old = old.and_then(|old| figure(&old.shares(look)));
                let title = format!("GPU {name} {what}:");
                let shares = match (new, old) {
                    (Some(new), Some(old)) => {
                        format!("{new:>5.1}%  (was {old:>5.1}%, Δ {:+.1}%)", new - old)
                    }
                    (new, _) => told(new),
                };
                text.extend([format!("{title:<22}{shares}\n")]);
            }
        }
        text + "```\n\n"
    }

    fn shares(&self, look: Look) -> Vec<f64> {
        self.seen().filter_map(|(_, seen)| look(&seen)).collect()
    }
}

/// A figure of what was seen, and a figure of all of those.
type Look = fn(&Seen) -> Option<f64>;
type Figure = fn(&[f64]) -> Option<f64>;

const LOOKS: [(&str, Look); 2] =
    [("Device", |seen| seen.device), ("Renderer", |seen| seen.renderer)];
const FIGURES: [(&str, Figure); 2] = [
    ("avg", |all| (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)),
    ("max", |all| all.iter().copied().reduce(f64::max)),
];

fn cold_starts(cold: &[&(&Timed, Option<Seen>)]) -> String {
    let mut text =
        "### Cold-Start Tests\n\nFirst test per model (includes model loading overhead).\n\n\
                    | Test | Model | GPU Dev | GPU Rnd | Samples |\n\
                    |------|-------|--------:|--------:|--------:|\n"
            .to_owned();
    for (test, seen) in cold.iter().take(MOST_COLD) {
        let (device, renderer) =
            (seen.and_then(|seen| seen.device), seen.and_then(|seen| seen.renderer));
        let samples = seen.map_or_else(|| told(None), |seen| seen.samples.to_string());
        text.push_str(&row(test, [&told(device), &told(renderer), &samples]));
    }
    if let Some(more) = cold.len().checked_sub(MOST_COLD).filter(|more| *more > 0) {
        text.extend([format!("\n*... and {more} more cold-start tests*\n")]);
    }
    text + "\n"
}

/// A share, or that nobody knows it.
fn told(share: Option<f64>) -> String {
    share.map_or_else(|| "N/A".to_owned(), |share| format!("{share:.1}%"))
}

fn row(test: &Timed, cells: [&str; 3]) -> String {
    let model = test.model.as_deref().map_or("unknown", display);
    let model = model.split_once('/').map_or(model, |(_, name)| name);
    let name = markdown(Test::name_of(&test.test));
    format!("| {name} | {} | {} |\n", markdown(model), cells.join(" | "))
}
