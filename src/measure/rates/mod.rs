//! Every derived figure, once: its id, its formula and whose definition it is.
//!
//! One trace gives 36, 50 or 51 tokens a second, depending on who divides what by what, so a published figure names its
//! id. In the formulas a request begins at 0; its prompt of `P` timed tokens is ready as ids at `r`; of its `n` tokens the
//! first, the second and the last are visible at `t1`, `t2` and `tn`, and the first one of the answer, where the model
//! reasons before, at `ta`; at `te` all is over. Times are in seconds.
//!
//! What was in the cache before the request is part of no figure: a prompt rate counts the tokens that were timed.
//!
//! A figure that a trial cannot give is `None`, never 0, infinite or NaN.

mod quantity;

use super::{
    statistics::{median, quantile},
    trial::Trial,
};
use quantity::Quantity;

/// A figure that is derived from stamps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Formula {
    /// A stable name: the quantity and the definition, or the tool whose own it is.
    pub id: &'static str,
    /// The unit of its values.
    pub unit: &'static str,
    /// The tools that define it so.
    pub whose: &'static str,
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    /// A quantity as it is.
    Time(Quantity),
    /// One quantity over another.
    Ratio(Quantity, Quantity),
    /// The gap between two tokens that this share of all gaps does not exceed.
    Gap(f64),
}

const S: &str = "s";
const RATE: &str = "tokens/s";

const fn time(id: &'static str, quantity: Quantity, whose: &'static str) -> Formula {
    Formula { id, unit: S, whose, shape: Shape::Time(quantity) }
}

const fn ratio(
    id: &'static str,
    unit: &'static str,
    of: [Quantity; 2],
    whose: &'static str,
) -> Formula {
    let [amount, over] = of;
    Formula { id, unit, whose, shape: Shape::Ratio(amount, over) }
}

const fn gap(id: &'static str, share: f64) -> Formula {
    Formula { id, unit: S, whose: "vLLM's ITL, AIPerf's ICL", shape: Shape::Gap(share) }
}

/// From the request to the first visible token; tokenization and chat template are part of it.
pub const TIME_TO_FIRST_TOKEN: Formula = time(
    "ttft.request_to_first",
    Quantity::ToFirst,
    "MLPerf Client, mistral.rs, vLLM, AIPerf, GuideLLM",
);

/// Tokens a second after the first.
pub const DECODE_RATE: Formula = ratio(
    "decode_tps.n_minus_1",
    RATE,
    [Quantity::LaterTokens, Quantity::FirstToLast],
    "MLPerf Client, mistral.rs",
);

/// Prompt tokens a second until the first token is visible.
///
/// The first token's own step is part of the time, as its logits are those of the last prompt token.
pub const PROMPT_RATE: Formula = ratio(
    "prompt_tps.ready_to_first",
    RATE,
    [Quantity::PromptTokens, Quantity::ReadyToFirst],
    "this harness",
);

/// From the request until it was over: its device work had ended and its text was made.
pub const REQUEST_TIME: Formula = time("request_time.total", Quantity::ToEnd, "this harness");

/// All figures, the ones that a report shows first.
pub const FORMULAS: &[Formula] = &[
    TIME_TO_FIRST_TOKEN,
    DECODE_RATE,
    PROMPT_RATE,
    REQUEST_TIME,
    time("decode_time.first_to_last", Quantity::FirstToLast, "this harness"),
    time("e2e_latency.request_to_last", Quantity::ToLast, "vLLM's E2EL, AIPerf's request latency"),
    ratio(
        "output_tps.end_to_end",
        RATE,
        [Quantity::Tokens, Quantity::ToLast],
        "one over inference-perf's NTPOT",
    ),
    time(
        "ttft.request_to_answer",
        Quantity::ToAnswer,
        "AIPerf's TTFO, GuideLLM's time to first output token",
    ),
    gap("itl.p50", 0.5),
    gap("itl.p90", 0.9),
    gap("itl.p99", 0.99),
    gap("itl.max", 1.0),
    ratio(
        "mlx_lm_compat.prompt_tps",
        RATE,
        [Quantity::PromptTokens, Quantity::ReadyToFirst],
        "mlx-lm's prompt_tps",
    ),
    ratio(
        "mlx_lm_compat.generation_tps",
        RATE,
        [Quantity::Tokens, Quantity::FirstToLast],
        "mlx-lm's generation_tps: it counts the first token, which came before its clock starts",
    ),
    ratio(
        "llama_bench_pp",
        RATE,
        [Quantity::PromptTokens, Quantity::ReadyToFirst],
        "llama-bench's pp, which draws no token",
    ),
    ratio(
        "llama_bench_tg",
        RATE,
        [Quantity::LaterTokens, Quantity::FirstToLast],
        "llama-bench's tg, which draws tokens at random",
    ),
    ratio(
        "vllm_tpot",
        S,
        [Quantity::FirstToLast, Quantity::LaterTokens],
        "TPOT of vLLM and inference-perf, ITL of GuideLLM",
    ),
    ratio("guidellm_tpot", S, [Quantity::ToLast, Quantity::Tokens], "GuideLLM's TPOT"),
    ratio("aiperf_itl", S, [Quantity::FirstToLast, Quantity::LaterTokens], "AIPerf's ITL"),
    time(
        "localscore_ttft",
        Quantity::ReadyToSecond,
        "LocalScore's TTFT, which waits for one more step",
    ),
];

/// The formula that is called `id`.
pub fn formula(id: &str) -> Option<&'static Formula> {
    FORMULAS.iter().find(|formula| formula.id == id)
}

impl Formula {
    /// The definition, in the symbols of this module.
    pub fn definition(&self) -> String {
        match self.shape {
            Shape::Time(quantity) => bare(quantity).to_owned(),
            Shape::Ratio(amount, over) => format!("{} / {}", amount.symbol(), over.symbol()),
            Shape::Gap(1.0) => "the largest of all t(i+1) - t(i)".to_owned(),
            Shape::Gap(share) => format!("the {share} quantile of all t(i+1) - t(i)"),
        }
    }

    /// How the repetitions of a cell become one figure.
    pub fn repetitions(&self) -> &'static str {
        match self.shape {
            Shape::Time(_) | Shape::Ratio(..) => "median of the repetitions",
            Shape::Gap(_) => "over the gaps of all repetitions",
        }
    }

    /// Derives it from one trial.
    pub fn of(&self, trial: &Trial) -> Option<f64> {
        match self.shape {
            Shape::Time(quantity) => quantity.of(trial),
            Shape::Ratio(amount, over) => Some(amount.of(trial)? / over.of(trial)?),
            Shape::Gap(share) => quantile(&token_gaps(trial), share).filter(|gap| *gap > 0.0),
        }
    }

    /// The figure of a cell: the median over the trials that have it; of gaps, over those of all trials.
    pub fn over(&self, trials: &[Trial]) -> Option<f64> {
        match self.shape {
            Shape::Time(_) | Shape::Ratio(..) => {
                let values: Vec<f64> = trials.iter().filter_map(|trial| self.of(trial)).collect();
                median(&values)
            }
            Shape::Gap(share) => {
                let gaps: Vec<f64> = trials.iter().flat_map(token_gaps).collect();
                quantile(&gaps, share).filter(|gap| *gap > 0.0)
            }
        }
    }

    /// The definition with the numbers of `trial` in place of its symbols, where it gives the figure.
    pub fn with_numbers(&self, trial: &Trial) -> Option<String> {
        match self.shape {
            Shape::Time(quantity) => Some(quantity.of(trial)?.to_string()),
            Shape::Ratio(amount, over) => {
                Some(format!("{} / {}", amount.of(trial)?, over.of(trial)?))
            }
            Shape::Gap(_) => {
                let gaps = token_gaps(trial);
                Some(format!("{} gaps: {}", gaps.len(), self.of(trial)?))
            }
        }
    }
}

/// A difference that stands alone needs no brackets.
fn bare(quantity: Quantity) -> &'static str {
    quantity.symbol().trim_start_matches('(').trim_end_matches(')')
}

/// Seconds from the request to the first visible token: [`TIME_TO_FIRST_TOKEN`].
pub fn time_to_first_token(trial: &Trial) -> Option<f64> {
    TIME_TO_FIRST_TOKEN.of(trial)
}

/// Tokens after the first, over the seconds from the first to the last: [`DECODE_RATE`].
pub fn decode_rate(trial: &Trial) -> Option<f64> {
    DECODE_RATE.of(trial)
}

/// Prompt tokens over the seconds from the prompt's ids to the first visible token: [`PROMPT_RATE`].
pub fn prompt_rate(trial: &Trial) -> Option<f64> {
    PROMPT_RATE.of(trial)
}

/// Seconds between one visible token and the next, in order; none at all where the stamps go back.
pub fn token_gaps(trial: &Trial) -> Vec<f64> {
    let gap = |pair: &[u64]| match pair {
        [before, after] => Some(after.checked_sub(*before)? as f64 / MICROS),
        _ => None,
    };
    trial.visible_us.windows(2).map(gap).collect::<Option<_>>().unwrap_or_default()
}

const MICROS: f64 = 1e6;

#[cfg(test)]
mod tests;
