//! Prompts of an exact length through the tokenizers and chat templates of five real models.
//!
//! `cargo xtask tokenizers` and `cargo xtask demo` fetch them.

use std::{collections::HashSet, path::Path};

use mlxk_harness::{
    plan::{PROMPTS, Passages},
    text::{ExactPrompt, TextError, Tokenizer, Wanted},
};
use sha2::{Digest, Sha256};

use crate::real;

/// Lengths of prompts: short ones, the usual ones, and one in which texts are read again.
const LENGTHS: [usize; 5] = [64, 127, 512, 2048, 3001];

/// A tokenizer that was fetched, or none; CI fetches all, and fails without.
fn fetched(name: &str) -> Option<Tokenizer> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".models/tokenizers").join(name);
    if !folder.exists() && std::env::var_os("CI").is_none() {
        eprintln!(
            "not run: `{}` is not there, `cargo xtask tokenizers` fetches it",
            folder.display()
        );
        return None;
    }
    Some(Tokenizer::from_folder(&folder).unwrap().unwrap())
}

fn turn(
    tokenizer: &Tokenizer,
    passages: &Passages,
    index: u32,
    length: usize,
) -> Result<Vec<u32>, TextError> {
    ExactPrompt::turn(tokenizer, Wanted { passages, index, length })?.ids(tokenizer)
}

/// The first eight digits of the SHA-256 of ids, each as four little-endian bytes.
fn hash(ids: &[u32]) -> String {
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let digest = Sha256::digest(bytes);
    format!("{:08x}", u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]))
}

/// Checks every length and prompt, what the template writes around what is said, the least length, and the hashes of the
/// four prompts of 512 tokens.
#[track_caller]
fn case(tokenizer: &Tokenizer, (before, after): (&str, &str), least: usize, hashes: [&str; 4]) {
    let shipped = Passages::shipped();
    for length in LENGTHS {
        let mut all = HashSet::new();
        for index in 0..PROMPTS {
            let ids = turn(tokenizer, &shipped, index, length).unwrap();
            assert_eq!(ids.len(), length, "prompt {index}");
            let text = tokenizer.decode(&ids).unwrap();
            let said = shipped.stretch(index, 1);
            let (head, tail) = text.split_once(&said[..40]).expect("it holds what is said");
            assert!(head.ends_with(before) && tail.ends_with(after), "{head:?} {tail:?}");
            all.insert(ids);
        }
        assert_eq!(all.len(), 4, "no two prompts of {length} tokens are the same");
    }
    let of = |index| hash(&turn(tokenizer, &shipped, index, 512).unwrap());
    assert_eq!([0, 1, 2, 3].map(of), hashes);
    let refused = turn(tokenizer, &shipped, 0, least - 1).unwrap_err();
    assert!(
        matches!(refused, TextError::TooShort { minimum, .. } if minimum == least),
        "{refused}"
    );
    assert_eq!(turn(tokenizer, &shipped, 0, least).unwrap().len(), least);
}

#[test]
fn smollm2() {
    let Some(opened) = real::model() else { return };
    let around = ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n");
    case(&opened.tokenizer.unwrap(), around, 31, ["f9d4c59a", "b0de535a", "833bc836", "d204da3c"]);
}

#[test]
fn qwen_3() {
    let Some(tokenizer) = fetched("qwen3") else { return };
    let around = ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n");
    case(&tokenizer, around, 9, ["c976a1f3", "b0352221", "a4474643", "1219eb56"]);
}

#[test]
fn gemma_3() {
    let Some(tokenizer) = fetched("gemma3") else { return };
    let around = ("<bos><start_of_turn>user\n", "<end_of_turn>\n<start_of_turn>model\n");
    case(&tokenizer, around, 10, ["0abd16a4", "02b64fb4", "79db1089", "cb49a52e"]);
}

#[test]
fn llama_3_1() {
    let Some(tokenizer) = fetched("llama3_1") else { return };
    let around = (
        "<|start_header_id|>user<|end_header_id|>\n\n",
        "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    );
    case(&tokenizer, around, 11, ["e60b83da", "89cd0963", "d03a495a", "d07683b5"]);
}

#[test]
fn deepseek_v3() {
    let Some(tokenizer) = fetched("deepseek_v3") else { return };
    let around = ("<｜User｜>", "<｜Assistant｜>");
    case(&tokenizer, around, 4, ["bc3b04a7", "2ce89bcc", "1f355aa6", "5f9ac090"]);
}

/// Any UTF-8 will do, also where a character has several tokens.
#[test]
fn a_text_of_the_user_is_cut_to_length_as_well() {
    let Some(tokenizer) = fetched("qwen3") else { return };
    let text = "Über den Wolken, 雲の上に, 🦊🦊 и дальше. ";
    let passages = Passages::of_text(text).unwrap();
    for length in 20..120 {
        for index in 0..PROMPTS {
            assert_eq!(turn(&tokenizer, &passages, index, length).unwrap().len(), length);
        }
    }
}
