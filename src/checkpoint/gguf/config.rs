//! The metadata of a GGUF file, told as the `config.json` of the same model.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    architecture::Architecture,
    header::Header,
    keys::{ConfigError, Keys},
    metadata::needed,
    rope,
    tensor_info::TensorInfo,
    tensor_type::BLOCK,
    tokens::{self, token_id},
};

/// The `config.json` of the model in a file with this header.
///
/// `rope_factors` are the values of `rope_freqs.weight`, where there is such a tensor.
pub(super) fn config(keys: &Keys<'_>, rope_factors: Option<&[f32]>) -> Result<Value, ConfigError> {
    keys.refuse_extras()?;
    let embedding = "token_embd.weight";
    let embedding =
        keys.header.tensor(embedding).ok_or(ConfigError::MissingTensor { tensor: embedding })?;
    let eps = "attention.layer_norm_rms_epsilon";
    let mut config = json!({
        "model_type": keys.architecture.model_type(),
        "hidden_size": keys.needed_count("embedding_length")?,
        "num_hidden_layers": keys.needed_count("block_count")?,
        "intermediate_size": keys.needed_count("feed_forward_length")?,
        "num_attention_heads": keys.heads()?,
        "num_key_value_heads": keys.kv_heads()?,
        "head_dim": keys.head_dim()?,
        "rms_norm_eps": decimal(needed(keys.single(eps)?, &keys.full(eps))?),
        "rope_theta": decimal(keys.rope_theta()?),
        "vocab_size": embedding.shape.first().copied().unwrap_or(0),
        "max_position_embeddings": keys.needed_count("context_length")?,
        "tie_word_embeddings": keys.header.tensor("output.weight").is_none(),
    });
    let more = [
        rope::scaling(keys, rope_factors)?.map(|scaling| ("rope_scaling", scaling)),
        quantization(keys)?.map(|quantization| ("quantization", quantization)),
    ];
    if let Some(config) = config.as_object_mut() {
        let more = more.into_iter().flatten().chain(special_ids(keys)?);
        let own = match keys.architecture {
            Architecture::Gemma2 => gemma2(keys)?,
            Architecture::Gemma3 => gemma3(keys)?,
            Architecture::Phi3 => phi3(keys)?,
            Architecture::Llama | Architecture::Qwen2 | Architecture::Qwen3 => Vec::new(),
        };
        config.extend(more.chain(own).map(|(key, value)| (key.to_owned(), value)));
    }
    Ok(config)
}

/// Ids that begin and end a text; of several that end one, a list.
fn special_ids(keys: &Keys<'_>) -> Result<Vec<(&'static str, Value)>, ConfigError> {
    let id = |name| token_id(&keys.header.metadata, name);
    let mut found = Vec::new();
    found.extend(id("bos")?.map(|bos| ("bos_token_id", json!(bos))));
    let mut ends = Vec::new();
    for (_, name) in tokens::ENDS {
        ends.extend(id(name)?.filter(|end| !ends.contains(end)));
    }
    found.extend(match ends.as_slice() {
        [] => None,
        [end] => Some(("eos_token_id", json!(end))),
        _ => Some(("eos_token_id", json!(ends))),
    });
    Ok(found)
}

/// What Gemma 2 has beyond the others.
fn gemma2(keys: &Keys<'_>) -> Result<Vec<(&'static str, Value)>, ConfigError> {
    let cap = |key: &str, default| keys.single(key).map(|cap| decimal(cap.unwrap_or(default)));
    Ok(vec![
        ("attn_logit_softcapping", cap("attn_logit_softcapping", 50.0)?),
        ("final_logit_softcapping", cap("final_logit_softcapping", 30.0)?),
        ("query_pre_attn_scalar", json!(query_scale(keys, 46)?)),
    ])
}

/// What Phi 3 has beyond the others: positions may turn only a part of each head.
fn phi3(keys: &Keys<'_>) -> Result<Vec<(&'static str, Value)>, ConfigError> {
    let head_dim = keys.head_dim()?;
    let turned = keys.count("rope.dimension_count")?.unwrap_or(head_dim);
    if turned == 0 || turned > head_dim || !turned.is_multiple_of(2) {
        return Err(keys.unsupported(
            "rope.dimension_count",
            format!("{turned} of {head_dim} elements of a head"),
        ));
    }
    let part = json!(turned as f64 / head_dim as f64);
    Ok(vec![("partial_rotary_factor", part)])
}

/// What queries of Gemma are scaled by. No key says it: the largest model alone, of so many layers, scales by width
/// and heads.
fn query_scale(keys: &Keys<'_>, layers_of_largest: u64) -> Result<u64, ConfigError> {
    if keys.needed_count("block_count")? != layers_of_largest {
        return keys.head_dim();
    }
    let (width, heads) = (keys.needed_count("embedding_length")?, keys.heads()?);
    Ok(width.checked_div(heads).unwrap_or(0))
}

/// What Gemma 3 has beyond the others.
fn gemma3(keys: &Keys<'_>) -> Result<Vec<(&'static str, Value)>, ConfigError> {
    let local = keys.single("rope.freq_base_swa")?.unwrap_or(1e4);
    Ok(vec![
        ("sliding_window", json!(keys.needed_count("attention.sliding_window")?)),
        (
            "sliding_window_pattern",
            json!(keys.count("attention.sliding_window_pattern")?.unwrap_or(6)),
        ),
        ("query_pre_attn_scalar", json!(query_scale(keys, 62)?)),
        ("rope_local_base_freq", decimal(local)),
    ])
}

/// How the matrices are packed: the commonest way, then every module that differs.
fn quantization(keys: &Keys<'_>) -> Result<Option<Value>, ConfigError> {
    let mut modules = Vec::new();
    let mut votes: BTreeMap<u32, usize> = BTreeMap::new();
    for tensor in matrices(keys.header) {
        let name = keys.architecture.mlx_name(&tensor.name).ok_or_else(|| ConfigError::Tensor {
            tensor: tensor.name.clone(),
            architecture: keys.architecture.name(),
        })?;
        let bits = tensor.kind.packed_bits();
        *votes.entry(bits.unwrap_or(0)).or_default() += 1;
        modules.push((name.trim_end_matches(".weight").to_owned(), bits));
    }
    votes.remove(&0);
    let Some((&common, _)) = votes.iter().max_by_key(|(_, votes)| **votes) else {
        return Ok(None);
    };
    let way = |bits: u32| {
        let entries =
            [("group_size", json!(BLOCK)), ("bits", json!(bits)), ("mode", json!("affine"))];
        entries.map(|(key, value)| (key.to_owned(), value)).into_iter().collect::<Map<_, _>>()
    };
    let mut entries = way(common);
    for (module, bits) in modules {
        match bits {
            Some(bits) if bits == common => {}
            Some(bits) => drop(entries.insert(module, way(bits).into())),
            None => drop(entries.insert(module, json!(false))),
        }
    }
    Ok(Some(entries.into()))
}

/// The tensors that a loader might look for packed.
fn matrices(header: &Header) -> impl Iterator<Item = &TensorInfo> {
    header.tensors.iter().filter(|tensor| tensor.shape.len() == 2)
}

/// The shortest decimal that means this number in single precision: `1e-5`, not `9.99999974e-6`.
pub(super) fn decimal(number: f32) -> Value {
    number.to_string().parse::<f64>().map_or(Value::Null, |number| json!(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::gguf::sample::Sample;

    fn read(sample: &Sample) -> Result<Value, ConfigError> {
        let bytes = sample.bytes();
        let header = Header::read(bytes.as_slice(), bytes.len() as u64).unwrap();
        config(&Keys::of(&header)?, None)
    }

    #[test]
    fn a_plain_model_has_the_keys_of_its_family() {
        let expected = json!({
            "model_type": "qwen2", "hidden_size": 8, "num_hidden_layers": 1, "intermediate_size": 16,
            "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 4, "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0, "vocab_size": 3, "max_position_embeddings": 64,
            "tie_word_embeddings": true,
        });
        assert_eq!(read(&Sample::model("qwen2")).unwrap(), expected);
    }

    #[test]
    fn gemma_has_a_window_a_scale_and_a_second_base() {
        let sample = Sample::model("gemma3").count("gemma3.attention.sliding_window", 512);
        let config = read(&sample).unwrap();
        assert_eq!(config["model_type"], "gemma3_text");
        assert_eq!(config["rope_theta"], 1e6);
        assert_eq!(config["rope_local_base_freq"], 1e4);
        assert_eq!(config["sliding_window"], 512);
        assert_eq!(config["sliding_window_pattern"], 6);
        assert_eq!(config["query_pre_attn_scalar"], 4);
    }

    #[test]
    fn gemma_2_has_caps_and_phi_turns_a_part_of_each_head() {
        let sample = Sample::model("gemma2").single("gemma2.attn_logit_softcapping", 20.0);
        let config = read(&sample).unwrap();
        assert_eq!(config["model_type"], "gemma2");
        assert_eq!(config["attn_logit_softcapping"], 20.0);
        assert_eq!(config["final_logit_softcapping"], 30.0);
        assert_eq!(config["query_pre_attn_scalar"], 4);
        let sample = Sample::model("phi3").count("phi3.rope.dimension_count", 2);
        assert_eq!(read(&sample).unwrap()["partial_rotary_factor"], 0.5);
        refused(
            &Sample::model("phi3").count("phi3.rope.dimension_count", 6),
            "key `phi3.rope.dimension_count` asks for 6 of 4 elements of a head, which is not supported",
        );
    }

    #[test]
    fn a_head_of_its_own_and_heads_of_their_own_size_are_found() {
        let sample = Sample::model("qwen3")
            .count("qwen3.attention.key_length", 6)
            .count("qwen3.attention.head_count_kv", 1)
            .floats("output.weight", &[8, 3], &[0.0; 24]);
        let config = read(&sample).unwrap();
        assert_eq!(config["tie_word_embeddings"], false);
        assert_eq!(config["head_dim"], 6);
        assert_eq!(config["num_key_value_heads"], 1);
    }

    #[test]
    fn ids_that_end_a_text_are_one_or_a_list() {
        let ids = |sample: Sample| read(&sample).unwrap().get("eos_token_id").cloned();
        let sample = || Sample::model("llama").count("tokenizer.ggml.eos_token_id", 0);
        assert_eq!(ids(Sample::model("llama")), None);
        assert_eq!(ids(sample()), Some(json!(0)));
        let none = Sample::model("llama").count("tokenizer.ggml.eos_token_id", u32::MAX);
        assert_eq!(ids(none), None);
        assert_eq!(ids(sample().count("tokenizer.ggml.eot_token_id", 0)), Some(json!(0)));
        assert_eq!(ids(sample().count("tokenizer.ggml.eot_token_id", 2)), Some(json!([0, 2])));
        let three = sample().count("tokenizer.ggml.eot_token_id", 2);
        let three = |eom| ids(three.clone().count("tokenizer.ggml.eom_token_id", eom));
        assert_eq!(three(1), Some(json!([0, 2, 1])));
        assert_eq!(three(0), Some(json!([0, 2])));
        let only = Sample::model("llama").count("tokenizer.ggml.eom_token_id", 1);
        assert_eq!(ids(only), Some(json!(1)));
    }

    #[test]
    fn modules_that_differ_from_the_common_packing_are_named() {
        let packed = |sample: Sample, name: &str, kind, bytes| {
            sample.tensor(&format!("blk.0.{name}.weight"), &[32, 1], kind, &vec![0; bytes])
        };
        let mut sample = Sample::model("llama");
        for name in ["ffn_up", "ffn_gate"] {
            sample = packed(sample, name, 3, 20);
        }
        sample = packed(sample, "ffn_down", 8, 34);
        let expected = json!({
            "group_size": 32, "bits": 4, "mode": "affine",
            "model.embed_tokens": false,
            "model.layers.0.mlp.down_proj": {"group_size": 32, "bits": 8, "mode": "affine"},
        });
        assert_eq!(read(&sample).unwrap()["quantization"], expected);
    }

    #[track_caller]
    fn refused(sample: &Sample, expected: &str) {
        assert_eq!(read(sample).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        refused(&Sample::default(), "key `general.architecture` is missing");
        refused(&Sample::model("mamba"), "no architecture `mamba` is read from GGUF files");
        refused(
            &Sample::model("llama").count("llama.expert_count", 8),
            "key `llama.expert_count` asks for 8 experts, which is not supported",
        );
        refused(
            &Sample::model("llama").count("llama.rope.dimension_count", 2),
            "key `llama.rope.dimension_count` asks for 2 of 4 elements of a head, which is not supported",
        );
        refused(
            &Sample::model("qwen2")
                .text("qwen2.rope.scaling.type", "yarn")
                .single("qwen2.rope.scaling.factor", 4.0),
            "key `qwen2.rope.scaling.type` asks for `yarn`, which is not supported",
        );
        refused(
            &Sample::default()
                .text("general.architecture", "llama")
                .count("llama.attention.head_count", 2),
            "key `llama.embedding_length` is missing",
        );
    }
}
