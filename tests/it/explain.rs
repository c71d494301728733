//! `explain` on lines of a script and of a real model: what is untouched follows, and whatever is edited does not.

use std::path::Path;

use mlxk_harness::{
    cli::Exit,
    report::{Explanation, Unexplained, explain},
};
use serde_json::{Value, json};

use super::{harness::Harness, weights};

/// The lines that a run writes.
fn run(harness: &Harness) -> Vec<String> {
    let answer = harness.answer();
    assert_eq!(answer.code, Some(Exit::Ok as i32), "{}", answer.stderr);
    answer.stdout.lines().map(str::to_owned).collect()
}

/// A throughput and a chat as a script has them.
fn scripted(repetitions: &str) -> Vec<String> {
    let harness = Harness::new().args(["run", "scripted:measured", "--json", "--warmup", "1"]);
    let sizes = ["--prompt-tokens", "8", "--generation-tokens", "6", "--max-tokens", "32"];
    run(&harness.more(&sizes).args(["--repetitions", repetitions]))
}

/// A throughput of a small model on MLX.
fn tiny() -> String {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/llama");
    let harness = Harness::new().file("tiny/config.json", "{}").args(["run", "./tiny", "--json"]);
    let harness = harness.args(["--scenario", "throughput"]);
    let folder = harness.path("tiny");
    weights::write(&fixture, weights::FLOAT32, &folder, weights::Tweak::default());
    let sizes = ["--prompt-tokens", "8", "--generation-tokens", "6", "--repetitions", "8"];
    let mut lines = run(&harness.more(&sizes).args(["--warmup", "1"]));
    assert_eq!(lines.len(), 1);
    lines.remove(0)
}

#[track_caller]
fn explained(line: &str) -> Explanation {
    explain(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// `line` with `digits` in place of the number at `pointer`.
fn with(line: &str, pointer: &str, digits: &str) -> String {
    let mut value: Value = serde_json::from_str(line).unwrap();
    *value.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = json!("@@");
    value.to_string().replace("\"@@\"", digits)
}

/// `line` without what stands at `pointer`.
fn without(line: &str, pointer: &str) -> String {
    let mut value: Value = serde_json::from_str(line).unwrap();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match value.pointer_mut(parent).unwrap() {
        Value::Object(members) => assert!(members.shift_remove(key).is_some(), "{pointer}"),
        Value::Array(items) => drop(items.remove(key.parse().unwrap())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => panic!("{pointer}"),
    }
    value.to_string()
}

/// `digits` with each of its digits changed in turn.
fn edits(digits: &str) -> Vec<String> {
    let edit = |(at, digit): (usize, char)| {
        let other = match digit {
            '9' => '8',
            '0'..='8' => char::from(digit as u8 + 1),
            _ => return None,
        };
        Some(format!("{}{other}{}", &digits[..at], &digits[at + 1..]))
    };
    digits.char_indices().filter_map(edit).collect()
}

/// The figures that do not follow.
fn wrong(explanation: &Explanation) -> Vec<&str> {
    let wrong = explanation.figures.iter().filter(|figure| !figure.follows);
    wrong.map(|figure| figure.figure.as_str()).collect()
}

/// Edits every digit of every derived figure, leaves every one out, and has each found.
fn every_edit_is_found(line: &str) -> usize {
    let untouched = explained(line);
    assert!(untouched.holds, "{:?} {:?}", wrong(&untouched), untouched.impossible);
    let unknown: Vec<_> = untouched.given.iter().filter(|given| given.what.is_none()).collect();
    assert!(unknown.is_empty(), "name in `report::explain` what these are: {unknown:?}");
    let mut count = 0;
    for figure in &untouched.figures {
        let pointer = &figure.figure;
        for edited in edits(figure.stated.as_ref().unwrap()) {
            let explanation = explained(&with(line, pointer, &edited));
            assert!(!explanation.holds, "{pointer}: {edited}");
            assert_eq!(wrong(&explanation), [pointer], "{edited}");
            count += 1;
        }
        let missing = explain(&without(line, pointer));
        assert!(missing.is_ok_and(|missing| !missing.holds), "{pointer} left out");
    }
    count
}

#[test]
fn an_edited_digit_of_any_figure_is_found_in_a_scripted_run() {
    for line in scripted("8") {
        assert!(every_edit_is_found(&line) > 100);
    }
}

#[test]
fn an_edited_digit_of_any_figure_is_found_in_a_run_of_a_model() {
    let line = tiny();
    assert!(every_edit_is_found(&line) > 150, "its figures have more digits");
    let explanation = explained(&line);
    let names: Vec<_> = explanation.figures.iter().map(|figure| figure.figure.as_str()).collect();
    let ours = "/metadata/mlxk_harness";
    for name in [
        "/performance/tokens_per_sec",
        "/timeline/first_token_ms",
        &format!("{ours}/statistics/tokens_per_sec/interval_95/1"),
        &format!("{ours}/statistics/tokens_per_sec/trend/s"),
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
}

#[test]
fn an_edited_sample_is_found_where_a_figure_follows_from_it() {
    for line in scripted("1") {
        let ours: Value =
            serde_json::from_str::<Value>(&line).unwrap()["metadata"]["mlxk_harness"].take();
        let sample = &ours["samples"][0];
        let stamps = sample["visible_us"].as_array().unwrap().len();
        let mut pointers: Vec<String> =
            (0..stamps).map(|token| format!("/samples/0/visible_us/{token}")).collect();
        let others = [
            "/samples/0/prompt_tokens",
            "/samples/0/prompt_ready_us",
            "/samples/0/ended_us",
            "/samples/0/memory/peak_bytes",
            "/warmups/0/visible_us/0",
            "/load/phases/0/start_us",
            "/load/phases/0/end_us",
            "/load/phases/0/bytes",
            "/load/memory/active_bytes",
        ];
        pointers.extend(others.map(str::to_owned));
        for pointer in pointers {
            let number = ours.pointer(&pointer).and_then(Value::as_u64).unwrap();
            let whole = format!("/metadata/mlxk_harness{pointer}");
            let edited = with(&line, &whole, &(number + 1).to_string());
            assert!(!explained(&edited).holds, "{pointer}");
        }
    }
}

#[test]
fn a_figure_that_the_samples_cannot_give_is_found() {
    let line = &scripted("2")[0];
    let mut value: Value = serde_json::from_str(line).unwrap();
    value["metadata"]["mlxk_harness"]["figures"]["ttft.request_to_answer"] = json!(0.5);
    let explanation = explained(&value.to_string());
    assert_eq!(wrong(&explanation), ["/metadata/mlxk_harness/figures/ttft.request_to_answer"]);
    // Where the answer begins is known: then it is another figure.
    for sample in value["metadata"]["mlxk_harness"]["samples"].as_array_mut().unwrap() {
        sample["answer_from"] = json!(3);
    }
    let explanation = explained(&value.to_string());
    assert_eq!(wrong(&explanation), ["/metadata/mlxk_harness/figures/ttft.request_to_answer"]);
    // 100 ms, and four tokens of 20 ms.
    value["metadata"]["mlxk_harness"]["figures"]["ttft.request_to_answer"] = json!(0.18);
    assert!(explained(&value.to_string()).holds);
}

#[test]
fn a_figure_that_nobody_defined_is_found() {
    let line = &scripted("2")[0];
    for (parent, name) in [("performance", "speed"), ("metadata/mlxk_harness/figures", "best_tps")]
    {
        let mut value: Value = serde_json::from_str(line).unwrap();
        value.pointer_mut(&format!("/{parent}")).unwrap()[name] = json!(99.0);
        assert_eq!(wrong(&explained(&value.to_string())), [format!("/{parent}/{name}")]);
    }
}

#[test]
fn a_figure_follows_by_the_definition_that_its_line_names() {
    let line = &scripted("2")[0];
    let mut value: Value = serde_json::from_str(line).unwrap();
    let definition = &mut value["metadata"]["mlxk_harness"]["definitions"]["tokens_per_sec"];
    assert_eq!(definition, "decode_tps.n_minus_1");
    *definition = json!("mlx_lm_compat.generation_tps");
    assert_eq!(wrong(&explained(&value.to_string())), ["/performance/tokens_per_sec"]);
    // 6 tokens in 100 ms.
    value["performance"]["tokens_per_sec"] = json!(60.0);
    assert!(explained(&value.to_string()).holds);
}

#[test]
fn a_line_that_says_too_little_is_not_explained() {
    // Only the last cell of a model knows how long releasing it took.
    let line = &scripted("2")[1];
    let lacks = |pointer: &str| match explain(&without(line, pointer)) {
        Err(Unexplained::Lacks { what, .. }) => what,
        other => panic!("{pointer}: {other:?}"),
    };
    for missing in ["/samples", "/load", "/cleanup/released_us"] {
        let missing = format!("/metadata/mlxk_harness{missing}");
        assert_eq!(lacks(&missing), missing);
    }
    let stamps = "/metadata/mlxk_harness/samples/1";
    assert_eq!(lacks(&format!("{stamps}/visible_us")), stamps);
    assert!(matches!(explain("{}"), Err(Unexplained::NotOurs)));
    assert!(matches!(explain("{"), Err(Unexplained::NotJson(_))));
    let twice = line.replacen("\"performance\":{", "\"performance\":{\"tokens_per_sec\":1,", 1);
    assert!(matches!(explain(&twice), Err(Unexplained::Twice)));
}

#[test]
fn a_failed_cell_has_only_the_figures_of_its_load() {
    let harness = Harness::new().args(["run", "scripted:fail@decode", "--json"]);
    let answer = harness.args(["--scenario", "throughput"]).answer();
    let explanation = explained(answer.stdout.trim_end());
    assert!(explanation.holds, "{:?}", wrong(&explanation));
    assert_eq!(explanation.outcome, "failed");
    let names: Vec<_> = explanation.figures.iter().map(|figure| figure.figure.as_str()).collect();
    assert!(names.contains(&"/performance/model_load_time_s"), "{names:?}");
    assert!(!names.contains(&"/performance/tokens_per_sec"), "{names:?}");
}

#[test]
fn the_command_shows_each_figure_and_ends_by_what_it_found() {
    let lines = scripted("2");
    let edited = with(&lines[1], "/performance/tokens_per_sec", "51.0");
    let foreign = r#"{"schema_version": "0.2.0", "test": "a::b"}"#;
    let report = format!("{}\n\n{edited}\n{foreign}\n", lines[0]);
    let ask =
        |place: &str| Harness::new().file("r.jsonl", &report).args(["explain", place]).answer();

    let good = ask("r.jsonl:1");
    assert_eq!((good.code, good.stderr.as_str()), (Some(Exit::Ok as i32), ""));
    let figure = "/performance/tokens_per_sec = 50.0 tokens/s
    decode_tps.n_minus_1: (n - 1) / (tn - t1), median of the repetitions
    5 / 0.1 = 50; 5 / 0.1 = 50
";
    assert!(good.stdout.contains(figure), "{}", good.stdout);
    assert!(good.stdout.contains("/samples/*/visible_us/* (12): sample"), "{}", good.stdout);
    assert!(good.stdout.lines().all(|line| line.chars().count() <= 100), "{}", good.stdout);

    let bad = ask("r.jsonl:3");
    assert_eq!(bad.code, Some(Exit::No as i32));
    let complaint = "error: r.jsonl:3: `/performance/tokens_per_sec` is stated as 51.0, and 50 follows from the samples\n";
    assert_eq!(bad.stderr, complaint);
    assert!(bad.stdout.contains("DOES NOT FOLLOW: the samples give 50\n"), "{}", bad.stdout);

    let other = ask("r.jsonl:4");
    assert_eq!((other.code, other.stdout.as_str()), (Some(Exit::Usage as i32), ""));
    assert!(other.stderr.contains("`/metadata/mlxk_harness` is missing"), "{}", other.stderr);
    assert_eq!(ask("r.jsonl").code, Some(Exit::No as i32), "the worst of all lines");
    let none = ask("r.jsonl:9");
    assert_eq!(none.code, Some(Exit::Usage as i32));
    assert_eq!(none.stderr, "error: `r.jsonl` has no line 9\n");
    assert_eq!(ask("a.jsonl:1").code, Some(Exit::Io as i32));
}

#[test]
fn the_command_speaks_json() {
    let line = &scripted("2")[0];
    let harness = Harness::new().file("r.jsonl", line).args(["explain", "r.jsonl", "--json"]);
    let answer = harness.answer();
    assert_eq!(answer.code, Some(Exit::Ok as i32), "{}", answer.stderr);
    let told: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(told["line"], "r.jsonl:1");
    assert_eq!(told["explanation"]["holds"], true);
    let figure = &told["explanation"]["figures"][0];
    assert_eq!(figure["figure"], "/performance/tokens_per_sec");
    assert_eq!(figure["steps"], json!(["5 / 0.1 = 50", "5 / 0.1 = 50"]));
    assert_eq!(
        (figure["stated"].as_str(), figure["recomputed"].as_f64()),
        (Some("50.0"), Some(50.0))
    );
}
