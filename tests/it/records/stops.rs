//! Lines of the scenario `stop`, one that is clean and one that is not.

use std::convert::Infallible;

use mlxk_harness::{
    measure::{
        outcome::{Outcome, Verdict},
        scripted::Stream,
        stop_answers::{self, StopAnswer},
    },
    plan::{Cell, Conditions, STOP_PROMPTS, STOP_SET, Work, stop_samplings},
    stops::examine,
};
use serde_json::json;

use super::{
    as_json,
    outcomes::{answered, context},
    published,
};

/// A cell that asks the whole set with its own budgets.
pub(super) fn stop() -> Cell {
    Cell {
        work: Work::Stop { set: STOP_SET, max_tokens: 128 },
        conditions: Conditions::default(),
        warmup: 0,
        repetitions: 0,
    }
}

/// What becomes of a model that says the stream `name` to every prompt.
fn says(name: &str) -> Outcome {
    let stream = Stream::named(name).unwrap();
    let terms = stream.terms();
    let mut answers = Vec::new();
    for prompt in STOP_PROMPTS {
        for (sampling, _) in stop_samplings() {
            let mut answer =
                |rules: &_| Ok::<_, Infallible>(stream.answer(rules, prompt.max_tokens));
            answers.push(StopAnswer {
                prompt: prompt.name.to_owned(),
                prompt_text: prompt.text.to_owned(),
                sampling: sampling.to_owned(),
                max_tokens: prompt.max_tokens,
                examined: examine(&terms, prompt.may_be_empty, &mut answer).unwrap(),
            });
        }
    }
    let mut outcome = answered();
    outcome.trials.clear();
    outcome.loaded.as_mut().unwrap().model.stop_tokens = terms.in_force;
    outcome.verdict = stop_answers::failure(&answers).map_or(Verdict::Measured, Verdict::Failed);
    Outcome { answers, ..outcome }
}

pub(super) fn clean() -> Outcome {
    says("clean")
}

pub(super) fn misbehaving() -> Outcome {
    says("past")
}

#[test]
fn a_clean_line_says_what_came_and_has_no_figures() {
    let line = as_json(&published(&context(), &stop(), &clean()));
    assert_eq!(line["test"], "mlxk-harness::stop[mlx-community/Qwen3-0.6B-4bit-s1-g128]");
    assert_eq!((&line["outcome"], &line["duration"]), (&json!("passed"), &json!(2.5)));
    assert_eq!(
        line["stop_tokens"],
        json!({"configured": ["<|im_end|>"], "detected": ["<|im_end|>"], "workaround": "none", "leaked": false})
    );
    for figure in ["tokens_per_sec", "time_to_first_token_s", "completion_tokens"] {
        assert_eq!(line["performance"].get(figure), None, "{figure}");
    }
    let ours = &line["metadata"]["mlxk_harness"];
    assert_eq!((ours.get("failure"), ours.get("samples")), (None, None));
    let answers = ours["stop_answers"].as_array().unwrap();
    assert_eq!(answers.len(), 10);
    assert!(answers.iter().all(|answer| answer.get("remedied").is_none()));
}

#[test]
fn a_line_with_misbehaviour_shows_both_answers_and_what_to_write() {
    let line = as_json(&published(&context(), &stop(), &misbehaving()));
    assert_eq!(line["outcome"], "failed");
    assert_eq!(
        line["stop_tokens"],
        json!({"configured": ["<|endoftext|>"], "detected": ["<|im_end|>"], "workaround": "template-eos", "leaked": true})
    );
    let ours = &line["metadata"]["mlxk_harness"];
    assert_eq!(
        ours["failure"],
        json!({
            "stage": "decode", "kind": "stop_tokens",
            "message": "10 of 10 answers misbehaved: leaked (`<|im_end|>`), continued past the end (`<|im_end|>`)",
            "hint": "`template-eos` helps: write `\"eos_token_id\": [2, 3]` in `generation_config.json`",
        })
    );
    let [own, remedied] = ["own", "remedied"].map(|answer| ours["stop_answers"][9][answer].clone());
    assert_eq!(own["text"], "Cats sleep.<|im_end|>\nMore cats.");
    assert_eq!(
        (&remedied["run"]["text"], &remedied["generation_config_line"], remedied.get("gguf_key")),
        (&json!("Cats sleep."), &json!("\"eos_token_id\": [2, 3]"), None)
    );
}
