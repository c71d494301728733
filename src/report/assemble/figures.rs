//! The sections `performance`, `stop_tokens` and `timeline`: what the repetitions come to.

use super::{gibibytes, mebibytes, seconds};
use crate::{
    measure::{
        message::StopToken,
        outcome::{Outcome, Verdict},
        rates,
        statistics::median,
        trial::{Finish, Trial},
    },
    plan::{Cell, Scenario},
    report::sections::{Performance, StopTokens, Timeline},
};

pub(super) fn performance(outcome: &Outcome) -> Option<Performance> {
    let loaded = outcome.loaded.as_ref();
    let trials = counted(outcome);
    let peaks = trials.iter().filter_map(|trial| trial.memory.allocator_peak());
    let peak = peaks.max();
    let performance = Performance {
        tokens_per_sec: over(trials, rates::decode_rate),
        ram_peak_mb: peak.map(mebibytes),
        duration_s: over(trials, |trial| Some(seconds(trial.ended_us))),
        prompt_tokens: count(trials, |trial| f64::from(trial.prompt_tokens)),
        completion_tokens: count(trials, |trial| trial.visible_us.len() as f64),
        model_load_time_s: loaded.map(|loaded| seconds(loaded.load_us())),
        time_to_first_token_s: over(trials, rates::time_to_first_token),
        cleanup_time_s: outcome.cleanup_us.map(seconds),
        peak_ram_gb: peak.map(gibibytes),
        stable_ram_gb: loaded.and_then(|loaded| loaded.memory.active_bytes).map(gibibytes),
    };
    (performance != Performance::default()).then_some(performance)
}

/// The repetitions that figures are made of: none where the cell did not end well.
pub(super) fn counted(outcome: &Outcome) -> &[Trial] {
    match outcome.verdict {
        Verdict::Measured => &outcome.trials,
        Verdict::Skipped(_) | Verdict::Failed(_) => &[],
    }
}

/// The median of a figure over the repetitions that have it.
pub(super) fn over(trials: &[Trial], figure: impl Fn(&Trial) -> Option<f64>) -> Option<f64> {
    let values: Vec<_> = trials.iter().filter_map(figure).collect();
    median(&values).filter(|value| value.is_finite())
}

/// The median of a count; between two counts, the larger.
fn count(trials: &[Trial], figure: impl Fn(&Trial) -> f64) -> Option<u64> {
    let middle = over(trials, |trial| Some(figure(trial)))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "lies between two `u32`s or lengths"
    )]
    Some(middle.ceil() as u64)
}

/// What stopped the answers of a chat; a throughput cell runs past stop tokens.
pub(super) fn stop_tokens(cell: &Cell, outcome: &Outcome) -> Option<StopTokens> {
    let is_chat = cell.work.scenario() == Scenario::Chat;
    let is_skipped = matches!(outcome.verdict, Verdict::Skipped(_));
    let loaded = outcome.loaded.as_ref().filter(|_| is_chat && !is_skipped)?;
    let configured = &loaded.model.stop_tokens;
    let trials = outcome.trials.as_slice();
    let has_answers = !trials.is_empty();
    Some(StopTokens {
        configured: Some(configured.iter().map(name).collect()),
        detected: has_answers.then(|| detected(configured, trials)),
        workaround: Some("none".to_owned()),
        leaked: leaked(configured, trials),
    })
}

/// A stop token's text, or its id where it has none.
fn name(token: &StopToken) -> String {
    match &token.text {
        Some(text) => text.clone(),
        None => format!("<id:{}>", token.id),
    }
}

fn detected(configured: &[StopToken], trials: &[Trial]) -> Vec<String> {
    let mut names = Vec::new();
    for trial in trials {
        let Finish::Stop { id } = trial.finish else {
            continue;
        };
        let known = configured.iter().find(|token| token.id == id);
        let name = known.map_or_else(|| format!("<id:{id}>"), name);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The markers that mlx-knife looks for in every answer, whatever the model.
const MARKERS: [&str; 6] =
    ["<|end|>", "<|eot_id|>", "<|im_end|>", "<|endoftext|>", "</s>", "<|end_of_text|>"];

/// Whether an answer shows a stop token, of this model or of another; unknown without answers.
fn leaked(configured: &[StopToken], trials: &[Trial]) -> Option<bool> {
    let texts: Vec<&str> = trials.iter().filter_map(|trial| trial.text.as_deref()).collect();
    // A stop token that reads as a line break or as nothing would be seen everywhere.
    let own = configured.iter().filter_map(|token| token.text.as_deref());
    let own = own.filter(|text| !text.trim().is_empty());
    let markers: Vec<&str> = own.chain(MARKERS).collect();
    let shows = |text: &&str| markers.iter().any(|marker| text.contains(marker));
    (!texts.is_empty()).then(|| texts.iter().any(shows))
}

/// What someone waits for who loads the model, asks once and lets it go: the stages end to end, each
/// of its median length, from the begin of the load.
pub(super) fn timeline(outcome: &Outcome) -> Option<Timeline> {
    let loaded = outcome.loaded.as_ref()?;
    let load = seconds(loaded.load_us()) * 1e3;
    let of_load = Timeline {
        model_load_start_ms: Some(0.0),
        model_load_complete_ms: Some(load),
        ..Timeline::default()
    };
    if outcome.verdict != Verdict::Measured {
        return Some(of_load);
    }
    let trials = counted(outcome);
    let after_load = |length: f64| load + length * 1e3;
    let end = over(trials, |trial| Some(seconds(trial.ended_us))).map(after_load);
    let cleanup = outcome.cleanup_us.map(|length| seconds(length) * 1e3);
    Some(Timeline {
        request_sent_ms: end.map(|_| load),
        first_token_ms: over(trials, rates::time_to_first_token).map(after_load),
        stream_complete_ms: end,
        shutdown_request_ms: end.filter(|_| cleanup.is_some()),
        cleanup_complete_ms: end.zip(cleanup).map(|(end, cleanup)| end + cleanup),
        ..of_load
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::trial::Memory;

    fn trial(visible_us: &[u64], finish: Finish, text: Option<&str>) -> Trial {
        Trial {
            prompt_tokens: 10,
            prompt_sha256: String::new(),
            ids_sha256: String::new(),
            prompt_ready_us: 0,
            submitted_us: visible_us.to_vec(),
            visible_us: visible_us.to_vec(),
            ended_us: visible_us.last().copied().unwrap_or_default(),
            finish,
            memory: Memory::default(),
            text: text.map(str::to_owned),
            order: None,
        }
    }

    fn answer(text: &str) -> Trial {
        trial(&[5], Finish::Length, Some(text))
    }

    fn token(id: u32, text: Option<&str>) -> StopToken {
        StopToken { id, text: text.map(str::to_owned) }
    }

    #[test]
    fn a_figure_that_no_repetition_has_is_absent() {
        let one_token = [trial(&[5], Finish::Length, None)];
        assert_eq!(over(&one_token, rates::decode_rate), None);
        assert_eq!(over(&[], rates::time_to_first_token), None);
    }

    #[test]
    fn a_count_is_never_between_two() {
        let trials =
            [trial(&[1, 2, 3], Finish::Length, None), trial(&[1, 2], Finish::Length, None)];
        let tokens = |trial: &Trial| trial.visible_us.len() as f64;
        assert_eq!(count(&trials, tokens), Some(3));
    }

    #[test]
    fn stop_tokens_that_came_are_named_once() {
        let configured = [token(2, Some("</s>")), token(7, None)];
        let trials = [2, 7, 2, 9].map(|id| trial(&[5], Finish::Stop { id }, None));
        assert_eq!(detected(&configured, &trials), ["</s>", "<id:7>", "<id:9>"]);
    }

    #[test]
    fn an_answer_that_shows_any_marker_has_leaked() {
        let configured = [token(1, Some("<end_of_turn>"))];
        assert_eq!(leaked(&configured, &[answer("Hi<end_of_turn>")]), Some(true));
        assert_eq!(leaked(&configured, &[answer("Hi"), answer("Hi<|im_end|>")]), Some(true));
        assert_eq!(leaked(&configured, &[answer("Hi")]), Some(false));
    }

    #[test]
    fn whether_a_token_leaked_is_unknown_without_an_answer() {
        let silent = [trial(&[5], Finish::Length, None)];
        assert_eq!(leaked(&[token(1, Some("</s>"))], &silent), None);
    }

    #[test]
    fn a_stop_token_that_reads_as_nothing_is_no_marker() {
        let configured = [token(1, Some("")), token(2, Some("\n"))];
        assert_eq!(leaked(&configured, &[answer("two\nlines")]), Some(false));
    }
}
