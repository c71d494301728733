//! The real tokenizer and template of Gemma 3, and token streams that a conversion of it could say.

use std::{collections::BTreeSet, convert::Infallible, fs, path::Path};

use mlxk_harness::{
    stops::{Examined, Rule, Rules, Terms, Transcript, Watch, examine},
    text::{SpecialTokens, Tokenizer, stop_ids, stops::terms},
};
use serde_json::{Value, json};

/// The tokenizer as it comes with conversions that forget the end of a turn; none where it was not fetched.
fn conversion() -> Option<(Tokenizer, Terms)> {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join(".models/tokenizers/gemma3");
    if !fetched.exists() && std::env::var_os("CI").is_none() {
        eprintln!(
            "not run: `{}` is not there, `cargo xtask tokenizers` fetches it",
            fetched.display()
        );
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::copy(fetched.join("tokenizer.json"), folder.path().join("tokenizer.json")).unwrap();
    let text = fs::read_to_string(fetched.join("tokenizer_config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["eos_token"] = json!("<eos>");
    fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap().unwrap();
    let stop: BTreeSet<u32> = stop_ids(&json!({"eos_token_id": 1}), None, Some(&tokenizer));
    let terms = terms(&tokenizer, &stop);
    Some((tokenizer, terms))
}

fn answer(tokenizer: &Tokenizer, ids: &[u32], rules: &Rules) -> Transcript {
    let mut watch = Watch::new(rules, None, false);
    let mut stream = tokenizer.stream();
    for &id in ids {
        if watch.push(id, &stream.push(id).unwrap()) {
            break;
        }
    }
    watch.finish(&stream.finish().unwrap())
}

fn said(tokenizer: &Tokenizer, terms: &Terms, ids: &[u32]) -> Examined {
    examine::<Infallible>(terms, false, &mut |rules| Ok(answer(tokenizer, ids, rules))).unwrap()
}

#[test]
fn a_conversion_of_gemma_needs_the_end_of_its_turn() {
    let Some((tokenizer, terms)) = conversion() else { return };
    assert_eq!(terms.own_rules().names(), ["<eos>"]);
    assert_eq!(terms.user_header.as_deref(), Some("<start_of_turn>user"));
    let encode = |text: &str| tokenizer.encode(text, SpecialTokens::Leave).unwrap();
    let ids = encode("Cats sleep.<end_of_turn>\n<start_of_turn>user\nMore");
    let examined = said(&tokenizer, &terms, &ids);
    assert!(examined.own.leaked());
    assert_eq!(examined.own.detected, ["<end_of_turn>"]);
    assert_eq!(examined.workaround(), Some(Rule::GemmaEndOfTurn));
    let remedied = examined.remedied.unwrap();
    assert_eq!(remedied.generation_config_line.as_deref(), Some("\"eos_token_id\": [1, 106]"));
    assert_eq!(remedied.run.text, "Cats sleep.");
    // As it should end.
    let clean = said(&tokenizer, &terms, &[encode("Cats sleep."), vec![1]].concat());
    assert!(clean.own.findings.is_empty() && clean.remedied.is_none());
}

#[test]
fn the_end_of_a_turn_spelled_with_words_of_gemma_leaks_too() {
    let Some((tokenizer, terms)) = conversion() else { return };
    // Piece by piece, so that the tokenizer does not take the marker whole.
    let pieces = ["Cats sleep.", "<", "end", "_", "of", "_", "turn", ">", "More"];
    let ids = pieces.map(|piece| tokenizer.encode(piece, SpecialTokens::Leave).unwrap()).concat();
    assert!(!ids.contains(&106));
    let examined = said(&tokenizer, &terms, &ids);
    let leak = &examined.own.findings[0];
    assert_eq!(leak.marker.as_deref(), Some("<end_of_turn>"));
    assert_eq!(leak.spelled_with, Some(7));
    // The token would not end it, so no rule is named.
    assert_eq!(examined.workaround(), None);
}
