//! Tokenizers small enough to be spelled out, for the tests here.

use serde_json::{Map, Value, json};

use super::{Tokenizer, config::TokenizerConfig};

/// The names that every sample gives its special tokens.
pub(super) fn config() -> TokenizerConfig {
    let special_tokens = [("bos_token", "<s>"), ("eos_token", "</s>")];
    TokenizerConfig {
        special_tokens: special_tokens.map(|(name, token)| (name.into(), token.into())).into(),
        ..TokenizerConfig::default()
    }
}

/// A tokenizer with these parts, in which `<s>`, `</s>` and `<é▁>` are special.
fn tokenizer(mut parts: Value) -> Tokenizer {
    let special = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    let file = parts.as_object_mut().unwrap();
    file.insert("version".to_owned(), json!("1.0"));
    let tokens = [special(0, "<s>"), special(1, "</s>"), special(2, "<é▁>")];
    file.insert("added_tokens".to_owned(), json!(tokens));
    Tokenizer::from_parts(parts.to_string().parse().unwrap(), config()).unwrap()
}

/// Bytes and the merges `h e`, `he l`, `Ġ h`; ids 0 to 2 are special, 3 to 258 the bytes in their order.
pub(super) fn byte_level() -> Tokenizer {
    byte_level_with(&json!(null))
}

/// The same, beginning a text with `<s>` and ending it with `</s>`.
pub(super) fn byte_level_wrapped() -> Tokenizer {
    byte_level_with(&wrapping())
}

fn byte_level_with(processor: &Value) -> Tokenizer {
    let mut vocabulary = specials();
    for byte in 0..=255u8 {
        vocabulary.insert(spelled(byte).to_string(), json!(vocabulary.len()));
    }
    for merged in ["he", "hel", "Ġh"] {
        vocabulary.insert(merged.to_owned(), json!(vocabulary.len()));
    }
    let parts = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    tokenizer(json!({
        "model": {"type": "BPE", "vocab": vocabulary, "merges": ["h e", "he l", "Ġ h"]},
        "pre_tokenizer": parts, "decoder": parts, "post_processor": processor,
    }))
}

/// Words with a sign for spaces and tokens for all bytes: ids 3 to 258 are the bytes.
pub(super) fn byte_fallback() -> Tokenizer {
    let mut vocabulary = specials();
    for byte in 0..=255u8 {
        vocabulary.insert(format!("<0x{byte:02X}>"), json!(vocabulary.len()));
    }
    for piece in ["▁", "a", "b", "▁a", "é"] {
        vocabulary.insert(piece.to_owned(), json!(vocabulary.len()));
    }
    let model = json!({"type": "BPE", "vocab": vocabulary, "merges": ["▁ a"], "unk_token": "<s>",
                       "byte_fallback": true, "fuse_unk": true});
    tokenizer(json!({"model": model, "decoder": byte_fallback_decoder()}))
}

/// Bytes, and `pieces` as tokens of their own, with their ids.
pub(super) fn byte_level_of(pieces: &[&[u8]]) -> (Tokenizer, Vec<u32>) {
    let spell = |piece: &[u8]| piece.iter().map(|&byte| spelled(byte)).collect::<String>();
    let mut vocabulary = specials();
    for byte in 0..=255u8 {
        vocabulary.insert(spelled(byte).to_string(), json!(vocabulary.len()));
    }
    for piece in pieces {
        let next = json!(vocabulary.len());
        vocabulary.entry(spell(piece)).or_insert(next);
    }
    let ids = pieces.iter().map(|piece| id(&vocabulary, &spell(piece))).collect();
    let parts = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let model = json!({"type": "BPE", "vocab": vocabulary, "merges": []});
    (tokenizer(json!({"model": model, "pre_tokenizer": parts, "decoder": parts})), ids)
}

/// A sign for spaces, tokens for bytes, and those of `pieces` that are text as tokens of their own; others are spelled with
/// bytes.
pub(super) fn byte_fallback_of(pieces: &[&[u8]]) -> (Tokenizer, Vec<u32>) {
    let mut vocabulary = specials();
    for byte in 0..=255u8 {
        vocabulary.insert(format!("<0x{byte:02X}>"), json!(vocabulary.len()));
    }
    let mut ids = Vec::new();
    for piece in pieces {
        if let Ok(text) = std::str::from_utf8(piece) {
            let next = json!(vocabulary.len());
            let text = text.replace(' ', "▁");
            vocabulary.entry(text.clone()).or_insert(next);
            ids.push(id(&vocabulary, &text));
        } else {
            ids.extend(piece.iter().map(|byte| id(&vocabulary, &format!("<0x{byte:02X}>"))));
        }
    }
    let model = json!({"type": "BPE", "vocab": vocabulary, "merges": [], "byte_fallback": true});
    (tokenizer(json!({"model": model, "decoder": byte_fallback_decoder()})), ids)
}

fn id(vocabulary: &Map<String, Value>, token: &str) -> u32 {
    u32::try_from(vocabulary[token].as_u64().unwrap()).unwrap()
}

fn byte_fallback_decoder() -> Value {
    json!({"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ]})
}

/// Whole words, put together by the decoder given.
pub(super) fn words(decoder: &Value) -> Tokenizer {
    let mut vocabulary = specials();
    for word in ["▁a", "▁b", "c", "##d", "e</w>", "▁", "'", "\u{FFFD}"] {
        vocabulary.insert(word.to_owned(), json!(vocabulary.len()));
    }
    let model = json!({"type": "WordLevel", "vocab": vocabulary, "unk_token": "<s>"});
    tokenizer(json!({"model": model, "pre_tokenizer": {"type": "Whitespace"}, "decoder": decoder}))
}

fn specials() -> Map<String, Value> {
    let tokens = ["<s>", "</s>", "<é▁>"].into_iter().zip(0..);
    tokens.map(|(token, id)| (token.to_owned(), json!(id))).collect()
}

fn wrapping() -> Value {
    let piece = |name: &str| json!({"SpecialToken": {"id": name, "type_id": 0}});
    let text = json!({"Sequence": {"id": "A", "type_id": 0}});
    json!({
        "type": "TemplateProcessing",
        "single": [piece("<s>"), text, piece("</s>")], "pair": [piece("<s>"), text, piece("</s>")],
        "special_tokens": {
            "<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]},
            "</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]},
        },
    })
}

/// The printable stand-in of a byte, by the rule of GPT-2: others follow from `Ā` on, in order.
fn spelled(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    if printable(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&other| !printable(other)).count();
    char::from_u32(0x100 + u32::try_from(before).unwrap()).unwrap()
}
