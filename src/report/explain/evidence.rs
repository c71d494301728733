//! What a line's figures follow from: its samples and its load, read back.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::Unexplained;
use crate::measure::{
    load::LoadPhase,
    trial::{Memory, Trial},
};

/// Our part of a line.
pub(super) const OURS: &str = "/metadata/mlxk_harness";

/// Figures that need more than samples, and what they need.
const NEEDS: [(&str, &str); 4] = [
    ("/performance/model_load_time_s", "/load"),
    ("/performance/stable_ram_gb", "/load"),
    ("/timeline/model_load_complete_ms", "/load"),
    ("/performance/cleanup_time_s", "/cleanup/released_us"),
];

/// What the figures of a line follow from.
#[derive(Clone, Debug)]
pub(super) struct Evidence<'a> {
    /// The line itself.
    pub(super) line: &'a Value,
    /// Whether every repetition was measured; only then figures are made of them.
    pub(super) is_measured: bool,
    /// The repetitions before, in order.
    pub(super) warmups: Vec<Trial>,
    /// The measured repetitions, in order.
    pub(super) trials: Vec<Trial>,
    /// The load, where the model was loaded.
    pub(super) load: Option<Load>,
    /// Microseconds that releasing the model took.
    pub(super) cleanup_us: Option<u64>,
}

/// A load, as far as figures are made of it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Load {
    /// Its parts.
    pub(super) phases: Vec<LoadPhase>,
    /// Memory right after.
    pub(super) memory: Memory,
}

impl<'a> Evidence<'a> {
    /// Reads `line` back.
    pub(super) fn read(line: &'a Value) -> Result<Self, Unexplained> {
        if !line.pointer(OURS).is_some_and(Value::is_object) {
            return Err(Unexplained::NotOurs);
        }
        let is_measured = line.get("outcome").and_then(Value::as_str) == Some("passed");
        let trials = trials(line, "samples")?;
        let scenario = line.pointer(&format!("{OURS}/cell/scenario")).and_then(Value::as_str);
        // Where models are asked where they stop, nothing is timed.
        if is_measured && trials.is_empty() && scenario != Some("stop") {
            return Err(lacks("samples", "there are none"));
        }
        for (figure, needed) in NEEDS {
            let is_missing = line.pointer(&format!("{OURS}{needed}")).is_none();
            if is_missing && line.pointer(figure).is_some() {
                let reason = format!("`{figure}` follows from it");
                return Err(lacks(needed.trim_start_matches('/'), &reason));
            }
        }
        Ok(Self {
            line,
            is_measured,
            warmups: self::trials(line, "warmups")?,
            trials,
            load: part(line, "load")?,
            cleanup_us: part(line, "cleanup/released_us")?,
        })
    }

    /// The repetitions that figures are made of.
    pub(super) fn counted(&self) -> &[Trial] {
        if self.is_measured { &self.trials } else { &[] }
    }

    /// What the samples say that no clock can have shown, a sentence each.
    pub(super) fn impossible(&self) -> Vec<String> {
        [("warmups", &self.warmups), ("samples", &self.trials)]
            .into_iter()
            .flat_map(|(name, trials)| {
                trials.iter().enumerate().filter_map(move |(index, trial)| {
                    Some(format!("`{OURS}/{name}/{index}`: {}", disorder(trial)?))
                })
            })
            .collect()
    }
}

fn lacks(what: &str, why: &str) -> Unexplained {
    Unexplained::Lacks { what: format!("{OURS}/{what}"), why: why.to_owned() }
}

fn trials(line: &Value, name: &str) -> Result<Vec<Trial>, Unexplained> {
    let items: Vec<Value> = part(line, name)?.unwrap_or_default();
    let read = |(index, item)| {
        serde_json::from_value(item)
            .map_err(|error| lacks(&format!("{name}/{index}"), &error.to_string()))
    };
    items.into_iter().enumerate().map(read).collect()
}

/// A part of ours, where it is there.
fn part<T: DeserializeOwned>(line: &Value, name: &str) -> Result<Option<T>, Unexplained> {
    let Some(value) = line.pointer(&format!("{OURS}/{name}")) else {
        return Ok(None);
    };
    match serde_json::from_value(value.clone()) {
        Ok(part) => Ok(Some(part)),
        Err(error) => Err(lacks(name, &error.to_string())),
    }
}

/// What of a trial's stamps is out of order.
fn disorder(trial: &Trial) -> Option<&'static str> {
    let Trial { submitted_us, visible_us, prompt_ready_us, ended_us, .. } = trial;
    let goes_back = |stamps: &[u64]| !stamps.is_sorted();
    let is_early = |(submitted, visible): (&u64, &u64)| submitted > visible;
    if submitted_us.len() != visible_us.len() {
        Some("not every token has both stamps")
    } else if goes_back(submitted_us) || goes_back(visible_us) {
        Some("stamps of tokens go back")
    } else if submitted_us.iter().zip(visible_us).any(is_early) {
        Some("a token was visible before it was submitted")
    } else if submitted_us.first().is_some_and(|first| first < prompt_ready_us) {
        Some("a token was submitted before the prompt was ready")
    } else if visible_us.last().is_some_and(|last| last > ended_us) {
        Some("a token was visible after the end")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(submitted_us: &[u64], visible_us: &[u64]) -> Trial {
        let submitted_us = submitted_us.to_vec();
        Trial { submitted_us, prompt_ready_us: 10, ..Trial::with_stamps(visible_us.to_vec()) }
    }

    #[test]
    fn stamps_that_cannot_be_are_named() {
        let case = |submitted: &[u64], visible: &[u64], expected: Option<&str>| {
            assert_eq!(disorder(&trial(submitted, visible)), expected);
        };
        case(&[10, 20], &[20, 30], None);
        case(&[10], &[20, 30], Some("not every token has both stamps"));
        case(&[10, 20, 21], &[20, 31, 30], Some("stamps of tokens go back"));
        case(&[10, 31], &[20, 30], Some("a token was visible before it was submitted"));
        case(&[9, 20], &[20, 30], Some("a token was submitted before the prompt was ready"));
        let late = Trial { ended_us: 29, ..trial(&[10, 20], &[20, 30]) };
        assert_eq!(disorder(&late), Some("a token was visible after the end"));
    }
}
