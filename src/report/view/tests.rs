//! What each view makes of the same lines, and of hostile ones.

use super::*;

const PASSED: &str = r#"{"schema_version": "0.2.2", "timestamp": "2026-01-30T10:00:00+00:00", "mlx_knife_version": "0.1.0", "test": "mlxk-harness::chat[org/x-p8-g4]", "outcome": "passed", "duration": 2.5, "model": {"id": "org/x", "size_gb": 0.33}, "performance": {"tokens_per_sec": 24.04, "time_to_first_token_s": 0.25}, "system": {"platform_version": "macOS 26.2", "ram_total_gb": 64.0, "hardware_profile": {"chip": "Apple M2 Max", "model": "Mac14,13", "cores_physical": 12}}, "metadata": {"mlxk_harness": {"version": "0.1.0", "statistics": {"tokens_per_sec": {"interval_95": [23.5, 25.0]}}, "warnings": ["the tokenizer has no normalizer"]}}}"#;
const FAILED: &str = r#"{"timestamp": "2026-01-30T10:01:00Z", "mlx_knife_version": "2.0.8", "test": "a::b", "outcome": "failed", "model": {"id": "<img src=x onerror=alert(1)>|=x"}, "metadata": {"mlxk_harness": {"failure": {"stage": "decode", "kind": "signal", "message": "killed\n\u001b[31m by `9`"}}}}"#;
const SKIPPED: &str = r#"{"test": "a::c[text_07]", "outcome": "skipped", "metadata": {"skip_reason": "Skipped: =needs 49.9 GB"}, "model": {"size_gb": Infinity}}"#;

fn report(lines: &[&str]) -> Report {
    let mut report = Report::default();
    report.read("a.jsonl", lines.join("\n").as_bytes()).unwrap();
    report
}

fn render(name: &str) -> String {
    let report = report(&[PASSED, FAILED, SKIPPED, "{"]);
    (view(name).unwrap().render)(&report)
}

#[test]
fn a_table_tells_what_it_knows_and_dashes() {
    let expected = "\
Apple M2 Max, Mac14,13, 12 cores, 64 GiB, macOS 26.2

 model                            test       outcome  size GiB  time s  TTFT ms       decode tok/s
 org/x                            chat p8-g4 passed       0.33     2.5    250.0  24.0 [23.5, 25.0]
 <img src=x onerror=alert(1)>|=x  b          failed          –       –        –                  –
 (no model)                       c text_07  skipped         –       –        –                  –

failed   <img src=x onerror=alert(1)>|=x b: decode, signal: killed \u{fffd}[31m by `9`
skipped  (no model) c text_07: =needs 49.9 GB

1 passed, 1 failed, 1 skipped
a.jsonl:4 was left out: no JSON: EOF while parsing an object at line 1 column 1
";
    let squeezed = |text: &str| -> Vec<Vec<String>> {
        text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };
    assert_eq!(squeezed(&render("table")), squeezed(expected));
}

#[test]
fn markdown_holds_no_tag_and_no_broken_row() {
    let text = render("markdown");
    assert!(!text.contains("<img") && !text.contains('\u{1b}'), "{text}");
    let rows: Vec<_> = text.lines().filter(|line| line.starts_with('|')).collect();
    let cells = |row: &str| row.replace("\\|", "").matches('|').count();
    assert_eq!(rows.len(), 5, "{text}");
    assert!(rows.iter().all(|row| cells(row) == cells(rows[0])), "{rows:#?}");
    assert_eq!(
        rows[2],
        "| org/x | chat p8-g4 | passed | 0.33 | 2.5 | 250.0 | 24.0 \\[23.5, 25.0\\] |"
    );
    for section in ["Machine", "Failures", "Skipped", "Warnings", "Files"] {
        assert!(text.contains(&format!("\n## {section}\n\n- ")), "{section}: {text}");
    }
}

#[test]
fn a_page_runs_and_loads_nothing_of_strangers() {
    let text = render("html");
    let name = "&lt;img src=x onerror=alert(1)&gt;|=x";
    assert!(text.contains(name) && !text.contains("<img") && !text.contains('\u{1b}'), "{text}");
    assert_eq!(text.matches("<script").count(), 1);
    assert!(text.contains("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-"));
    assert!(!text.contains("://") && !text.contains("url(") && !text.contains("@import"), "{text}");
}

#[test]
fn csv_has_every_column_in_every_line_and_no_formula() {
    let text = render("csv");
    let mut reader = csv_reader(&text);
    let head = reader.headers().unwrap().clone();
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    let at = |row: usize, name: &str| {
        let place = head.iter().position(|column| column == name).unwrap();
        rows[row][place].to_owned()
    };
    assert_eq!(rows.len(), 3);
    assert_eq!(at(0, "decode_tok_s"), "24.04");
    assert_eq!(
        (at(0, "decode_tok_s_low"), at(0, "decode_tok_s_high")),
        ("23.5".into(), "25".into())
    );
    assert_eq!((at(1, "decode_tok_s"), at(2, "size_gib")), (String::new(), String::new()));
    assert_eq!(at(2, "cause"), "'=needs 49.9 GB");
}

fn csv_reader(text: &str) -> ::csv::Reader<&[u8]> {
    ::csv::Reader::from_reader(text.as_bytes())
}

#[test]
fn json_leaves_out_what_is_not_known() {
    let value: serde_json::Value = serde_json::from_str(&render("json")).unwrap();
    let passed = &value["records"][0];
    assert_eq!(passed["ttft_ms"], serde_json::json!(250.0));
    assert_eq!(passed["decode_tok_s_interval_95"], serde_json::json!([23.5, 25.0]));
    assert_eq!(passed["version"], "mlxk-harness 0.1.0");
    let skipped = value["records"][2].as_object().unwrap();
    assert!(!skipped.contains_key("size_gib") && !skipped.contains_key("model"), "{skipped:?}");
    assert_eq!(value["files"][0]["unread"][0]["line"], 4);
}

#[test]
fn every_view_shows_what_changed_over_time() {
    let later = PASSED.replace("01-30", "02-28").replace("24.04", "30.05");
    let report = report(&[PASSED, &later]);
    for name in ["table", "markdown", "html"] {
        let text = (view(name).unwrap().render)(&report);
        assert!(text.contains("+25.0 %"), "{name}: {text}");
    }
    let value: serde_json::Value = serde_json::from_str(&json::render(&report)).unwrap();
    let change = value["history"][0]["points"][1]["change"].as_f64().unwrap();
    assert!((change - 0.25).abs() < 1e-12, "{change}");
}

#[test]
fn nothing_is_shown_of_nothing() {
    let report = report(&[]);
    assert_eq!(table::render(&report), "0 passed, 0 failed, 0 skipped\n");
    for view in VIEWS {
        (view.render)(&report);
    }
}
