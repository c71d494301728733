//! The ids that end an answer.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Tokenizer;

/// All ids that end an answer: those of `config.json`, of `generation_config.json` and the tokenizer's.
///
/// `mlx-lm` lets the second replace the first and overlooks a single `0` there. This is the union,
/// and `0` is an id like any other. Only the top level of `config.json` counts.
pub fn stop_ids(
    config: &Value,
    generation_config: Option<&Value>,
    tokenizer: Option<&Tokenizer>,
) -> BTreeSet<u32> {
    let files = [Some(config), generation_config].into_iter().flatten();
    let mut ids: BTreeSet<u32> =
        files.filter_map(|file| file.get("eos_token_id")).flat_map(ids_of).collect();
    ids.extend(tokenizer.into_iter().flat_map(Tokenizer::eos_ids));
    ids
}

/// One id or a list of them; `null`, `-1` and the like name none.
pub(super) fn ids_of(value: &Value) -> Vec<u32> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match value.as_array() {
        Some(values) => values.iter().filter_map(id).collect(),
        None => id(value).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn case(config: &Value, generation_config: Option<&Value>, expected: &[u32]) {
        let ids = stop_ids(config, generation_config, None);
        assert_eq!(ids.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn ids_of_both_files_stop() {
        case(&json!({"eos_token_id": 2}), None, &[2]);
        case(&json!({"eos_token_id": 2}), Some(&json!({"eos_token_id": [1, 106]})), &[1, 2, 106]);
        case(&json!({}), Some(&json!({"eos_token_id": 7})), &[7]);
        case(&json!({"eos_token_id": [3, 4]}), Some(&json!({})), &[3, 4]);
    }

    #[test]
    fn zero_is_an_id() {
        case(&json!({"eos_token_id": 5}), Some(&json!({"eos_token_id": 0})), &[0, 5]);
    }

    #[test]
    fn what_names_no_id_stops_nothing() {
        for value in [json!(null), json!(-1), json!("</s>"), json!([null, -1])] {
            case(&json!({"eos_token_id": value}), None, &[]);
        }
        case(&json!({"text_config": {"eos_token_id": 9}}), None, &[]);
    }
}
