//! What a line lacks or tells too much of, although it fits its schema.
//!
//! The schemas ask for five keys. Readers need more: mlx-knife's report breaks on a passed line without a
//! duration, takes absent memory for none, and looks for spellings that no schema declares. And a report
//! is published, so it must not tell who made it.

mod private;
mod rules;

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
};

use super::{
    lenient::Written,
    scan::{self, Facts, Place},
    validate::{self, LineError, LineKind},
};
use private::Leak;
pub(super) use private::Leaks;
pub use private::Names;

/// Something about a line that a reader will stumble over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which rule found it, such as `duration`.
    pub rule: &'static str,
    /// Where, as a JSON pointer; empty for the line or file itself.
    pub pointer: String,
    /// What is wrong, and what follows from it.
    pub message: String,
}

impl Finding {
    pub(super) fn new(rule: &'static str, pointer: &str, message: impl Into<String>) -> Self {
        Self { rule, pointer: pointer.to_owned(), message: message.into() }
    }
}

/// Looks at the lines of one file.
#[derive(Debug)]
pub struct Linter {
    names: Names,
    hasher: RandomState,
    /// Where each test was seen first. Only a hash of its name is kept: a file may have many.
    seen: HashMap<u64, u64>,
    records: u64,
    has_hardware: bool,
}

impl Linter {
    /// One for a file that must not tell `names`.
    pub fn new(names: Names) -> Self {
        Self {
            names,
            hasher: RandomState::new(),
            seen: HashMap::new(),
            records: 0,
            has_hardware: false,
        }
    }

    /// What the line `number` is, and what a reader will stumble over in it.
    ///
    /// # Errors
    ///
    /// See [`LineError`]; nothing is looked for in a line that does not fit.
    pub fn look(&mut self, number: u64, text: &str) -> Result<(LineKind, Vec<Finding>), LineError> {
        // Nearly every line fits, and to see that takes no tree.
        if let Some(line) = scan::line(text, &self.names) {
            let findings = match line.kind {
                LineKind::Monitor => Vec::new(),
                LineKind::Record(_) => self.record(number, &line.facts, Vec::new(), line.leaks),
            };
            return Ok((line.kind, findings));
        }
        self.judge(number, text)
    }

    /// The same by the validator, which has the last word.
    pub(super) fn judge(
        &mut self,
        number: u64,
        text: &str,
    ) -> Result<(LineKind, Vec<Finding>), LineError> {
        let (kind, line) = validate::examine(text)?;
        let findings = match kind {
            LineKind::Monitor => Vec::new(),
            LineKind::Record(_) => {
                let mut leaks = Vec::new();
                rules::leaks(&line.value, &self.names, &mut leaks);
                self.record(number, &Facts::of(&line.value), strange(&line), leaks)
            }
        };
        Ok((kind, findings))
    }

    fn record(
        &mut self,
        number: u64,
        line: &Facts<'_>,
        mut findings: Vec<Finding>,
        leaks: Vec<Finding>,
    ) -> Vec<Finding> {
        self.records += 1;
        for rule in rules::RULES {
            let found = (rule.look)(line);
            findings.extend(found.map(|(at, message)| Finding::new(rule.name, at, message)));
        }
        findings.extend(self.repeated(number, line));
        self.has_hardware |= line.has(Place::ProfileModel);
        findings.extend(leaks);
        findings
    }

    /// Whether the test of this line was on an earlier one of the same run.
    fn repeated(&mut self, number: u64, line: &Facts<'_>) -> Option<Finding> {
        let run = line.text(Place::Run);
        let test = line.text(Place::Test)?;
        let first = *self.seen.entry(self.hasher.hash_one((run, test))).or_insert(number);
        (first != number).then(|| {
            let message = format!(
                "the same test is on line {first}: mlx-knife's report gives the figures of one to both"
            );
            Finding::new("unique", "/test", message)
        })
    }

    /// What can be said of the whole file only once it was read.
    pub fn end(&self) -> Option<Finding> {
        (self.records > 0 && !self.has_hardware).then(|| {
            let message =
                "no line has `system.hardware_profile.model`: it is not told which machine this was";
            Finding::new("hardware", "", message)
        })
    }
}

/// Numbers that are none of JSON's.
fn strange(line: &Written) -> Vec<Finding> {
    let found = line.strange.iter().map(|(pointer, token)| {
        let message = format!("`{token}` is no number of JSON: only Python reads such a line");
        Finding::new("number", pointer, message)
    });
    found.collect()
}

/// The rule that `text` breaks by what it gives away, and what that is.
pub(super) fn leaking(text: &str, names: &Names) -> Option<(&'static str, &'static str)> {
    Some(match private::leak(text, names)? {
        Leak::Home => ("home", "this tells a user's folder"),
        Leak::Path => ("path", "this holds an absolute path"),
        Leak::User => ("name", "this holds the name of the user"),
        Leak::Host => ("name", "this holds the name of a machine"),
        Leak::Address => ("name", "this holds an e-mail address"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"{"schema_version": "0.2.2", "timestamp": "2026-01-30T10:00:00+00:00",
        "mlx_knife_version": "2.0.8", "test": "t::chat[x]", "outcome": "passed", "duration": 2.5,
        "model": {"id": "org/x", "size_gb": 1.5},
        "metadata": {"inference_modality": "text"},
        "system": {"hardware_profile": {"model": "Mac14,13", "model_identifier": "Mac14,13",
            "cores_physical": 12}},
        "system_health": {"ram_free_gb": 20.0, "swap_gb": 0.0, "swap_used_mb": 0,
            "zombies_detected": 0, "zombie_processes": 0, "quality_flags": ["clean"]}}"#;

    fn look(text: &str) -> Vec<(&'static str, String)> {
        let mut linter = Linter::new(Names::default());
        let (_, findings) = linter.look(1, text).unwrap();
        findings.into_iter().map(|finding| (finding.rule, finding.pointer)).collect()
    }

    /// The whole line with `from` replaced is found to break one rule in one place.
    #[track_caller]
    fn case(from: &str, to: &str, rule: &'static str, pointer: &str) {
        assert!(WHOLE.contains(from), "{from}");
        assert_eq!(look(&WHOLE.replace(from, to)), [(rule, pointer.to_owned())], "{from} -> {to}");
    }

    #[test]
    fn nothing_is_found_in_a_line_that_has_everything() {
        assert_eq!(look(WHOLE), []);
    }

    #[test]
    fn every_rule_finds_what_it_is_for() {
        case(r#", "duration": 2.5"#, "", "duration", "");
        case("2.5", "0.25", "short", "/duration");
        case(r#""id": "org/x", "#, "", "model-id", "/model");
        case(r#""ram_free_gb": 20.0, "#, "", "health", "/system_health");
        case(r#", "swap_used_mb": 0"#, "", "spelling", "/system_health/swap_gb");
        case(r#""swap_gb": 0.0, "#, "", "spelling", "/system_health/swap_used_mb");
        case(r#", "zombie_processes": 0"#, "", "spelling", "/system_health/zombies_detected");
        case(
            r#""model_identifier": "Mac14,13","#,
            "",
            "spelling",
            "/system/hardware_profile/model",
        );
        case("2026-01-30T10:00:00+00:00", "yesterday", "timestamp", "/timestamp");
        case("2026-01-30T10:00:00+00:00", "2026-01-30T10:00:00", "timestamp", "/timestamp");
        case(r#""inference_modality": "text""#, "", "modality", "/metadata");
        case("1.5", "Infinity", "number", "/model/size_gb");
        case("t::chat[x]", "t::pipe[x][vision_phase]", "phase", "/test");
        case("org/x", "/Users/ada/x", "home", "/model/id");
        case("org/x", "/Volumes/disk/x", "path", "/model/id");
        let timing = r#""test_start_ts": 20, "test_end_ts": 10, "model""#;
        case(r#""model""#.trim(), timing, "timing", "/test_end_ts");
    }

    #[test]
    fn a_skipped_model_without_a_name_is_told() {
        let text = WHOLE.replace("passed", "skipped");
        let text = text.replace(r#""model": {"id": "org/x", "size_gb": 1.5},"#, "");
        let reason = r#""skip_reason": "Skipped: Model needs 49.9 GB", "inference_modality""#;
        let text = text.replace(r#""inference_modality""#, reason);
        assert_eq!(look(&text), [("unnamed", String::new())]);
    }

    #[test]
    fn health_that_is_missing_altogether_is_one_finding() {
        let at = WHOLE.find(r#""system_health""#).unwrap();
        let text = format!("{}}}", WHOLE[..at].trim_end().trim_end_matches(','));
        assert_eq!(look(&text), [("health", String::new())]);
    }

    #[test]
    fn the_same_test_twice_is_told_once_for_each_run() {
        let mut linter = Linter::new(Names::default());
        let run = |run: &str| {
            WHOLE.replace(
                r#""metadata": {"#,
                &format!(r#""metadata": {{"mlxk_harness": {{"run": "{run}"}}, "#),
            )
        };
        assert_eq!(linter.look(1, &run("a")).unwrap().1, []);
        assert_eq!(linter.look(2, &run("b")).unwrap().1, []);
        let (_, findings) = linter.look(7, &run("a")).unwrap();
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].rule, "unique");
        assert!(findings[0].message.starts_with("the same test is on line 1:"), "{findings:?}");
    }

    #[test]
    fn a_file_that_tells_no_machine_is_told_of_at_its_end() {
        let mut linter = Linter::new(Names::default());
        assert_eq!(linter.end(), None);
        linter.look(1, &WHOLE.replace(r#""hardware_profile""#, r#""else""#)).unwrap();
        assert_eq!(linter.end().unwrap().rule, "hardware");
        linter.look(2, WHOLE).unwrap();
        assert_eq!(linter.end(), None);
    }

    #[test]
    fn what_is_private_is_not_repeated() {
        let names = Names { user: Some("byron".to_owned()), host: None };
        let mut linter = Linter::new(names);
        let text = WHOLE.replace("org/x", "byron/x");
        let (_, findings) = linter.look(1, &text).unwrap();
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!((findings[0].rule, findings[0].pointer.as_str()), ("name", "/model/id"));
        assert!(!findings[0].message.contains("byron"));
    }
}
