//! Counts and sizes of a configuration that no model has are refused before anything is made of them.
//!
//! What is multiplied with each other fits into 32 bits then: a count with a width, three counts with a dimension.

use serde_json::Value;

use super::LoadError;

/// The largest number that keys may have of which the name contains one of these words and none of [`OTHERS`].
const LARGEST: [(&[&str], u64); 3] = [
    (&["dim", "rank", "state"], 1 << 17),
    (&["hidden_size", "intermediate_size", "n_embd", "n_inner", "d_model", "_width"], 1 << 19),
    (&["layer", "expert", "head", "group", "num_inputs", "multiple_of"], 4095),
];

/// Words of keys that neither count nor measure a part of the model.
const OTHERS: [&str; 6] = ["_id", "index", "token_", "group_size", "max_", "vocab"];

/// Refuses a configuration that speaks of more or wider parts than any model has.
pub(super) fn check(config: &Value) -> Result<(), LoadError> {
    let Some(config) = config.as_object() else {
        return Ok(());
    };
    for (key, value) in config {
        let count = value.as_u64().or_else(|| value.as_i64().map(i64::unsigned_abs));
        if count.is_some_and(|count| count > largest(key)) {
            return Err(LoadError::Unsupported { what: format!("`{key}` of {value}") });
        }
        check(value)?;
    }
    Ok(())
}

/// The largest number that `key` may have.
fn largest(key: &str) -> u64 {
    let has = |words: &[&str]| words.iter().any(|word| key.contains(word));
    let known = LARGEST.iter().find(|(words, _)| has(words) && !has(&OTHERS));
    known.map_or(u64::MAX, |(_, largest)| *largest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn refused(config: &Value, expected: Option<&str>) {
        let refusal = check(config).err().map(|error| error.to_string());
        let expected =
            expected.map(|what| format!("`config.json` asks for {what}, which is not implemented"));
        assert_eq!(refusal, expected);
    }

    #[test]
    fn no_configuration_has_a_billion_layers_or_heads() {
        refused(
            &json!({"text_config": {"n_layer": 1_u64 << 40}}),
            Some("`n_layer` of 1099511627776"),
        );
        refused(&json!({"num_local_experts": 4096}), Some("`num_local_experts` of 4096"));
        refused(&json!({"num_attention_heads": -4096}), Some("`num_attention_heads` of -4096"));
        refused(&json!({"head_dim": 131_073}), Some("`head_dim` of 131073"));
        refused(
            &json!({"moe_intermediate_size": 1 << 20}),
            Some("`moe_intermediate_size` of 1048576"),
        );
    }

    #[test]
    fn what_models_have_is_taken() {
        refused(&json!({"num_hidden_layers": 4095, "hidden_size": 16_384}), None);
        refused(&json!({"vocab_size": 1_u64 << 40, "max_position_embeddings": 10_485_760}), None);
        refused(
            &json!({"image_token_index": 262_144, "boi_token_id": 255_999, "group_size": 128}),
            None,
        );
        // Gemma 3n and 4 have this.
        refused(&json!({"vocab_size_per_layer_input": 262_144}), None);
        refused(&json!({"layer_norm_eps": 1e-5, "head_dim": 256, "kv_lora_rank": 512}), None);
    }
}
