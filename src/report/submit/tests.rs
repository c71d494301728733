//! What is personal is found wherever it stands, and nothing else is touched.

use serde_json::Value;

use super::{super::lenient, *};

const LINES: [&str; 3] = [
    include_str!("../../../tests/fixtures/reports/valid/assembled.jsonl"),
    include_str!("../../../tests/fixtures/reports/valid/as-mlx-knife-writes.jsonl"),
    include_str!("../../../tests/fixtures/reports/rendered/2026-02-11-v2.0.4-wet.jsonl"),
];

fn secrets() -> Secrets {
    Secrets {
        names: Names { user: Some("byron".to_owned()), host: Some("enchantress".to_owned()) },
        home: Some("/srv/people/byron".to_owned()),
        words: vec!["Project X".to_owned()],
        kept: Vec::new(),
    }
}

#[track_caller]
fn case(text: &str, expected: &str, kind: Kind) {
    assert_eq!(secrets().scrub(text, None), (expected.to_owned(), vec![kind]), "{text}");
    assert_eq!(secrets().scrub(expected, None), (expected.to_owned(), Vec::new()), "{expected}");
}

#[test]
fn of_a_path_the_last_part_is_left() {
    case("/Users/ada/secret/model-4bit", "model-4bit", Kind::Home);
    case("/Users/ada", "~", Kind::Home);
    case("/srv/people/byron", "~", Kind::Home);
    case("in /srv/people/byron/x/y.rs:3: bad", "in y.rs:3: bad", Kind::Home);
    case("cannot map `/Volumes/My Disk/a b.gguf`", "cannot map `a b.gguf`", Kind::Path);
    case("t::chat[/opt/models/x-p512]", "t::chat[x-p512]", Kind::Path);
    case("at /opt/mlx/ops.cpp:12: bad and /tmp/z", "at ops.cpp:12: bad and z", Kind::Path);
    case("/models/llama", "llama", Kind::Path);
    case("C:\\Users\\ada\\x.gguf", "x.gguf", Kind::Home);
    case("file:///Users/ada/x", "file://x", Kind::Home);
}

#[test]
fn names_are_replaced_where_they_are_words() {
    case("written by Byron", "written by USER", Kind::User);
    case("byron-2", "USER-2", Kind::User);
    case("on ENCHANTRESS: 3", "on HOST: 3", Kind::Host);
    case("at Adas-MacBook-Pro.local:8080", "at HOST:8080", Kind::Host);
    case("by ada@example.org", "by ADDRESS", Kind::Address);
    case("for project x, now", "for WORD, now", Kind::Word);
    case("Serial Number (system): C02XG0FDJGH5", "Serial Number (system): SERIAL", Kind::Serial);
}

#[test]
fn a_key_that_names_a_serial_number_tells_none() {
    let found = secrets().scrub("abc", Some("serial_number"));
    assert_eq!(found, ("SERIAL".to_owned(), vec![Kind::Serial]));
    assert!(secrets().scrub("1234-5", Some("hardware_uuid")).1 == [Kind::Serial]);
    assert!(secrets().scrub("", Some("serial_number")).1.is_empty());
}

#[test]
fn what_tells_nobody_stays() {
    for text in [
        "</s>",
        "<|im_end|>",
        "mlx-community/Qwen3-0.6B-4bit",
        "$MLXK_WORKSPACE_HOME/pixtral-12b-8bit",
        "~/models/x",
        "https://huggingface.co/home/x",
        "45.3 tok/s and/or 1/2",
        "byronic",
        "serialized 12345678 bytes",
        "org/name@v1.0.fix",
    ] {
        assert_eq!(secrets().scrub(text, None), (text.to_owned(), Vec::new()));
    }
}

#[test]
fn a_word_may_be_kept() {
    let kept = Secrets { kept: vec!["Byron".to_owned()], ..secrets() };
    assert_eq!(kept.scrub("byron-7b", None), ("byron-7b".to_owned(), Vec::new()));
}

#[test]
fn a_clean_line_stays_as_it_is_to_the_byte() {
    let mut submission = Submission::new(secrets());
    let lines = LINES.iter().flat_map(|text| text.lines());
    let mut all = 0;
    for (at, text) in lines.enumerate() {
        assert_eq!(submission.line(at as u64, text).unwrap(), text);
        all += 1;
    }
    assert!(all > 15 && submission.changes().is_empty(), "{:?}", submission.changes());
    let summary = submission.summary();
    assert_eq!(summary.records + summary.monitor, all);
}

/// Places of all texts and keys below `value`, each as a pointer.
fn texts(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(at.to_owned()),
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                texts(item, &format!("{at}/{place}"), found);
            }
        }
        Value::Object(keys) => {
            for (key, item) in keys {
                texts(item, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn what_is_planted_in_any_text_of_a_line_is_found_there() {
    let planted = ["byron", "Enchantress", "/Users/ada/x", "/opt/secret/y", "project x", "a@b.org"];
    let private = ["byron", "enchantress", "ada", "opt", "secret", "project x", "a@b"];
    let mut places = 0;
    for text in LINES.iter().flat_map(|text| text.lines()) {
        let line = lenient::read(text).unwrap().value;
        let mut found = Vec::new();
        texts(&line, "", &mut found);
        for (pointer, secret) in found.iter().zip(planted.iter().cycle()) {
            let mut line = line.clone();
            let before = line.pointer(pointer).unwrap().as_str().unwrap().to_owned();
            *line.pointer_mut(pointer).unwrap() = format!("{before} {secret} end").into();
            let (clean, changes) = strings::replaced(&line.to_string(), &secrets());
            assert_eq!(changes.len(), 1, "{pointer}: {secret}: {changes:?}");
            assert_eq!(&changes[0].pointer, pointer);
            let lower = clean.to_lowercase();
            let left = private.iter().find(|word| {
                lower
                    .split(|c: char| !c.is_alphanumeric() && c != '@' && c != ' ')
                    .any(|part| part == **word || part.contains(&format!(" {word} ")))
            });
            assert_eq!(left, None, "{pointer}: {clean}");
            // Nothing but that text is another one.
            let mut clean: Value = serde_json::from_str(&clean).unwrap();
            *clean.pointer_mut(pointer).unwrap() = line.pointer(pointer).unwrap().clone();
            assert_eq!(clean, line, "{pointer}");
            places += 1;
        }
    }
    assert!(places > 300, "{places}");
}

#[test]
fn a_key_may_be_personal_too() {
    let line = LINES[0].lines().next().unwrap();
    let line =
        line.replacen("\"metadata\":{", "\"metadata\":{\"/Users/ada/x\":{\"a\":\"byron\"},", 1);
    let mut submission = Submission::new(secrets());
    let clean = submission.line(1, &line).unwrap();
    assert!(clean.contains(r#""metadata":{"x":{"a":"USER"},"#), "{clean}");
    let places: Vec<_> =
        submission.changes().keys().map(|change| change.pointer.as_str()).collect();
    assert_eq!(places, ["/metadata/x", "/metadata/x/a"]);
}

#[test]
fn what_cannot_be_taken_out_is_refused() {
    let line = LINES[0].lines().next().unwrap();
    let secrets = Secrets { words: vec!["passed".to_owned()], ..secrets() };
    let error = Submission::new(secrets).line(1, line).unwrap_err();
    assert!(matches!(error, Unfit::Changed(_)), "{error}");
    let error = Submission::new(self::secrets()).line(1, "{").unwrap_err();
    assert!(matches!(error, Unfit::Line(_)), "{error}");
}
