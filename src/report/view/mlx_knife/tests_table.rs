//! How long each test took, over all models.

use super::{
    super::text::markdown,
    models::{MODES, display},
};

/// A test, in one mode.
#[derive(Clone, Debug)]
pub(super) struct Test {
    pub(super) name: String,
    pub(super) modality: String,
    /// Each model and how long it took, in the order of the file.
    pub(super) runs: Vec<(String, f64)>,
}

impl Test {
    /// The name of a test after its file and class, without what stands in brackets.
    pub(super) fn name_of(test: &str) -> &str {
        let last = test.rsplit("::").next().unwrap_or(test);
        last.split('[').next().unwrap_or(last)
    }

    pub(super) fn median(&self) -> f64 {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        let at = |place: usize| sorted.get(place).map_or(0.0, |(_, duration)| *duration);
        if sorted.len().is_multiple_of(2) && middle > 0 {
            f64::midpoint(at(middle - 1), at(middle))
        } else {
            at(middle)
        }
    }

    fn sorted(&self) -> Vec<&(String, f64)> {
        let mut sorted: Vec<_> = self.runs.iter().collect();
        sorted.sort_by(|a, b| a.1.total_cmp(&b.1));
        sorted
    }

    /// The cells that a table has with and without a comparison.
    pub(super) fn cells(&self) -> [String; 5] {
        let sorted = self.sorted();
        let run = |run: Option<&&(String, f64)>| {
            run.map_or_else(String::new, |(model, duration)| {
                format!("{} ({duration:.1}s)", short(model))
            })
        };
        let mut models: Vec<_> = self.runs.iter().map(|(model, _)| model).collect();
        models.sort_unstable();
        models.dedup();
        let mode = MODES.iter().find(|(name, _)| *name == self.modality);
        [
            markdown(&self.name),
            mode.map_or("-", |(_, mode)| mode).to_owned(),
            models.len().to_string(),
            run(sorted.first()),
            run(sorted.last()),
        ]
    }
}

/// A model up to its first dash.
fn short(model: &str) -> String {
    let name = display(model).replace("mlx-community/", "");
    markdown(name.split('-').next().unwrap_or(&name))
}
