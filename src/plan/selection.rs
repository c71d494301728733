//! From what a command line names to a plan: read manifests, lay flags over them, keep what was selected.

use std::path::Path;

use thiserror::Error;

use super::{
    Choices, Entry, Manifest, ManifestError, OutOfRange, Plan, PlannedModel, Scenario, Source,
    product::MOST_CELLS,
};

/// What a command line asks to have measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// A manifest, models, or both.
    pub arguments: Vec<String>,
    /// Models with any of these tags; all where empty.
    pub tags: Vec<String>,
    /// Models with any of these in their labels, in either case; all where empty.
    pub only: Vec<String>,
    /// Cells of these scenarios; all where empty.
    pub scenarios: Vec<Scenario>,
    /// What flags say; they win over every manifest.
    pub flags: Choices,
}

/// Why there is no plan.
#[derive(Debug, Error)]
pub enum PlanError {
    /// A manifest is refused.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// More than one manifest is named, and each has its own defaults.
    #[error("more than one manifest is named: `{0}` and `{1}`")]
    TwoManifests(String, String),
    /// A flag's value makes no sense.
    #[error("`--{}` must be {}", .0.name.replace('_', "-"), .0.rule)]
    OutOfRange(OutOfRange),
    /// A flag that no planned cell reads.
    #[error("`--{flag}` is of no use without the {} scenario", scenario.name())]
    Unused {
        /// The flag, without its dashes.
        flag: &'static str,
        /// The scenario that reads it.
        scenario: Scenario,
    },
    /// Two models that a report could not tell apart.
    #[error("two models are called `{0}`")]
    Repeated(String),
    /// A tag that no model has.
    #[error("no model has the tag `{tag}`")]
    UnknownTag {
        /// The tag.
        tag: String,
        /// All tags there are.
        known: Vec<String>,
    },
    /// A name that no model has.
    #[error("no model is called anything like `{name}`")]
    UnknownModel {
        /// The name.
        name: String,
        /// All labels there are.
        known: Vec<String>,
    },
    /// A sweep that nobody will see the end of.
    #[error("`{0}` would have more than {MOST_CELLS} cells")]
    TooManyCells(String),
    /// Every model was left out by one filter or another.
    #[error("no model passes all filters together")]
    NothingLeft,
}

impl PlanError {
    /// What can be done about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Manifest(error) => error.hint(),
            Self::TwoManifests(..) => Some("run them one after the other".to_owned()),
            Self::UnknownTag { known, .. } if known.is_empty() => {
                Some("tags are given in a manifest".to_owned())
            }
            Self::UnknownTag { known, .. } => Some(format!("known tags: {}", known.join(", "))),
            Self::UnknownModel { known, .. } => Some(format!("known models: {}", known.join(", "))),
            Self::TooManyCells(_) => Some("sweep fewer sizes at once".to_owned()),
            Self::OutOfRange(_) | Self::Unused { .. } | Self::Repeated(_) | Self::NothingLeft => {
                None
            }
        }
    }
}

impl Selection {
    /// What will be measured.
    pub fn plan(&self) -> Result<Plan, PlanError> {
        self.flags.check().map_err(PlanError::OutOfRange)?;
        let (manifest, entries) = self.entries()?;
        let kept = self.kept(&entries)?;
        let models: Vec<_> = kept
            .into_iter()
            .filter_map(|entry| PlannedModel::of(entry, &self.flags, &self.scenarios))
            .collect();
        if models.is_empty() {
            return Err(PlanError::NothingLeft);
        }
        if let Some(model) = models.iter().find(|model| model.cells.len() > MOST_CELLS) {
            return Err(PlanError::TooManyCells(model.label.clone()));
        }
        self.check_use(&models)?;
        Ok(Plan { models, manifest })
    }

    /// All models that are named, with the manifest's defaults under what each says itself.
    fn entries(&self) -> Result<(Option<Manifest>, Vec<Entry>), PlanError> {
        let mut manifest: Option<Manifest> = None;
        let mut entries: Vec<Entry> = Vec::new();
        for argument in &self.arguments {
            if !is_manifest(argument) {
                entries.push(Entry::of(Source::from_argument(argument)));
                continue;
            }
            if let Some(first) = &manifest {
                let first = first.path.display().to_string();
                return Err(PlanError::TwoManifests(first, argument.clone()));
            }
            let read = Manifest::read(Path::new(argument))?;
            entries.extend(read.models.iter().map(|entry| Entry {
                choices: entry.choices.clone().over(&read.defaults),
                ..entry.clone()
            }));
            manifest = Some(read);
        }
        for (at, entry) in entries.iter().enumerate() {
            let label = entry.source.label();
            if entries.iter().take(at).any(|other| other.source.label() == label) {
                return Err(PlanError::Repeated(label));
            }
        }
        Ok((manifest, entries))
    }

    /// The models that pass the filters; each filter must know at least one.
    fn kept<'a>(&self, entries: &'a [Entry]) -> Result<Vec<&'a Entry>, PlanError> {
        if let Some(tag) =
            self.tags.iter().find(|tag| !entries.iter().any(|entry| entry.tags.contains(tag)))
        {
            let mut known: Vec<_> = entries.iter().flat_map(|entry| entry.tags.clone()).collect();
            known.sort();
            known.dedup();
            return Err(PlanError::UnknownTag { tag: tag.clone(), known });
        }
        if let Some(name) =
            self.only.iter().find(|name| !entries.iter().any(|entry| is_called(entry, name)))
        {
            let known = entries.iter().map(|entry| entry.source.label()).collect();
            return Err(PlanError::UnknownModel { name: name.clone(), known });
        }
        let passes = |entry: &&Entry| {
            let tagged =
                self.tags.is_empty() || self.tags.iter().any(|tag| entry.tags.contains(tag));
            let named = self.only.is_empty() || self.only.iter().any(|name| is_called(entry, name));
            tagged && named
        };
        Ok(entries.iter().filter(passes).collect())
    }

    /// Refuses flags that would change nothing.
    fn check_use(&self, models: &[PlannedModel]) -> Result<(), PlanError> {
        let flags = &self.flags;
        let sized = [
            ("prompt-tokens", Scenario::Throughput, flags.prompt_tokens.is_some()),
            ("generation-tokens", Scenario::Throughput, flags.generation_tokens.is_some()),
            ("depth", Scenario::Throughput, flags.depth.is_some()),
            ("prompt-file", Scenario::Throughput, flags.prompt_file.is_some()),
            ("random-ids", Scenario::Throughput, flags.random_ids.is_some()),
            ("nll-tokens", Scenario::Throughput, flags.nll_tokens.is_some_and(|tokens| tokens > 0)),
            ("prompt", Scenario::Chat, flags.prompt.is_some()),
            ("max-tokens", Scenario::Chat, flags.max_tokens.is_some()),
        ];
        let planned = |scenario| {
            let mut cells = models.iter().flat_map(|model| &model.cells);
            cells.any(|cell| cell.work.scenario() == scenario)
        };
        let is_used =
            |flag, scenario| planned(scenario) || flag == "max-tokens" && planned(Scenario::Stop);
        match sized.into_iter().find(|(flag, scenario, given)| *given && !is_used(*flag, *scenario))
        {
            Some((flag, scenario, _)) => Err(PlanError::Unused { flag, scenario }),
            None => Ok(()),
        }
    }
}

fn is_manifest(argument: &str) -> bool {
    Path::new(argument).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
}

fn is_called(entry: &Entry, name: &str) -> bool {
    entry.source.label().to_lowercase().contains(&name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Cell, Conditions, Work};

    const MANIFEST: &str = r#"
        [defaults]
        repetitions = 2
        warmup = 0
        prompt_tokens = 8

        [[model]]
        id = "org/Small-4bit"
        tags = ["small", "qwen"]

        [[model]]
        id = "org/Large-8bit"
        tags = ["large", "qwen"]
        scenarios = ["chat"]
        max_tokens = 5
    "#;

    fn selection() -> (tempfile::TempDir, Selection) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("models.toml");
        std::fs::write(&path, MANIFEST).unwrap();
        let arguments = vec![path.to_str().unwrap().to_owned()];
        (folder, Selection { arguments, ..Selection::default() })
    }

    fn labels(plan: &Plan) -> Vec<&str> {
        plan.models.iter().map(|model| model.label.as_str()).collect()
    }

    #[test]
    fn flags_lie_over_a_model_and_a_model_over_the_defaults() {
        let (_folder, mut selection) = selection();
        selection.flags.repetitions = Some(9);
        let plan = selection.plan().unwrap();
        assert_eq!(
            plan.models[1].cells,
            [Cell {
                work: Work::Chat {
                    prompt: "Write one sentence about cats.".to_owned(),
                    max_tokens: 5,
                },
                conditions: Conditions::default(),
                warmup: 0,
                repetitions: 9,
            }]
        );
        assert_eq!(
            plan.models[0].cells[0].work,
            Work::Throughput { prompt_tokens: 8, generation_tokens: 128 }
        );
    }

    #[test]
    fn any_of_several_tags_will_do() {
        let (_folder, mut selection) = selection();
        selection.tags = vec!["large".to_owned()];
        assert_eq!(labels(&selection.plan().unwrap()), ["org/Large-8bit"]);
        selection.tags.push("small".to_owned());
        assert_eq!(labels(&selection.plan().unwrap()), ["org/Small-4bit", "org/Large-8bit"]);
    }

    #[test]
    fn a_part_of_a_name_in_either_case_selects_a_model() {
        let (_folder, mut selection) = selection();
        selection.only = vec!["small-".to_owned()];
        assert_eq!(labels(&selection.plan().unwrap()), ["org/Small-4bit"]);
    }

    #[test]
    fn a_scenario_filter_drops_models_that_have_no_cell_of_it() {
        let (_folder, mut selection) = selection();
        selection.scenarios = vec![Scenario::Throughput];
        assert_eq!(labels(&selection.plan().unwrap()), ["org/Small-4bit"]);
    }

    #[test]
    fn filters_that_know_nothing_name_what_there_is() {
        let (_folder, mut selection) = selection();
        selection.tags = vec!["small".to_owned(), "tiny".to_owned()];
        let error = selection.plan().unwrap_err();
        assert_eq!(error.to_string(), "no model has the tag `tiny`");
        assert_eq!(error.hint().unwrap(), "known tags: large, qwen, small");

        selection.tags.clear();
        selection.only = vec!["llama".to_owned()];
        let error = selection.plan().unwrap_err();
        assert_eq!(error.hint().unwrap(), "known models: org/Small-4bit, org/Large-8bit");
    }

    #[test]
    fn filters_that_leave_nothing_together_are_an_error() {
        let (_folder, mut selection) = selection();
        selection.tags = vec!["large".to_owned()];
        selection.only = vec!["small".to_owned()];
        assert!(matches!(selection.plan(), Err(PlanError::NothingLeft)));
    }

    #[test]
    fn a_flag_that_no_cell_reads_is_refused() {
        let (_folder, mut selection) = selection();
        selection.scenarios = vec![Scenario::Chat];
        selection.flags.prompt_tokens = Some(vec![4]);
        assert_eq!(
            selection.plan().unwrap_err().to_string(),
            "`--prompt-tokens` is of no use without the throughput scenario"
        );
    }

    #[test]
    fn a_sweep_without_end_is_refused() {
        let (_folder, mut selection) = selection();
        selection.flags.prompt_tokens = Some((1..=1_000).collect());
        selection.flags.depth = Some(vec![0, 1]);
        let error = selection.plan().unwrap_err();
        assert_eq!(error.to_string(), "`org/Small-4bit` would have more than 1000 cells");
    }

    #[test]
    fn models_need_no_manifest_and_need_not_exist() {
        let arguments = vec!["./nowhere/tiny.gguf".to_owned(), "org/name".to_owned()];
        let plan = Selection { arguments, ..Selection::default() }.plan().unwrap();
        assert_eq!(labels(&plan), ["tiny.gguf", "org/name"]);
        assert_eq!(plan.models[0].cells.len(), 2);
    }

    #[test]
    fn a_model_that_is_named_twice_is_refused() {
        let arguments = vec!["./a/tiny.gguf".to_owned(), "./b/tiny.gguf".to_owned()];
        let error = Selection { arguments, ..Selection::default() }.plan().unwrap_err();
        assert_eq!(error.to_string(), "two models are called `tiny.gguf`");
    }

    #[test]
    fn flags_out_of_range_are_named_as_they_are_typed() {
        let flags = Choices { top_p: Some(2.0), ..Choices::default() };
        let error = Selection { flags, ..Selection::default() }.plan().unwrap_err();
        assert_eq!(error.to_string(), "`--top-p` must be more than 0, at most 1");
    }
}
