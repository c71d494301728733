//! What is told of the prompts of a cell, and of what was answered to them.

use std::collections::HashMap;

use crate::{
    measure::{engine::PromptKind, outcome::Outcome, trial::Trial},
    plan::{Cell, Passages, Prompts, SHIPPED, Settings, Work},
    report::provenance::PromptDetail,
};

/// What the prompts were, where the cell got so far.
pub(super) fn detail(cell: &Cell, settings: &Settings, outcome: &Outcome) -> Option<PromptDetail> {
    let made_of = outcome.findings.prompts?;
    let is_cut = made_of != PromptKind::RandomIds && matches!(cell.work, Work::Throughput { .. });
    let (text, text_sha256) = match &settings.prompts {
        Prompts::Shipped if is_cut => {
            (Some(SHIPPED.to_owned()), Some(Passages::shipped().sha256()))
        }
        Prompts::File { sha256 } if is_cut => (Some("file".to_owned()), Some(sha256.clone())),
        Prompts::Shipped | Prompts::File { .. } | Prompts::RandomIds => (None, None),
    };
    let mut hashes: Vec<_> = outcome.trials.iter().map(|trial| &trial.prompt_sha256).collect();
    hashes.sort_unstable();
    hashes.dedup();
    Some(PromptDetail { made_of, text, text_sha256, distinct: hashes.len() })
}

/// Whether each prompt was answered with the same tokens every time; unknown where none was repeated.
pub(super) fn agree(trials: &[Trial]) -> Option<bool> {
    let mut first: HashMap<&str, &str> = HashMap::new();
    let mut agree = None;
    for trial in trials {
        let ids = trial.ids_sha256.as_str();
        if let Some(before) = first.insert(&trial.prompt_sha256, ids) {
            agree = Some(agree.unwrap_or(true) && before == ids);
        }
    }
    agree
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trials(all: &[(&str, &str)]) -> Vec<Trial> {
        let trial = |(prompt, ids): &(&str, &str)| Trial {
            prompt_sha256: (*prompt).to_owned(),
            ids_sha256: (*ids).to_owned(),
            ..Trial::with_stamps(vec![1])
        };
        all.iter().map(trial).collect()
    }

    #[test]
    fn answers_agree_where_each_prompt_has_one_and_nothing_is_said_where_none_was_repeated() {
        assert_eq!(agree(&trials(&[("p", "a"), ("q", "b")])), None);
        assert_eq!(agree(&trials(&[("p", "a"), ("q", "b"), ("p", "a")])), Some(true));
        assert_eq!(agree(&trials(&[("p", "a"), ("q", "b"), ("q", "a"), ("p", "a")])), Some(false));
    }

    #[test]
    fn only_a_text_that_was_cut_is_named() {
        use std::time::SystemTime;

        use crate::{measure::outcome::Verdict, plan::Conditions};

        let throughput = Work::Throughput { prompt_tokens: 8, generation_tokens: 1 };
        let chat = Work::Chat { prompt: "Hi".to_owned(), max_tokens: 1 };
        let text = |work: &Work, prompts: &Prompts, made_of| {
            let conditions = Conditions::default();
            let cell = Cell { work: work.clone(), conditions, warmup: 0, repetitions: 2 };
            let settings = Settings { prompts: prompts.clone(), ..Settings::default() };
            let mut outcome = Outcome::unbegun(Verdict::Measured, SystemTime::UNIX_EPOCH);
            assert_eq!(detail(&cell, &settings, &outcome), None);
            outcome.findings.prompts = Some(made_of);
            outcome.trials = trials(&[("p", "a"), ("q", "a"), ("p", "a")]);
            let detail = detail(&cell, &settings, &outcome).unwrap();
            assert_eq!((detail.made_of, detail.distinct), (made_of, 2));
            detail.text
        };
        let file = Prompts::File { sha256: "00".to_owned() };
        assert_eq!(text(&throughput, &Prompts::Shipped, PromptKind::ChatTurn).unwrap(), SHIPPED);
        assert_eq!(text(&throughput, &file, PromptKind::PlainText).unwrap(), "file");
        assert_eq!(text(&throughput, &Prompts::Shipped, PromptKind::RandomIds), None);
        assert_eq!(text(&chat, &file, PromptKind::ChatTurn), None);
    }
}
