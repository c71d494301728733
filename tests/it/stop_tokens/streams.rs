//! Every scripted stream in a run of its own: the section to the letter, and the same section on a row that breaks off.

use serde_json::{Value, json};

use super::runs::{own, run};

/// What is to be said of a stream.
#[derive(Clone, Copy)]
struct Row {
    stream: &'static str,
    configured: &'static [&'static str],
    detected: &'static [&'static str],
    workaround: &'static str,
    leaked: bool,
    /// How many of ten answers misbehaved, and how; none where the row passes.
    failure: Option<&'static str>,
    /// The value of `eos_token_id` that the hint asks for.
    line: Option<&'static str>,
}

impl Row {
    fn section(&self) -> Value {
        json!({
            "configured": self.configured, "detected": self.detected, "workaround": self.workaround,
            "leaked": self.leaked,
        })
    }
}

const fn row(
    stream: &'static str,
    configured: &'static [&'static str],
    detected: &'static [&'static str],
    workaround: &'static str,
    leaked: bool,
) -> Row {
    Row { stream, configured, detected, workaround, leaked, failure: None, line: None }
}

const fn bad(row: Row, failure: &'static str, line: Option<&'static str>) -> Row {
    Row { failure: Some(failure), line, ..row }
}

const IM_END: &[&str] = &["<|im_end|>"];
const TEXT_END: &[&str] = &["<|endoftext|>"];
const RETURN: &[&str] = &["<|return|>"];

/// By hand, from what each stream says.
#[rustfmt::skip]
const ROWS: [Row; 16] = [
    row("clean", IM_END, IM_END, "none", false),
    bad(row("past", TEXT_END, IM_END, "template-eos", true),
        "10 of 10 answers misbehaved: leaked (`<|im_end|>`), continued past the end (`<|im_end|>`)",
        Some("[2, 3]")),
    bad(row("turn", TEXT_END, IM_END, "template-eos", true),
        "10 of 10 answers misbehaved: leaked (`<|im_end|>`), self-conversation (`<|im_start|>user`), \
         continued past the end (`<|im_end|>`)", Some("[2, 3]")),
    bad(row("user", IM_END, IM_END, "none", false),
        "10 of 10 answers misbehaved: self-conversation (`User:`)", None),
    bad(row("spelled", IM_END, IM_END, "none", true), "10 of 10 answers misbehaved: leaked (`<|im_end|>`)", None),
    bad(row("other-spelling", IM_END, &["<|im_end|>", "<|end_of_sentence|>"], "none", true),
        "10 of 10 answers misbehaved: leaked (`<|end_of_sentence|>`), continued past the end (`<|end_of_sentence|>`)",
        None),
    bad(row("endless", &[], IM_END, "template-eos", true),
        "10 of 10 answers misbehaved: leaked (`<|im_end|>`), continued past the end (`<|im_end|>`), never stopped",
        Some("[2]")),
    // To one of the five prompts nothing is a good answer.
    bad(row("silent", IM_END, IM_END, "none", false),
        "8 of 10 answers misbehaved: stopped at once (`<|im_end|>`)", None),
    row("loop", IM_END, &[], "none", false),
    bad(row("two-ends", TEXT_END, &["<|end|>", "<|endoftext|>"], "phi-3-dual-eos", true),
        "10 of 10 answers misbehaved: leaked (`<|end|>`), self-conversation (`<|assistant|>`), \
         continued past the end (`<|end|>`)", Some("[32000, 32007]")),
    bad(row("gemma", &["<eos>"], &["<end_of_turn>"], "gemma-end-of-turn", true),
        "10 of 10 answers misbehaved: leaked (`<end_of_turn>`), continued past the end (`<end_of_turn>`)",
        Some("[1, 106]")),
    row("thinking", IM_END, IM_END, "none", false),
    bad(row("thinking-ends", &["<|im_end|>", "</think>"], &["</think>"], "reasoning-end-kept", false),
        "10 of 10 answers misbehaved: stopped while thinking (`</think>`)", Some("[2]")),
    row("harmony", RETURN, &["<|end|>", "<|return|>"], "none", false),
    bad(row("harmony-past", RETURN, &["<|end|>"], "gpt-oss-end", true),
        "10 of 10 answers misbehaved: leaked (`<|end|>`), self-conversation (`<|start|>assistant`), \
         continued past the end (`<|end|>`)", None),
    bad(row("harmony-ends", &["<|return|>", "<|end|>"], &["<|end|>"], "reasoning-end-kept", false),
        "10 of 10 answers misbehaved: stopped while thinking (`<|end|>`)", Some("[200002]")),
];

#[test]
fn the_section_of_each_stream_is_right_to_the_letter() {
    for row in ROWS {
        let ran = run(&format!("says@{}", row.stream), &[]);
        let line = ran.only();
        assert_eq!(line["stop_tokens"], row.section(), "{}", row.stream);
        let outcome = if row.failure.is_some() { "failed" } else { "passed" };
        assert_eq!((line["outcome"].as_str(), ran.code), (Some(outcome), Some(0)), "{}", ran.said);
        let failure = &own(line)["failure"];
        assert_eq!(failure["message"].as_str(), row.failure, "{}", row.stream);
        let hint = match (row.workaround, row.line) {
            ("none", _) => None,
            (rule, Some(ids)) => Some(format!(
                "`{rule}` helps: write `\"eos_token_id\": {ids}` in `generation_config.json`"
            )),
            (rule, None) => {
                Some(format!("`{rule}` helps, which no line of `generation_config.json` says"))
            }
        };
        assert_eq!(failure["hint"].as_str(), hint.as_deref(), "{}", row.stream);
    }
}

#[test]
fn a_row_that_breaks_off_in_decode_says_the_same_of_the_answers_that_came() {
    for row in ROWS {
        // The third answer is the first of 128 tokens.
        let ran = run(&format!("says@{},fail@decode:128", row.stream), &[]);
        let line = ran.only();
        assert_eq!((line["outcome"].as_str(), ran.code), (Some("failed"), Some(1)), "{}", ran.said);
        assert_eq!(own(line)["failure"]["kind"], "scripted");
        assert_eq!(own(line)["stop_answers"].as_array().unwrap().len(), 2);
        assert_eq!(line["stop_tokens"], row.section(), "{}", row.stream);
    }
}

#[test]
fn a_row_whose_model_did_not_load_says_what_its_files_name_and_no_more() {
    for row in ROWS {
        let ran = run(&format!("says@{},fail@load", row.stream), &[]);
        let line = ran.only();
        assert_eq!((line["outcome"].as_str(), ran.code), (Some("failed"), Some(1)), "{}", ran.said);
        assert_eq!(own(line)["failure"]["stage"], "load");
        assert_eq!(line["stop_tokens"], json!({"configured": row.configured}), "{}", row.stream);
        assert_eq!(own(line).get("stop_answers"), None);
    }
    // One that was killed while loading could say nothing.
    let ran = run("says@past,kill@load", &[]);
    assert_eq!(
        (ran.only()["outcome"].as_str(), ran.only().get("stop_tokens")),
        (Some("failed"), None)
    );
}
