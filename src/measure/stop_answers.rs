//! What the scenario `stop` gave: an answer or two to each prompt, judged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::outcome::{Failure, Stage};
use crate::stops::{Examined, Misstep};

/// The kind of failure of a cell in which stop tokens misbehaved.
pub const MISBEHAVED: &str = "stop_tokens";

/// What became of one prompt. The prompts are the harness's own, so they may be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopAnswer {
    /// The prompt's name in its set.
    pub prompt: String,
    /// What the user said.
    pub prompt_text: String,
    /// How tokens were chosen: `greedy` or `seeded`.
    pub sampling: String,
    /// Tokens after which an answer was cut.
    pub max_tokens: u32,
    /// What came.
    #[serde(flatten)]
    pub examined: Examined,
}

/// The stop tokens and end markers that came under the model's own configuration, each once.
pub fn detected(answers: &[StopAnswer]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in answers.iter().flat_map(|answer| &answer.examined.own.detected) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// Whether a marker was in a text that a user sees; unknown without answers.
pub fn leaked(answers: &[StopAnswer]) -> Option<bool> {
    (!answers.is_empty()).then(|| answers.iter().any(|answer| answer.examined.own.leaked()))
}

/// The rule that helped in most answers, or `none`.
pub fn workaround(answers: &[StopAnswer]) -> &'static str {
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    for rule in answers.iter().filter_map(|answer| answer.examined.workaround()) {
        *counts.entry(rule.name()).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(name, count)| (*count, std::cmp::Reverse(*name)));
    most.map_or("none", |(name, _)| name)
}

/// The failure of a cell with these answers, if any of them misbehaved.
pub fn failure(answers: &[StopAnswer]) -> Option<Failure> {
    let bad: Vec<&StopAnswer> =
        answers.iter().filter(|answer| answer.examined.own.misbehaved()).collect();
    if bad.is_empty() {
        return None;
    }
    let mut found: Vec<(Misstep, Option<&str>)> = Vec::new();
    for finding in bad.iter().flat_map(|answer| &answer.examined.own.findings) {
        let what = (finding.what, finding.marker.as_deref());
        if finding.what.is_misbehaviour() && !found.iter().any(|known| known.0 == what.0) {
            found.push(what);
        }
    }
    let words = found.iter().map(|(what, marker)| {
        let marker = marker.map(|marker| format!(" (`{marker}`)"));
        format!("{}{}", what.words(), marker.unwrap_or_default())
    });
    let words: Vec<String> = words.collect();
    let message =
        format!("{} of {} answers misbehaved: {}", bad.len(), answers.len(), words.join(", "));
    Some(Failure { hint: hint(answers), ..Failure::new(Stage::Decode, MISBEHAVED, message) })
}

/// What a publisher can do.
fn hint(answers: &[StopAnswer]) -> Option<String> {
    let helping = |answer: &&StopAnswer| {
        answer.examined.workaround().map(crate::stops::Rule::name) == Some(workaround(answers))
    };
    let remedied = answers.iter().find(helping)?.examined.remedied.as_ref()?;
    let name = remedied.rule.name();
    Some(match (&remedied.generation_config_line, &remedied.gguf_key) {
        (Some(line), Some(key)) => format!(
            "`{name}` helps: write `{key}` into the GGUF file, or `{line}` in `generation_config.json` of a folder \
             converted from it"
        ),
        (Some(line), None) => format!("`{name}` helps: write `{line}` in `generation_config.json`"),
        (None, _) => format!("`{name}` helps, which no line of `generation_config.json` says"),
    })
}
