//! The figures of traces whose values are known from arithmetic by hand.

use proptest::prelude::*;

use super::*;

/// 64 tokens: the first after 500 ms, 20 ms of them before the prompt was ready; then one each 20 ms.
fn trace() -> Trial {
    let mut trial = Trial::with_stamps((0..64).map(|token| 500_000 + token * 20_000).collect());
    trial.prompt_tokens = 240;
    trial.prompt_ready_us = 20_000;
    trial.ended_us = 1_780_000;
    trial
}

fn value(id: &str, trial: &Trial) -> Option<f64> {
    formula(id).unwrap_or_else(|| panic!("{id} is a figure")).of(trial)
}

#[track_caller]
fn case(id: &str, expected: f64) {
    let found = value(id, &trace()).expect("the trace gives every figure");
    assert!((found - expected).abs() < 1e-12, "{id}: {found} is not {expected}");
}

#[test]
fn one_trace_gives_every_tool_its_own_figure() {
    case("ttft.request_to_first", 0.5);
    case("decode_tps.n_minus_1", 50.0); // 63 / 1.26
    case("prompt_tps.ready_to_first", 500.0); // 240 / 0.48
    case("request_time.total", 1.78);
    case("decode_time.first_to_last", 1.26);
    case("e2e_latency.request_to_last", 1.76);
    case("output_tps.end_to_end", 36.363_636_363_636_36); // 64 / 1.76
    for id in ["itl.p50", "itl.p90", "itl.p99", "itl.max"] {
        case(id, 0.02);
    }
    case("mlx_lm_compat.prompt_tps", 500.0);
    case("mlx_lm_compat.generation_tps", 50.793_650_793_650_79); // 64 / 1.26
    case("llama_bench_pp", 500.0);
    case("llama_bench_tg", 50.0);
    case("vllm_tpot", 0.02);
    case("guidellm_tpot", 0.0275); // 1.76 / 64
    case("aiperf_itl", 0.02);
    case("localscore_ttft", 0.5); // 0.48 and one step of 0.02
}

#[test]
fn ids_are_unique() {
    let mut ids: Vec<&str> = FORMULAS.iter().map(|formula| formula.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), FORMULAS.len());
}

#[test]
fn a_definition_reads_as_arithmetic_with_symbols_or_with_numbers() {
    let case = |id: &str, symbols: &str, numbers: &str| {
        let formula = formula(id).unwrap();
        assert_eq!(formula.definition(), symbols);
        assert_eq!(formula.with_numbers(&trace()).unwrap(), numbers);
    };
    case("decode_tps.n_minus_1", "(n - 1) / (tn - t1)", "63 / 1.26");
    case("guidellm_tpot", "tn / n", "1.76 / 64");
    case("localscore_ttft", "t2 - r", "0.5");
    case("itl.p99", "the 0.99 quantile of all t(i+1) - t(i)", "63 gaps: 0.02");
    case("itl.max", "the largest of all t(i+1) - t(i)", "63 gaps: 0.02");
}

/// The ids of all figures that a trial of `visible_us` has.
fn defined(visible_us: &[u64]) -> Vec<&'static str> {
    let trial = Trial::with_stamps(visible_us.to_vec());
    let has = |formula: &&Formula| formula.of(&trial).is_some();
    FORMULAS.iter().filter(has).map(|formula| formula.id).collect()
}

#[test]
fn no_token_gives_no_figure_about_tokens() {
    assert_eq!(defined(&[]), [""; 0]);
}

#[test]
fn one_token_gives_what_needs_one() {
    assert_eq!(
        defined(&[500_000]),
        [
            "ttft.request_to_first",
            "prompt_tps.ready_to_first",
            "request_time.total",
            "e2e_latency.request_to_last",
            "output_tps.end_to_end",
            "mlx_lm_compat.prompt_tps",
            "llama_bench_pp",
            "guidellm_tpot",
        ]
    );
}

#[test]
fn two_tokens_give_all_but_an_answer_that_nobody_marked() {
    let missing: Vec<_> = FORMULAS
        .iter()
        .map(|formula| formula.id)
        .filter(|id| !defined(&[500_000, 520_000]).contains(id))
        .collect();
    assert_eq!(missing, ["ttft.request_to_answer"]);
    // At n = 2, mlx-lm's rate is twice that of the gap.
    let trial = Trial::with_stamps(vec![500_000, 520_000]);
    assert_eq!(value("decode_tps.n_minus_1", &trial), Some(50.0));
    assert_eq!(value("mlx_lm_compat.generation_tps", &trial), Some(100.0));
}

#[test]
fn a_model_that_reasons_has_a_first_token_of_its_answer() {
    let id = "ttft.request_to_answer";
    let with = |answer_from| Trial { answer_from, ..trace() };
    assert_eq!(value(id, &with(Some(10))), Some(0.7));
    assert_eq!(value(id, &with(Some(0))), Some(0.5));
    assert_eq!(value(id, &with(None)), None, "nobody knows where it begins");
    assert_eq!(value(id, &with(Some(64))), None, "the answer never came");
}

#[test]
fn tokens_at_the_same_microsecond_have_no_rate_and_no_gap() {
    let trial = Trial::with_stamps(vec![9, 9, 9]);
    for id in ["decode_tps.n_minus_1", "itl.p50", "itl.max", "vllm_tpot"] {
        assert_eq!(value(id, &trial), None, "{id}");
    }
}

#[test]
fn stamps_that_go_back_give_no_figure() {
    let trial = Trial::with_stamps(vec![9, 4]);
    assert_eq!(decode_rate(&trial), None);
    assert!(token_gaps(&trial).is_empty());
    assert!(token_gaps(&Trial::with_stamps(vec![4, 9, 8, 20])).is_empty());
}

#[test]
fn an_empty_prompt_has_no_rate() {
    assert_eq!(prompt_rate(&Trial { prompt_tokens: 0, ..trace() }), None);
}

#[test]
fn gaps_are_one_fewer_than_tokens() {
    let trial = Trial::with_stamps(vec![500_000, 520_000, 550_000]);
    assert_eq!(token_gaps(&trial), [0.02, 0.03]);
}

#[test]
fn a_cell_has_the_median_of_its_repetitions_and_the_quantiles_of_all_gaps() {
    // Gaps of 10 ms, 10 ms, and of 40 ms, 20 ms; then a repetition that is too short for any.
    let trials = [
        Trial::with_stamps(vec![100_000, 110_000, 120_000]),
        Trial::with_stamps(vec![300_000, 340_000, 360_000]),
        Trial::with_stamps(vec![250_000]),
    ];
    let over = |id: &str| formula(id).and_then(|formula| formula.over(&trials)).unwrap();
    let close = |id: &str, expected: f64| assert!((over(id) - expected).abs() < 1e-12, "{id}");
    close("ttft.request_to_first", 0.25);
    close("decode_tps.n_minus_1", f64::midpoint(100.0, 2.0 / 0.06));
    // numpy.quantile([10, 10, 40, 20], [.5, .9, 1]) is [15, 34, 40].
    close("itl.p50", 0.015);
    close("itl.p90", 0.034);
    close("itl.max", 0.04);
    assert_eq!(DECODE_RATE.over(&[]), None);
}

proptest! {
    #[test]
    fn a_figure_is_absent_or_a_number_above_0(
        visible_us in prop::collection::vec(0..2_000_000_u64, 0..6),
        prompt_tokens in 0..3_u32,
        prompt_ready_us in 0..2_000_000_u64,
        answer_from in prop::option::of(0..6_u32),
    ) {
        let trial = Trial {
            prompt_tokens, prompt_ready_us, answer_from, ..Trial::with_stamps(visible_us)
        };
        for formula in FORMULAS {
            let value = formula.of(&trial);
            prop_assert!(value.is_none_or(|value| value.is_finite() && value > 0.0), "{}", formula.id);
            prop_assert_eq!(value.is_some(), formula.with_numbers(&trial).is_some());
            prop_assert_eq!(value, formula.over(std::slice::from_ref(&trial)));
        }
    }
}
