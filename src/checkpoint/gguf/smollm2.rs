//! Checks on a real model, `SmolLM2-135M-Instruct` with `Q4_1` matrices and a `Q8_0` embedding.

use std::path::Path;

use serde_json::json;

use super::{Gguf, open};
use crate::plan::ElementType;

/// The model that real tests run on, which `cargo xtask test` fetches.
const SMOLLM2: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/.models/SmolLM2-135M-Instruct.Q4_1.gguf");

/// The real model; none, with a word on standard error, where it was not fetched.
fn model() -> Option<Gguf> {
    let path = Path::new(SMOLLM2);
    if !path.exists() {
        eprintln!("skipped: `{SMOLLM2}` is missing, `cargo xtask test` fetches it");
        return None;
    }
    Some(open(path).unwrap())
}

#[test]
fn the_configuration_of_a_real_model_is_that_of_the_original() {
    let Some(gguf) = model() else { return };
    assert_eq!(gguf.size_bytes, 98_362_432);
    assert_eq!(gguf.element(), ElementType::Float16);
    let expected = json!({
        "model_type": "llama", "hidden_size": 576, "num_hidden_layers": 30, "intermediate_size": 1536,
        "num_attention_heads": 9, "num_key_value_heads": 3, "head_dim": 64, "rms_norm_eps": 1e-5,
        "rope_theta": 100_000.0, "vocab_size": 49152, "max_position_embeddings": 8192,
        "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2,
        "quantization": {
            "group_size": 32, "bits": 4, "mode": "affine",
            "model.embed_tokens": {"group_size": 32, "bits": 8, "mode": "affine"},
        },
    });
    assert_eq!(gguf.config, expected);
}

#[test]
fn the_tensors_of_a_real_model_are_those_that_the_reader_of_mlx_finds() {
    let Some(gguf) = model() else { return };
    let tensors = gguf.tensors().unwrap();
    // 211 packed matrices of three parts each, and 61 norms.
    assert_eq!(tensors.len(), 211 * 3 + 61);
    let theirs = mlx_rs::io::GgufFile::load(SMOLLM2).unwrap();
    for (ours, name) in [
        ("model.embed_tokens", "token_embd"),
        ("model.layers.7.mlp.down_proj", "blk.7.ffn_down"),
        ("model.layers.29.self_attn.v_proj", "blk.29.attn_v"),
    ] {
        for part in ["weight", "scales", "biases"] {
            let theirs = theirs.get_array(&format!("{name}.{part}")).unwrap().unwrap();
            let ours = &tensors[&format!("{ours}.{part}")];
            assert_eq!(ours.dtype(), theirs.dtype());
            assert!(ours.eq_values(&theirs).unwrap(), "{name}.{part}");
        }
    }
}

#[test]
fn the_tokenizer_of_a_real_model_gives_the_ids_of_the_original() {
    let Some(gguf) = model() else { return };
    let parts = gguf.tokenizer().unwrap().unwrap();
    assert_eq!(parts.special_tokens["eos_token"], "<|im_end|>");
    assert!(parts.chat_template.unwrap().contains("<|im_start|>"));
    // The right-hand sides are what Hugging Face's tokenizer of the same model gives.
    let case = |text: &str, expected: &[u32]| {
        assert_eq!(parts.tokenizer.encode(text, true).unwrap().get_ids(), expected, "{text}");
    };
    case("The capital of France is Paris.", &[504, 3575, 282, 4649, 314, 7042, 30]);
    case(
        "  def f(x):\n\treturn x ** 2",
        &[216, 753, 275, 24, 104, 727, 198, 197, 5406, 1792, 1903, 216, 34],
    );
    case(
        "In 2024 I'll pay 1,234.56",
        &[788, 216, 34, 32, 34, 36, 339, 3060, 2290, 216, 33, 28, 34, 35, 36, 30, 37, 38],
    );
    case(
        "Ünïcödé 你好 🙂",
        &[142, 246, 94, 25972, 83, 7466, 84, 2756, 216, 18645, 250, 48392, 138, 47526],
    );
    case("<|im_start|>user\nhi<|im_end|>", &[1, 4093, 198, 6004, 2]);
}
