//! Real tokenizers of six families, audited from their files alone.
//!
//! `cargo xtask tokenizers` fetches them. The packages hold no `config.json`, so each gets the stop tokens that its published
//! model has there.

use std::{fs, path::Path};

use mlxk_harness::text::stops::Audit;
use serde_json::{Value, json};

use super::{audit_of, lacks};

/// The audit of the tokenizer called `name`, with these ids in `config.json` and `generation_config.json`; none where it
/// was not fetched. CI fetches all, and fails without.
fn family(name: &str, ids: Value, generation: Option<Value>) -> Option<Audit> {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join(".models/tokenizers").join(name);
    if !fetched.exists() && std::env::var_os("CI").is_none() {
        eprintln!(
            "not run: `{}` is not there, `cargo xtask tokenizers` fetches it",
            fetched.display()
        );
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(fetched.join(file), folder.path().join(file)).unwrap();
    }
    let write = |file: &str, ids: Value, kind: &str| {
        let text = json!({"model_type": kind, "eos_token_id": ids}).to_string();
        fs::write(folder.path().join(file), text).unwrap();
    };
    write("config.json", ids, "llama");
    if let Some(ids) = generation {
        write("generation_config.json", ids, "llama");
    }
    Some(audit_of(folder.path()))
}

/// The stop tokens in force, the end tokens that are not, what the template writes after a turn and before the user's,
/// and what is lacking.
#[track_caller]
fn row(
    audit: &Audit,
    in_force: &[&str],
    others: &[&str],
    turns: Option<[&str; 2]>,
    lacking: &[&str],
) {
    let names = |is_in_force| {
        let tokens = audit.tokens.iter().filter(move |end| end.in_force == is_in_force);
        tokens.map(|end| format!("{} {}", end.token.id, end.token.name())).collect::<Vec<_>>()
    };
    assert_eq!(names(true), in_force);
    assert_eq!(names(false), others);
    let written = audit.template.as_ref().map(|turns| {
        [turns.end_between.as_ref().unwrap().text.as_str(), turns.user_header.as_deref().unwrap()]
    });
    assert_eq!(written, turns);
    assert_eq!(lacks(audit), lacking);
}

#[test]
fn gemma_3() {
    let Some(audit) = family("gemma3", json!([1, 106]), Some(json!([1, 106]))) else { return };
    let turns = Some(["<end_of_turn>", "<start_of_turn>user"]);
    row(&audit, &["1 <eos>", "106 <end_of_turn>"], &["212 </s>"], turns, &[]);
    let audit = family("gemma3", json!(1), Some(json!([1, 106]))).unwrap();
    let lacking = "`config.json` lacks `<end_of_turn>` (106), which `generation_config.json` names, \
                   `tokenizer_config.json` names, the chat template writes after a turn";
    row(&audit, &["1 <eos>", "106 <end_of_turn>"], &["212 </s>"], turns, &[lacking]);
}

#[test]
fn qwen_3() {
    let Some(audit) = family("qwen3", json!(151_645), Some(json!([151_645, 151_643]))) else {
        return;
    };
    row(
        &audit,
        &["151643 <|endoftext|>", "151645 <|im_end|>"],
        &["128247 </s>"],
        Some(["<|im_end|>", "<|im_start|>user"]),
        &["`config.json` lacks `<|endoftext|>` (151643), which `generation_config.json` names"],
    );
    assert_eq!(serde_json::json!(audit.thinking)["close"], "</think>");
}

#[test]
fn llama_3() {
    // In the tokenizer of Llama 3.0, which this is, the second of Llama 3.1's three ids is not `<|eom_id|>` yet.
    let ids = json!([128_001, 128_008, 128_009]);
    let Some(audit) = family("llama3_1", ids.clone(), Some(ids)) else { return };
    row(
        &audit,
        &["128001 <|end_of_text|>", "128008 <|reserved_special_token_4|>", "128009 <|eot_id|>"],
        &[],
        Some(["<|eot_id|>", "<|start_header_id|>user<|end_header_id|>"]),
        &[],
    );
}

#[test]
fn gpt_oss() {
    let Some(audit) = family("gptoss", json!(200_002), None) else { return };
    row(
        &audit,
        &["200002 <|return|>"],
        &["199999 <|endoftext|>", "200007 <|end|>", "200012 <|call|>"],
        None,
        &["no file names `<|end|>` (200007), which ends messages in channels"],
    );
}

#[test]
fn deepseek_v3() {
    let Some(audit) = family("deepseek_v3", json!(1), Some(json!(1))) else { return };
    let turns = Some(["<｜end▁of▁sentence｜>", "<｜User｜>"]);
    row(&audit, &["1 <｜end▁of▁sentence｜>"], &["128805 <|EOT|>"], turns, &[]);
}

#[test]
fn llama_2() {
    let Some(audit) = family("llama2", json!(2), Some(json!(2))) else { return };
    row(&audit, &["2 </s>"], &[], None, &[]);
    assert_eq!(audit.notes, ["there is no chat template to look at"]);
}

#[test]
fn smollm_2_from_its_gguf_file() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(".models/SmolLM2-135M-Instruct.Q4_1.gguf");
    if !path.exists() && std::env::var_os("CI").is_none() {
        eprintln!("not run: `{}` is not there, `cargo xtask demo` fetches it", path.display());
        return;
    }
    let audit = audit_of(&path);
    let turns = Some(["<|im_end|>", "<|im_start|>user"]);
    row(&audit, &["2 <|im_end|>"], &["0 <|endoftext|>"], turns, &[]);
    assert_eq!(audit.sources[0].name, "tokenizer.ggml.eos_token_id");
}
