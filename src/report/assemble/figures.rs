//! The sections `performance` and `timeline`: what the repetitions come to.

use super::{gibibytes, mebibytes, seconds};
use crate::{
    measure::{
        outcome::{Outcome, Verdict},
        rates,
        statistics::median,
        trial::Trial,
    },
    report::sections::{Performance, Timeline},
};

pub(super) fn performance(outcome: &Outcome) -> Option<Performance> {
    let loaded = outcome.loaded.as_ref();
    let trials = counted(outcome);
    let peaks = trials.iter().filter_map(|trial| trial.memory.allocator_peak());
    let peak = peaks.max();
    let performance = Performance {
        tokens_per_sec: rates::DECODE_RATE.over(trials),
        ram_peak_mb: peak.map(mebibytes),
        duration_s: rates::REQUEST_TIME.over(trials),
        prompt_tokens: count(trials, |trial| f64::from(trial.prompt_tokens)),
        completion_tokens: count(trials, |trial| trial.visible_us.len() as f64),
        model_load_time_s: loaded.map(|loaded| seconds(loaded.load_us())),
        time_to_first_token_s: rates::TIME_TO_FIRST_TOKEN.over(trials),
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
    let end = rates::REQUEST_TIME.over(trials).map(after_load);
    let cleanup = outcome.cleanup_us.map(|length| seconds(length) * 1e3);
    Some(Timeline {
        request_sent_ms: end.map(|_| load),
        first_token_ms: rates::TIME_TO_FIRST_TOKEN.over(trials).map(after_load),
        stream_complete_ms: end,
        shutdown_request_ms: end.filter(|_| cleanup.is_some()),
        cleanup_complete_ms: end.zip(cleanup).map(|(end, cleanup)| end + cleanup),
        ..of_load
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::trial::{Finish, Memory};

    fn trial(visible_us: &[u64], finish: Finish, text: Option<&str>) -> Trial {
        Trial {
            prompt: 0,
            prompt_tokens: 10,
            prompt_sha256: String::new(),
            ids_sha256: String::new(),
            prompt_ready_us: 0,
            submitted_us: visible_us.to_vec(),
            visible_us: visible_us.to_vec(),
            answer_from: None,
            ended_us: visible_us.last().copied().unwrap_or_default(),
            finish,
            memory: Memory::default(),
            text: text.map(str::to_owned),
            order: None,
            canary: None,
        }
    }

    #[test]
    fn a_figure_that_no_repetition_has_is_absent() {
        let one_token = [trial(&[5], Finish::Length, None)];
        assert_eq!(rates::DECODE_RATE.over(&one_token), None);
        assert_eq!(rates::TIME_TO_FIRST_TOKEN.over(&[]), None);
    }

    #[test]
    fn a_count_is_never_between_two() {
        let trials =
            [trial(&[1, 2, 3], Finish::Length, None), trial(&[1, 2], Finish::Length, None)];
        let tokens = |trial: &Trial| trial.visible_us.len() as f64;
        assert_eq!(count(&trials, tokens), Some(3));
    }
}
