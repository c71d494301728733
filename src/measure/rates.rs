//! Every derived figure, once: its formula, its id and whose definition it is.
//!
//! One trace gives 36, 50 or 51 tokens a second, depending on who divides what by what, so a published figure names its
//! id. In the formulas a request of `P` prompt tokens begins at 0, its prompt is ready at `r`, and of its `n` tokens the
//! first is visible at `t1` and the last at `tn`.
//!
//! A figure that a trial cannot give is `None`, never 0, infinite or NaN.

use super::trial::Trial;

/// A figure that is derived from the stamps of one trial.
#[derive(Clone, Copy, Debug)]
pub struct Formula {
    /// A stable name: the quantity and the definition, such as `decode_tps.n_minus_1`.
    pub id: &'static str,
    /// The unit of its values.
    pub unit: &'static str,
    /// The definition.
    pub formula: &'static str,
    /// The tools that define it so.
    pub whose: &'static str,
    /// Derives it from a trial.
    pub of: fn(&Trial) -> Option<f64>,
}

/// From the request to the first visible token.
pub const TIME_TO_FIRST_TOKEN: Formula = Formula {
    id: "ttft.request_to_first",
    unit: "s",
    formula: "t1",
    whose: "MLPerf Client, mistral.rs, AIPerf; LocalScore adds one more step",
    of: time_to_first_token,
};

/// Tokens a second after the first.
pub const DECODE_RATE: Formula = Formula {
    id: "decode_tps.n_minus_1",
    unit: "tokens/s",
    formula: "(n - 1) / (tn - t1)",
    whose: "MLPerf Client, mistral.rs; one over vLLM's TPOT and AIPerf's ITL",
    of: decode_rate,
};

/// Prompt tokens a second until the first token is visible.
pub const PROMPT_RATE: Formula = Formula {
    id: "prompt_tps.ready_to_first",
    unit: "tokens/s",
    formula: "P / (t1 - r)",
    whose: "mlx-lm's prompt_tps",
    of: prompt_rate,
};

/// All figures, the ones that a report shows first.
pub const FORMULAS: &[Formula] = &[
    TIME_TO_FIRST_TOKEN,
    DECODE_RATE,
    PROMPT_RATE,
    Formula {
        id: "decode_time.first_to_last",
        unit: "s",
        formula: "tn - t1",
        whose: "this harness; what decode_tps.n_minus_1 divides by",
        of: decode_seconds,
    },
    Formula {
        id: "request_time.total",
        unit: "s",
        formula: "the end of the request, its device work included",
        whose: "this harness",
        of: request_seconds,
    },
    Formula {
        id: "decode_tps.mlx_lm",
        unit: "tokens/s",
        formula: "n / (tn - t1)",
        whose: "mlx-lm's generation_tps: it counts the first token, which came before its clock starts",
        of: mlx_lm_decode_rate,
    },
    Formula {
        id: "output_tps.end_to_end",
        unit: "tokens/s",
        formula: "n / tn",
        whose: "one over GuideLLM's TPOT and inference-perf's NTPOT",
        of: output_rate,
    },
    Formula {
        id: "tpot.after_first",
        unit: "s",
        formula: "(tn - t1) / (n - 1)",
        whose: "vLLM's and inference-perf's TPOT, AIPerf's and GuideLLM's ITL",
        of: time_per_token,
    },
    Formula {
        id: "tpot.end_to_end",
        unit: "s",
        formula: "tn / n",
        whose: "GuideLLM's TPOT",
        of: time_per_token_end_to_end,
    },
];

/// Seconds from the request to the first visible token; tokenization and chat template are part of it.
pub fn time_to_first_token(trial: &Trial) -> Option<f64> {
    let first = *trial.visible_us.first()?;
    seconds(0, first)
}

/// Tokens after the first, over the seconds from the first to the last; absent for fewer than two tokens.
pub fn decode_rate(trial: &Trial) -> Option<f64> {
    ratio(steps(trial)?, decode_seconds(trial)?)
}

/// Prompt tokens over the seconds from the prompt's ids to the first visible token.
///
/// The first token's own step is part of the time, as its logits are those of the last prompt token.
pub fn prompt_rate(trial: &Trial) -> Option<f64> {
    let first = *trial.visible_us.first()?;
    let reading = seconds(trial.prompt_ready_us, first)?;
    ratio(f64::from(trial.prompt_tokens), reading)
}

/// Seconds from the first visible token to the last; absent for fewer than two tokens.
pub fn decode_seconds(trial: &Trial) -> Option<f64> {
    steps(trial)?;
    seconds(*trial.visible_us.first()?, *trial.visible_us.last()?)
}

/// Seconds from the request until it was over and its device work had ended.
pub fn request_seconds(trial: &Trial) -> Option<f64> {
    seconds(0, trial.ended_us)
}

/// All tokens over the seconds from the first to the last: one more token than [`decode_rate`] counts.
pub fn mlx_lm_decode_rate(trial: &Trial) -> Option<f64> {
    ratio(tokens(trial), decode_seconds(trial)?)
}

/// All tokens over the seconds from the request to the last.
pub fn output_rate(trial: &Trial) -> Option<f64> {
    ratio(tokens(trial), seconds(0, *trial.visible_us.last()?)?)
}

/// Seconds for each token after the first.
pub fn time_per_token(trial: &Trial) -> Option<f64> {
    ratio(decode_seconds(trial)?, steps(trial)?)
}

/// Seconds for each token, reading the prompt included.
pub fn time_per_token_end_to_end(trial: &Trial) -> Option<f64> {
    ratio(seconds(0, *trial.visible_us.last()?)?, tokens(trial))
}

/// Seconds between one visible token and the next, in order.
pub fn token_gaps(trial: &Trial) -> Vec<f64> {
    trial
        .visible_us
        .windows(2)
        .filter_map(|pair| match pair {
            [before, after] => Some(after.checked_sub(*before)? as f64 / MICROS),
            _ => None,
        })
        .collect()
}

const MICROS: f64 = 1e6;

/// Tokens generated.
fn tokens(trial: &Trial) -> f64 {
    trial.visible_us.len() as f64
}

/// Tokens generated after the first.
fn steps(trial: &Trial) -> Option<f64> {
    let after_first = trial.visible_us.len().checked_sub(1)?;
    (after_first > 0).then_some(after_first as f64)
}

/// The time between two stamps, where the clock saw any pass.
fn seconds(from_us: u64, to_us: u64) -> Option<f64> {
    let micros = to_us.checked_sub(from_us).filter(|micros| *micros > 0)?;
    Some(micros as f64 / MICROS)
}

/// A quotient of two quantities that were both measured.
fn ratio(amount: f64, over: f64) -> Option<f64> {
    (amount > 0.0 && over > 0.0).then(|| amount / over)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 64 tokens: the first after 500 ms, 20 ms of them before the prompt was ready; then one each 20 ms.
    fn trace() -> Trial {
        let mut trial = Trial::with_stamps((0..64).map(|token| 500_000 + token * 20_000).collect());
        trial.prompt_tokens = 240;
        trial.prompt_ready_us = 20_000;
        trial.ended_us = 1_780_000;
        trial
    }

    #[track_caller]
    fn case(id: &str, expected: f64) {
        let formula = FORMULAS.iter().find(|formula| formula.id == id);
        let found = formula.and_then(|formula| (formula.of)(&trace()));
        let found = found.expect("the trace gives every figure");
        assert!((found - expected).abs() < 1e-9, "{id}: {found} is not {expected}");
    }

    #[test]
    fn one_trace_gives_every_tool_its_own_figure() {
        case("ttft.request_to_first", 0.5);
        case("decode_tps.n_minus_1", 50.0); // 63 / 1.26
        case("prompt_tps.ready_to_first", 500.0); // 240 / 0.48
        case("decode_time.first_to_last", 1.26);
        case("request_time.total", 1.78);
        case("decode_tps.mlx_lm", 50.793_650_793_650_79); // 64 / 1.26
        case("output_tps.end_to_end", 36.363_636_363_636_36); // 64 / 1.76
        case("tpot.after_first", 0.02);
        case("tpot.end_to_end", 0.0275); // 1.76 / 64
    }

    #[test]
    fn ids_are_unique() {
        let mut ids: Vec<&str> = FORMULAS.iter().map(|formula| formula.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), FORMULAS.len());
    }

    #[test]
    fn a_trial_without_tokens_gives_no_figure_about_tokens() {
        let trial = Trial::with_stamps(vec![]);
        for formula in FORMULAS {
            assert_eq!((formula.of)(&trial), None, "{}", formula.id);
        }
    }

    #[test]
    fn one_token_has_no_decode_rate() {
        let trial = Trial::with_stamps(vec![500_000]);
        assert_eq!(time_to_first_token(&trial), Some(0.5));
        assert_eq!(decode_rate(&trial), None);
        assert_eq!(decode_seconds(&trial), None);
        assert_eq!(mlx_lm_decode_rate(&trial), None);
        assert_eq!(output_rate(&trial), Some(2.0));
    }

    #[test]
    fn tokens_at_the_same_microsecond_have_no_rate() {
        assert_eq!(decode_rate(&Trial::with_stamps(vec![9, 9, 9])), None);
    }

    #[test]
    fn stamps_that_go_back_give_no_figure() {
        let trial = Trial::with_stamps(vec![9, 4]);
        assert_eq!(decode_rate(&trial), None);
        assert!(token_gaps(&trial).is_empty());
    }

    #[test]
    fn an_empty_prompt_has_no_rate() {
        let mut trial = trace();
        trial.prompt_tokens = 0;
        assert_eq!(prompt_rate(&trial), None);
    }

    #[test]
    fn gaps_are_one_fewer_than_tokens() {
        let trial = Trial::with_stamps(vec![500_000, 520_000, 550_000]);
        assert_eq!(token_gaps(&trial), [0.02, 0.03]);
    }
}
