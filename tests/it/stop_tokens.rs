//! What a model's files say of its stop tokens: small models whose sources disagree, and real tokenizers of six families.

mod families;
mod gemma;
mod real;
mod runs;
mod streams;

use std::{fs, path::Path};

use mlxk_harness::{
    checkpoint::{Description, Location},
    cli::Exit,
    text::stops::Audit,
};
use serde_json::{Value, json};

use super::harness::Harness;

/// The template of a family, with what it writes after a turn and before the roles.
fn template(end: &str, user: &str, assistant: &str) -> String {
    format!(
        "{{% for m in messages %}}{{{{ '{user}' if m.role == 'user' else '{assistant}' }}}}{{{{ m.content }}}}{end}\
         {{% endfor %}}{{% if add_generation_prompt %}}{assistant}{{% endif %}}"
    )
}

/// A `tokenizer.json` in which these tokens are special.
fn tokenizer(tokens: &[(u32, &str)]) -> Value {
    let vocabulary = tokens.iter().map(|&(id, text)| (text.to_owned(), json!(id)));
    let vocabulary: serde_json::Map<_, _> =
        vocabulary.chain([("a".to_owned(), json!(0))]).collect();
    let added: Vec<Value> = tokens
        .iter()
        .map(|&(id, text)| {
            json!({"id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": false, "special": true})
        })
        .collect();
    json!({"version": "1.0", "added_tokens": added, "model": {"type": "BPE", "vocab": vocabulary, "merges": []}})
}

/// The audit of a folder with these files.
fn audit(files: &[(&str, Value)]) -> Audit {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content.to_string()).unwrap();
    }
    audit_of(folder.path())
}

fn audit_of(folder: &Path) -> Audit {
    let location = Location::find(folder.to_str().unwrap(), None).unwrap();
    Audit::of(&Description::read(location).unwrap()).unwrap()
}

fn in_force(audit: &Audit) -> Vec<u32> {
    audit.in_force.iter().map(|token| token.id).collect()
}

fn lacks(audit: &Audit) -> Vec<&str> {
    audit.lacks.iter().map(|lack| lack.sentence.as_str()).collect()
}

#[test]
fn phi_3_without_an_id_lacks_the_end_of_its_turn() {
    let chat = template("<|end|>\n", "<|user|>\n", "<|assistant|>\n");
    let tokens = [
        (32_000, "<|endoftext|>"),
        (32_001, "<|assistant|>"),
        (32_007, "<|end|>"),
        (32_010, "<|user|>"),
    ];
    let audit = audit(&[
        ("config.json", json!({"model_type": "phi3", "eos_token_id": null})),
        ("tokenizer.json", tokenizer(&tokens)),
        ("tokenizer_config.json", json!({"eos_token": "<|endoftext|>", "chat_template": chat})),
    ]);
    assert_eq!(in_force(&audit), [32_000]);
    assert_eq!(
        lacks(&audit),
        [
            "`config.json` names no stop token",
            "no file names `<|end|>` (32007), which the chat template writes after a turn",
        ]
    );
    let turns = audit.template.unwrap();
    assert_eq!(turns.user_header.as_deref(), Some("<|user|>"));
    assert_eq!(turns.assistant_header.as_deref(), Some("<|assistant|>"));
}

#[test]
fn gpt_oss_that_names_only_one_of_its_ends_lacks_the_other() {
    let tokens = [
        (200_002, "<|return|>"),
        (200_005, "<|channel|>"),
        (200_006, "<|start|>"),
        (200_007, "<|end|>"),
        (200_008, "<|message|>"),
    ];
    let chat = "{% for m in messages %}<|start|>{{ m.role }}{{ '<|channel|>final' if m.role == 'assistant' }}<|message|>\
                {{ m.content }}{{ '<|return|>' if loop.last and not add_generation_prompt else '<|end|>' }}{% endfor %}\
                {% if add_generation_prompt %}<|start|>assistant{% endif %}";
    let audit = audit(&[
        ("config.json", json!({"model_type": "gpt_oss", "eos_token_id": 200_002})),
        ("tokenizer.json", tokenizer(&tokens)),
        ("tokenizer_config.json", json!({"eos_token": "<|return|>", "chat_template": chat})),
    ]);
    assert_eq!(in_force(&audit), [200_002]);
    let by = "which the chat template writes after a turn, ends messages in channels";
    assert_eq!(lacks(&audit), [format!("no file names `<|end|>` (200007), {by}")]);
    let turns = audit.template.unwrap();
    let marks =
        [&turns.end_between, &turns.end_last].map(|mark| mark.as_ref().unwrap().text.as_str());
    assert_eq!(marks, ["<|end|>", "<|return|>"]);
    assert_eq!(turns.assistant_header.as_deref(), Some("<|start|>assistant"));
}

#[test]
fn a_conversion_of_gemma_may_lack_the_end_of_a_turn() {
    let chat = template("<end_of_turn>\n", "<start_of_turn>user\n", "<start_of_turn>model\n");
    let tokens = [(1, "<eos>"), (2, "<bos>"), (105, "<start_of_turn>"), (106, "<end_of_turn>")];
    let files = |generation: Option<Value>| {
        let mut files = vec![
            ("config.json", json!({"model_type": "gemma3_text", "eos_token_id": 1})),
            ("tokenizer.json", tokenizer(&tokens)),
            (
                "tokenizer_config.json",
                json!({"bos_token": "<bos>", "eos_token": "<eos>", "chat_template": chat}),
            ),
        ];
        files.extend(generation.map(|file| ("generation_config.json", file)));
        audit(&files)
    };
    let lacking = files(None);
    assert_eq!(in_force(&lacking), [1]);
    assert_eq!(
        lacks(&lacking),
        ["no file names `<end_of_turn>` (106), which the chat template writes after a turn"]
    );
    let whole = files(Some(json!({"eos_token_id": [1, 106]})));
    assert_eq!(in_force(&whole), [1, 106]);
    assert_eq!(
        lacks(&whole),
        [
            "`config.json` lacks `<end_of_turn>` (106), which `generation_config.json` names, the chat template writes \
             after a turn"
        ]
    );
}

#[test]
fn llama_3_names_three_tokens_everywhere() {
    let (user, assistant) = (
        "<|start_header_id|>user<|end_header_id|>\n\n",
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
    );
    let chat = template("<|eot_id|>", user, assistant);
    let tokens = [
        (128_001, "<|end_of_text|>"),
        (128_006, "<|start_header_id|>"),
        (128_007, "<|end_header_id|>"),
        (128_008, "<|eom_id|>"),
        (128_009, "<|eot_id|>"),
    ];
    let ids = json!([128_001, 128_008, 128_009]);
    let audit = audit(&[
        ("config.json", json!({"model_type": "llama", "eos_token_id": ids})),
        ("generation_config.json", json!({"eos_token_id": ids})),
        ("tokenizer.json", tokenizer(&tokens)),
        ("tokenizer_config.json", json!({"eos_token": "<|eot_id|>", "chat_template": chat})),
        ("special_tokens_map.json", json!({"eos_token": {"content": "<|eot_id|>"}})),
    ]);
    assert_eq!(in_force(&audit), [128_001, 128_008, 128_009]);
    assert_eq!(lacks(&audit), [""; 0]);
    let names: Vec<_> = audit.sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "config.json",
            "generation_config.json",
            "tokenizer_config.json",
            "special_tokens_map.json"
        ]
    );
    assert_eq!(audit.tokens.last().unwrap().named_by, names);
}

#[test]
fn what_a_passed_over_file_names_is_told() {
    let audit = audit(&[
        ("config.json", json!({"model_type": "llama", "eos_token_id": 2})),
        ("tokenizer.json", tokenizer(&[(2, "</s>"), (7, "<|im_end|>")])),
        // In the newer form this file prevails over the one below.
        ("tokenizer_config.json", json!({"eos_token": "</s>", "added_tokens_decoder": {}})),
        ("special_tokens_map.json", json!({"eos_token": "<|im_end|>"})),
    ]);
    assert_eq!(
        lacks(&audit),
        ["`<|im_end|>` (7) is not in force, though it is one that `special_tokens_map.json` names"]
    );
}

#[test]
fn what_is_named_and_no_token_is_told() {
    let audit = audit(&[
        ("config.json", json!({"model_type": "llama", "eos_token_id": [2, 9]})),
        ("tokenizer.json", tokenizer(&[(2, "</s>")])),
        ("tokenizer_config.json", json!({"eos_token": "<gone>"})),
    ]);
    assert_eq!(
        lacks(&audit),
        [
            "`config.json` names 9, which is no token",
            "`tokenizer_config.json` names `<gone>`, which is no token",
        ]
    );
    assert_eq!(audit.notes, ["there is no chat template to look at"]);
}

#[test]
fn a_marker_that_is_no_token_is_still_what_the_template_writes() {
    let audit = audit(&[
        ("config.json", json!({"model_type": "llama", "eos_token_id": 2})),
        ("tokenizer.json", tokenizer(&[(2, "</s>")])),
        (
            "tokenizer_config.json",
            json!({"chat_template": template("<|im_end|>\n", "<|im_start|>user\n", "<|im_start|>assistant\n")}),
        ),
    ]);
    let terms = audit.terms();
    let end = terms.turn_end.unwrap();
    assert_eq!((end.text.as_str(), end.id), ("<|im_end|>", None));
    assert_eq!(terms.user_header.as_deref(), Some("<|im_start|>user"));
}

#[test]
fn show_prints_the_audit() {
    let chat = template("<end_of_turn>\n", "<start_of_turn>user\n", "<start_of_turn>model\n");
    let tokens = [(1, "<eos>"), (2, "<bos>"), (105, "<start_of_turn>"), (106, "<end_of_turn>")];
    let harness = || {
        Harness::new()
            .file(
                "g/config.json",
                json!({"model_type": "gemma3_text", "eos_token_id": 1}).to_string(),
            )
            .file("g/tokenizer.json", tokenizer(&tokens).to_string())
            .file(
                "g/tokenizer_config.json",
                json!({"eos_token": "<eos>", "chat_template": chat}).to_string(),
            )
    };
    let stdout = "\
model                       g
in force                    1 <eos>
config.json                 1 <eos>
tokenizer_config.json       1 <eos>
template, after a turn      106 <end_of_turn>
template, after the last    106 <end_of_turn>
user begins with            <start_of_turn>user
assistant begins with       <start_of_turn>model

end tokens of the vocabulary
<eos>                             1  in force      special
<end_of_turn>                   106  not in force  special

no file names `<end_of_turn>` (106), which the chat template writes after a turn
";
    harness().args(["show", "./g", "--stop-tokens"]).stdout(stdout).exit(Exit::Ok);
    let answer = harness().args(["show", "./g", "--stop-tokens", "--json"]).answer();
    let shown: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(shown["stop_tokens"]["in_force"], json!([{"id": 1, "text": "<eos>"}]));
    assert_eq!(
        shown["stop_tokens"]["lacks"][0]["token"],
        json!({"id": 106, "text": "<end_of_turn>"})
    );
    assert_eq!(shown["stop_tokens"]["tokens"][1]["held"], "special");
}
