//! Stamps from inside mlx-lm's own loop give the figures that mlx-lm printed of the same requests.
//!
//! `xtask/python/stamps.py` recorded them on SmolLM2-135M-Instruct.

use mlxk_harness::measure::{
    rates::formula,
    trial::{Finish, Trial},
};
use serde::Deserialize;

/// A request, and what `mlx_lm.benchmark` or `mlx_lm.generate` printed of it.
#[derive(Deserialize)]
struct Row {
    program: String,
    printed: Printed,
    trial: Trial,
}

#[derive(Deserialize)]
struct Printed {
    prompt_tps: f64,
    generation_tps: f64,
}

fn rows() -> Vec<Row> {
    serde_json::from_str(include_str!("../fixtures/stamps/mlx_lm.json")).unwrap()
}

/// How far the figure `id` is from what was printed, as a share of that; none where the stamps do not give it.
fn distance(id: &str, trial: &Trial, printed: f64) -> Option<f64> {
    let value = formula(id).unwrap().of(trial)?;
    Some((value / printed - 1.0).abs())
}

#[test]
fn figures_named_for_mlx_lm_are_what_it_prints() {
    for Row { program, printed, trial } in rows() {
        let tokens = trial.visible_us.len();
        let prompt = distance("mlx_lm_compat.prompt_tps", &trial, printed.prompt_tps).unwrap();
        assert!(prompt < 0.01, "{program}: {prompt}");
        let rate = distance("mlx_lm_compat.generation_tps", &trial, printed.generation_tps);
        match rate {
            Some(rate) => assert!(rate < 0.01, "{program}, {tokens} tokens: {rate}"),
            None => assert_eq!(tokens, 1),
        }
    }
}

#[test]
fn a_rate_after_the_first_token_is_another_figure() {
    for Row { printed, trial, .. } in rows().iter().filter(|row| row.trial.visible_us.len() > 1) {
        let distance = distance("decode_tps.n_minus_1", trial, printed.generation_tps).unwrap();
        let expected = 1.0 / trial.visible_us.len() as f64;
        assert!((distance - expected).abs() < 0.001, "{distance} is not about {expected}");
    }
}

#[test]
fn the_requests_cover_short_answers_and_one_that_a_stop_token_ended() {
    let rows = rows();
    let lengths: Vec<_> = rows.iter().map(|row| row.trial.visible_us.len()).collect();
    assert_eq!(lengths, [32, 32, 32, 8, 2, 2, 1, 8]);
    assert!(matches!(rows[7].trial.finish, Finish::Stop { id: 2 }));
    // Of one token mlx-lm tells how fast it came after itself; the stamps tell nothing.
    assert!(rows[6].printed.generation_tps > 10_000.0);
    assert!(formula("mlx_lm_compat.generation_tps").unwrap().of(&rows[6].trial).is_none());
}
