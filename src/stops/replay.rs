//! Token streams, replayed under whatever rules are in force: what is judged of each.

use std::convert::Infallible;

use super::*;

/// What a model would go on to say if nothing stopped it, a token a piece; markers that are tokens are known by `terms`.
pub(super) struct Stream<'a> {
    pub(super) terms: &'a Terms,
    pub(super) pieces: &'a [&'a str],
    pub(super) is_thinking_open: bool,
}

impl Stream<'_> {
    /// Answers under `rules`, until the stream ends: that is the budget.
    pub(super) fn answer(&self, rules: &Rules) -> Transcript {
        let mut watch = Watch::new(rules, self.terms.dialect.as_ref(), self.is_thinking_open);
        let ids = self.pieces.iter().zip(1000..).map(|(piece, other)| {
            let known = self.terms.ends.iter().find(|token| token.text.as_deref() == Some(piece));
            (known.map_or(other, |token| token.id), *piece)
        });
        for (id, piece) in ids {
            if watch.push(id, piece) {
                break;
            }
        }
        watch.finish("")
    }

    pub(super) fn examine(&self) -> Examined {
        examine::<Infallible>(self.terms, false, &mut |rules| Ok(self.answer(rules))).unwrap()
    }
}

fn tokens(tokens: &[(u32, &str)]) -> Vec<Token> {
    tokens.iter().map(|&(id, text)| Token { id, text: Some(text.to_owned()) }).collect()
}

/// A model that speaks ChatML and stops at `stop`.
fn chat_ml(stop: &[(u32, &str)]) -> Terms {
    Terms {
        in_force: tokens(stop),
        ends: tokens(&[(0, "<|endoftext|>"), (2, "<|im_end|>")]),
        turn_end: Some(Mark { text: "<|im_end|>".to_owned(), id: Some(2) }),
        user_header: Some("<|im_start|>user".to_owned()),
        assistant_header: Some("<|im_start|>assistant".to_owned()),
        ..Terms::default()
    }
}

/// The same, thinking between `<think>` and `</think>`.
fn thinking(stop: &[(u32, &str)]) -> Terms {
    let mut terms = chat_ml(stop);
    let (open, close) = ("<think>".to_owned(), "</think>".to_owned());
    terms.dialect = Some(Dialect::Delimited { open, close });
    terms
}

fn gpt_oss(stop: &[(u32, &str)]) -> Terms {
    Terms {
        in_force: tokens(stop),
        ends: tokens(&[
            (199_999, "<|endoftext|>"),
            (200_002, "<|return|>"),
            (200_007, "<|end|>"),
            (200_012, "<|call|>"),
        ]),
        turn_end: Some(Mark { text: "<|end|>".to_owned(), id: Some(200_007) }),
        user_header: Some("<|start|>user<|message|>".to_owned()),
        assistant_header: Some("<|start|>assistant".to_owned()),
        dialect: Some(Dialect::Channels),
        ..Terms::default()
    }
}

fn run(terms: &Terms, pieces: &[&str]) -> Examined {
    Stream { terms, pieces, is_thinking_open: false }.examine()
}

/// What was found, a line each: what, its marker, its first token, how many tokens it is spelled with.
fn findings(run: &Run) -> Vec<String> {
    let words = run.findings.iter().map(|finding| {
        let marker = finding.marker.as_ref().map(|marker| format!(" {marker:?}"));
        let token = finding.token.map(|token| format!(" at {token}"));
        let spelled = finding.spelled_with.map(|count| format!(" of {count}"));
        let parts = [marker, token, spelled].map(Option::unwrap_or_default).concat();
        format!("{}{parts}", finding.what.words())
    });
    words.collect()
}

/// The rule, the line of the configuration, whether it helps, and the text under it.
fn remedied(examined: &Examined) -> (&'static str, Option<&str>, bool, &str) {
    let remedied = examined.remedied.as_ref().unwrap();
    let line = remedied.generation_config_line.as_deref();
    (remedied.rule.name(), line, remedied.helps, &remedied.run.text)
}

#[test]
fn an_answer_that_its_own_stop_token_ends_is_clean() {
    let own = run(&chat_ml(&[(2, "<|im_end|>")]), &["Cats", " sleep", ".", "<|im_end|>", "more"]);
    assert_eq!(findings(&own.own), [""; 0]);
    assert_eq!(
        (own.own.text.as_str(), own.own.raw_text.as_str()),
        ("Cats sleep.", "Cats sleep.<|im_end|>")
    );
    assert_eq!((own.own.tokens, own.own.ending.clone()), (4, Ending::StopToken { id: 2 }));
    assert_eq!(own.own.detected, ["<|im_end|>"]);
    assert_eq!((own.remedied.is_none(), own.workaround()), (true, None));
}

#[test]
fn the_length_limit_alone_is_no_misbehaviour() {
    let own = run(&chat_ml(&[(2, "<|im_end|>")]), &["Cats", " sleep", " and"]);
    assert_eq!((own.own.ending.clone(), own.own.misbehaved()), (Ending::Length, false));
    assert!(own.own.detected.is_empty() && own.remedied.is_none());
}

#[test]
fn going_on_after_the_end_of_the_template_calls_for_that_end() {
    let pieces = ["Cats", ".", "<|im_end|>", "\n", "<|im_start|>", "user", "\n", "Hi"];
    let own = run(&chat_ml(&[(0, "<|endoftext|>")]), &pieces);
    assert_eq!(
        findings(&own.own),
        [
            "leaked \"<|im_end|>\" at 2 of 1",
            "leaked \"<|im_start|>user\" at 4 of 2",
            "self-conversation \"<|im_start|>user\" at 4 of 2",
            "continued past the end \"<|im_end|>\" at 2 of 1",
        ]
    );
    assert_eq!(own.own.findings[0].text.as_deref(), Some("Cats.<|im_end|>\n<|im_start|>user\nHi"));
    assert_eq!(own.own.detected, ["<|im_end|>"]);
    assert_eq!(remedied(&own), ("template-eos", Some("\"eos_token_id\": [0, 2]"), true, "Cats."));
    assert_eq!(own.workaround(), Some(Rule::TemplateEos));
    assert_eq!(own.remedied.unwrap().stop, ["<|endoftext|>", "<|im_end|>"]);
}

#[test]
fn a_marker_spelled_as_ordinary_text_is_a_marker() {
    // The same characters, in five tokens, in a model that stops at the token.
    let own =
        run(&chat_ml(&[(2, "<|im_end|>")]), &["Cats", ".", "<", "|", "im", "_end", "|>", "\nMore"]);
    assert_eq!(
        findings(&own.own),
        ["leaked \"<|im_end|>\" at 2 of 5"],
        "it is in force, so there is no other to go past"
    );
    assert_eq!(own.own.detected, ["<|im_end|>"]);
    // No token can be added that is not there already.
    assert!(own.remedied.is_none());
}

#[test]
fn a_template_whose_end_is_no_token_calls_for_a_stop_string() {
    let mut terms = chat_ml(&[(0, "<|endoftext|>")]);
    terms.ends = tokens(&[(0, "<|endoftext|>")]);
    terms.turn_end = Some(Mark { text: "<|im_end|>".to_owned(), id: None });
    let own = run(&terms, &["Cats", ". <", "|im", "_end", "|>", "\nMore"]);
    assert_eq!(
        findings(&own.own),
        ["leaked \"<|im_end|>\" at 1 of 4", "continued past the end \"<|im_end|>\" at 1 of 4"]
    );
    let line = "\"eos_token_id\": [0], \"stop_strings\": [\"<|im_end|>\"]";
    assert_eq!(remedied(&own), ("template-eos", Some(line), true, "Cats. "));
    let ending = own.remedied.unwrap().run.ending;
    assert_eq!(ending, Ending::StopString { text: "<|im_end|>".to_owned() });
}

#[test]
fn the_marker_of_another_model_leaks_and_no_rule_is_named() {
    let own = run(&chat_ml(&[(2, "<|im_end|>")]), &["Cats", "</s>", " and", " dogs", "<|im_end|>"]);
    assert_eq!(
        findings(&own.own),
        ["leaked \"</s>\" at 1 of 1", "continued past the end \"</s>\" at 1 of 1"]
    );
    assert!(own.remedied.is_none());
}

#[test]
fn speaking_for_the_user_is_self_conversation() {
    let own = run(&chat_ml(&[(2, "<|im_end|>")]), &["Hello", "!", "\n", "User", ":", " Hi"]);
    assert_eq!(findings(&own.own), ["self-conversation \"User:\" at 3 of 2"]);
    // Inside of a line the word is only a word.
    let quiet = run(&chat_ml(&[(2, "<|im_end|>")]), &["The", " User", ":", " hi"]);
    assert!(findings(&quiet.own).is_empty());
}

#[test]
fn a_model_without_a_stop_token_never_stops() {
    let own = run(&chat_ml(&[]), &["Cats", ".", "<|im_end|>"]);
    assert_eq!(findings(&own.own), ["leaked \"<|im_end|>\" at 2 of 1", "never stopped"]);
    assert_eq!(remedied(&own), ("template-eos", Some("\"eos_token_id\": [2]"), true, "Cats."));
    // Without its end in sight the answer is the same under the rule, which is then not named.
    let own = run(&chat_ml(&[]), &["Cats", " and"]);
    assert_eq!(findings(&own.own), ["never stopped"]);
    assert_eq!((remedied(&own).0, own.workaround()), ("template-eos", None));
}

#[test]
fn an_answer_of_nothing_stopped_at_once_unless_nothing_was_asked_for() {
    let terms = chat_ml(&[(2, "<|im_end|>")]);
    let stream = Stream { terms: &terms, pieces: &["<|im_end|>", "x"], is_thinking_open: false };
    let own = stream.examine();
    assert_eq!(findings(&own.own), ["stopped at once \"<|im_end|>\" at 0"]);
    assert!(own.remedied.is_none());
    let asked = examine::<Infallible>(&terms, true, &mut |rules| Ok(stream.answer(rules))).unwrap();
    assert!(findings(&asked.own).is_empty());
}

#[test]
fn going_round_in_circles_is_told_and_blamed_on_no_stop_token() {
    let pieces: Vec<&str> = ["la", " "].into_iter().cycle().take(60).collect();
    let terms = chat_ml(&[(2, "<|im_end|>")]);
    let nothing = Rules::default();
    let mut watch = Watch::new(&nothing, None, false);
    let _ = pieces.iter().zip([7, 8].iter().cycle()).find(|(piece, id)| watch.push(**id, piece));
    let transcript = watch.finish("");
    assert_eq!(transcript.ending, Ending::RepetitionLoop { period: 2, times: 12 });
    let found = judge(&terms, &terms.own_rules(), &transcript, false);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].text.as_deref(), Some("2 tokens, 12 times"));
    assert!(found[0].what == Misstep::RepetitionLoop && !found[0].what.is_misbehaviour());
}

#[test]
fn phi_3_needs_both_of_its_ends() {
    let mut terms = chat_ml(&[(32_000, "<|endoftext|>")]);
    terms.ends = tokens(&[(32_000, "<|endoftext|>"), (32_007, "<|end|>")]);
    terms.turn_end = Some(Mark { text: "<|end|>".to_owned(), id: Some(32_007) });
    let own = run(&terms, &["Cats", ".", "<|end|>", "<|assistant|>", "More", "<|endoftext|>"]);
    let line = Some("\"eos_token_id\": [32000, 32007]");
    assert_eq!(remedied(&own), ("phi-3-dual-eos", line, true, "Cats."));
    terms.in_force = vec![];
    let own = run(&terms, &["Cats", ".", "<|end|>", "<|endoftext|>", "x"]);
    assert_eq!(remedied(&own), ("phi-3-dual-eos", line, true, "Cats."));
}

#[test]
fn gemma_needs_the_end_of_its_turn() {
    let mut terms = chat_ml(&[(1, "<eos>")]);
    terms.ends = tokens(&[(1, "<eos>"), (106, "<end_of_turn>")]);
    terms.turn_end = Some(Mark { text: "<end_of_turn>".to_owned(), id: Some(106) });
    let own = run(&terms, &["Cats", ".", "<end_of_turn>", "\n", "<end_of_turn>", "\n"]);
    let line = Some("\"eos_token_id\": [1, 106]");
    assert_eq!(remedied(&own), ("gemma-end-of-turn", line, true, "Cats."));
}

#[test]
fn the_end_of_thinking_is_no_leak_and_thinking_is_counted_apart() {
    let pieces = ["<think>", "hm", "</think>", "\n\n", "Cats", ".", "<|im_end|>"];
    let own = run(&thinking(&[(2, "<|im_end|>")]), &pieces);
    assert!(findings(&own.own).is_empty());
    assert_eq!((own.own.thinking_tokens, own.own.answer_tokens), (1, 3));
    assert_eq!(own.own.first_answer_token, Some(4));
}

#[test]
fn thinking_that_the_template_opened_is_thinking() {
    let terms = thinking(&[(2, "<|im_end|>")]);
    let pieces = ["hm", ".", "</think>", "Cats", ".", "<|im_end|>"];
    let own = Stream { terms: &terms, pieces: &pieces, is_thinking_open: true }.examine().own;
    assert!(findings(&own).is_empty());
    assert_eq!((own.thinking_tokens, own.answer_tokens, own.first_answer_token), (2, 2, Some(3)));
    // A marker inside of it is seen all the same.
    let pieces = ["hm", "<|endoftext|>", ".", "</think>", "Cats", ".", "<|im_end|>"];
    let own = Stream { terms: &terms, pieces: &pieces, is_thinking_open: true }.examine().own;
    assert_eq!(
        findings(&own),
        [
            "leaked \"<|endoftext|>\" at 1 of 1",
            "continued past the end \"<|endoftext|>\" at 1 of 1"
        ]
    );
}

#[test]
fn an_end_of_thinking_that_ends_the_answer_is_to_be_run_past() {
    let mut terms = thinking(&[(2, "<|im_end|>"), (9, "</think>")]);
    terms.ends.extend(tokens(&[(9, "</think>")]));
    let pieces = ["<think>", "hm", "</think>", "Cats", ".", "<|im_end|>"];
    let own = run(&terms, &pieces);
    assert_eq!(findings(&own.own), ["stopped while thinking \"</think>\" at 2"]);
    let line = Some("\"eos_token_id\": [2]");
    assert_eq!(remedied(&own), ("reasoning-end-kept", line, true, "<think>hm</think>Cats."));
}

/// What gpt-oss says: thinking, then the answer, then whatever comes.
fn harmony<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    let start =
        ["<|channel|>", "analysis", "<|message|>", "hm", "<|end|>", "<|start|>", "assistant"];
    let answer = ["<|channel|>", "final", "<|message|>", "Cats", "."];
    [&start[..], &answer[..], rest].concat()
}

#[test]
fn the_channels_of_gpt_oss_are_no_leak() {
    let own = run(&gpt_oss(&[(200_002, "<|return|>")]), &harmony(&["<|return|>", "x"]));
    assert!(findings(&own.own).is_empty());
    assert_eq!((own.own.thinking_tokens, own.own.answer_tokens), (1, 2));
    assert_eq!(own.own.first_answer_token, Some(10));
    assert_eq!(own.own.detected, ["<|end|>", "<|return|>"]);
}

#[test]
fn gpt_oss_needs_an_end_that_ends_no_thinking() {
    let pieces = harmony(&[
        "<|end|>",
        "<|start|>",
        "assistant",
        "<|channel|>",
        "final",
        "<|message|>",
        "Dogs",
    ]);
    let own = run(&gpt_oss(&[(200_002, "<|return|>")]), &pieces);
    assert_eq!(
        findings(&own.own),
        [
            "leaked \"<|end|>\" at 12 of 1",
            "leaked \"<|start|>assistant\" at 13 of 2",
            "self-conversation \"<|start|>assistant\" at 13 of 2",
            "continued past the end \"<|end|>\" at 12 of 1",
        ]
    );
    let (rule, line, helps, text) = remedied(&own);
    // No line says it: for a reader that knows no channels, `<|end|>` would end the thinking.
    assert_eq!((rule, line, helps), ("gpt-oss-end", None, true));
    assert!(text.ends_with("<|channel|>final<|message|>Cats."), "{text}");
}

#[test]
fn gpt_oss_must_run_past_the_end_of_its_thinking() {
    let terms = gpt_oss(&[(200_002, "<|return|>"), (200_007, "<|end|>")]);
    let own = run(&terms, &harmony(&["<|return|>"]));
    assert_eq!(findings(&own.own), ["stopped while thinking \"<|end|>\" at 4"]);
    let (rule, line, helps, _) = remedied(&own);
    assert_eq!(
        (rule, line, helps),
        ("reasoning-end-kept", Some("\"eos_token_id\": [200002]"), true)
    );
}

#[test]
fn gpt_oss_that_speaks_for_the_user_is_found_out() {
    let pieces = harmony(&["<|return|>", "<|start|>", "user", "<|message|>", "Hi"]);
    let own = run(&gpt_oss(&[(199_999, "<|endoftext|>")]), &pieces);
    assert_eq!(
        findings(&own.own),
        [
            "leaked \"<|return|>\" at 12 of 1",
            "leaked \"<|start|>user<|message|>\" at 13 of 3",
            "self-conversation \"<|start|>user<|message|>\" at 13 of 3",
            "continued past the end \"<|return|>\" at 12 of 1",
        ]
    );
    let (rule, _, helps, _) = remedied(&own);
    assert_eq!((rule, helps), ("gpt-oss-end", true));
}

#[test]
fn a_rule_that_does_not_clean_the_answer_is_not_named() {
    let pieces = ["Hi", "</s>", "\nUser:", " x", "<|im_end|>", "y"];
    let own = run(&chat_ml(&[(0, "<|endoftext|>")]), &pieces);
    let (rule, _, helps, _) = remedied(&own);
    assert_eq!((rule, helps, own.workaround()), ("template-eos", false, None));
}
