//! Counts of a configuration that no memory could hold are refused before anything is made of them.

use serde_json::Value;

use super::LoadError;

/// Layers or experts that a configuration may speak of.
const MOST: u64 = 65_536;

/// Refuses a configuration that speaks of more layers or experts than memory could describe.
pub(super) fn check(config: &Value) -> Result<(), LoadError> {
    let Some(config) = config.as_object() else {
        return Ok(());
    };
    for (key, value) in config {
        let counts = key.contains("layer") || key.contains("expert");
        if counts && value.as_u64().is_some_and(|count| count > MOST) {
            return Err(LoadError::Unsupported { what: format!("`{key}` of {value}") });
        }
        check(value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_configuration_has_a_billion_layers() {
        let refused = |config| check(&config).err().map(|error| error.to_string());
        assert_eq!(refused(json!({"num_hidden_layers": 65_536, "vocab_size": 1_u64 << 40})), None);
        let expected =
            "`config.json` asks for `n_layer` of 1099511627776, which is not implemented";
        let nested = json!({"text_config": {"n_layer": 1_u64 << 40}});
        assert_eq!(refused(nested).as_deref(), Some(expected));
        assert!(refused(json!({"num_local_experts": 1_u64 << 40})).is_some());
    }
}
