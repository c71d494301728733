//! What the rules ask a line for, each with its place.

use std::borrow::Cow;

use serde_json::Value;

/// A place in a line that some rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Place {
    SchemaVersion,
    Timestamp,
    Test,
    Outcome,
    Duration,
    TestStart,
    TestEnd,
    Model,
    ModelId,
    Health,
    RamFree,
    SwapGb,
    SwapUsedMb,
    ZombiesDetected,
    ZombieProcesses,
    ProfileModel,
    ProfileModelIdentifier,
    InferenceModality,
    SkipReason,
    Run,
    ElapsedS,
}

impl Place {
    /// All of them, each where its number says.
    pub(super) const ALL: [Self; 21] = [
        Self::SchemaVersion,
        Self::Timestamp,
        Self::Test,
        Self::Outcome,
        Self::Duration,
        Self::TestStart,
        Self::TestEnd,
        Self::Model,
        Self::ModelId,
        Self::Health,
        Self::RamFree,
        Self::SwapGb,
        Self::SwapUsedMb,
        Self::ZombiesDetected,
        Self::ZombieProcesses,
        Self::ProfileModel,
        Self::ProfileModelIdentifier,
        Self::InferenceModality,
        Self::SkipReason,
        Self::Run,
        Self::ElapsedS,
    ];

    /// It as a JSON pointer.
    pub(in crate::report) fn pointer(self) -> &'static str {
        match self {
            Self::SchemaVersion => "/schema_version",
            Self::Timestamp => "/timestamp",
            Self::Test => "/test",
            Self::Outcome => "/outcome",
            Self::Duration => "/duration",
            Self::TestStart => "/test_start_ts",
            Self::TestEnd => "/test_end_ts",
            Self::Model => "/model",
            Self::ModelId => "/model/id",
            Self::Health => "/system_health",
            Self::RamFree => "/system_health/ram_free_gb",
            Self::SwapGb => "/system_health/swap_gb",
            Self::SwapUsedMb => "/system_health/swap_used_mb",
            Self::ZombiesDetected => "/system_health/zombies_detected",
            Self::ZombieProcesses => "/system_health/zombie_processes",
            Self::ProfileModel => "/system/hardware_profile/model",
            Self::ProfileModelIdentifier => "/system/hardware_profile/model_identifier",
            Self::InferenceModality => "/metadata/inference_modality",
            Self::SkipReason => "/metadata/skip_reason",
            Self::Run => "/metadata/mlxk_harness/run",
            Self::ElapsedS => "/elapsed_s",
        }
    }
}

/// What stands in a place.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::report) enum Fact<'a> {
    Text(Cow<'a, str>),
    Number(f64),
    /// Anything else.
    Other,
}

/// What stands in each place of a line; where nothing does, there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::report) struct Facts<'a>([Option<Fact<'a>>; Place::ALL.len()]);

impl<'a> Facts<'a> {
    /// Those of a line that was read into a tree.
    pub(in crate::report) fn of(line: &'a Value) -> Self {
        let mut facts = Self::default();
        for place in Place::ALL {
            let fact = line.pointer(place.pointer()).map(|value| match value {
                Value::String(text) => Fact::Text(Cow::Borrowed(text)),
                Value::Number(number) => number.as_f64().map_or(Fact::Other, Fact::Number),
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Fact::Other,
            });
            if let Some(fact) = fact {
                facts.note(place, fact);
            }
        }
        facts
    }

    pub(super) fn note(&mut self, place: Place, fact: Fact<'a>) {
        if let Some(known) = self.0.get_mut(place as usize) {
            *known = Some(fact);
        }
    }

    fn get(&self, place: Place) -> Option<&Fact<'a>> {
        self.0.get(place as usize)?.as_ref()
    }

    /// Whether anything stands in `place`.
    pub(in crate::report) fn has(&self, place: Place) -> bool {
        self.get(place).is_some()
    }

    /// The text in `place`.
    pub(in crate::report) fn text(&self, place: Place) -> Option<&str> {
        match self.get(place)? {
            Fact::Text(text) => Some(text),
            Fact::Number(_) | Fact::Other => None,
        }
    }

    /// The number in `place`.
    pub(in crate::report) fn number(&self, place: Place) -> Option<f64> {
        match self.get(place)? {
            Fact::Number(number) => Some(*number),
            Fact::Text(_) | Fact::Other => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_stands_where_its_number_says() {
        for (at, place) in Place::ALL.into_iter().enumerate() {
            assert_eq!(place as usize, at, "{place:?}");
        }
    }
}
