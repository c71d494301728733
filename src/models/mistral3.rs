//! Mistral 3: the text half is a Llama, a Ministral 3 or a Mistral 4.
//!
//! Reference: `mlx_lm.models.mistral3`. As there, the caches of sliding layers keep every token, and a missing
//! `tie_word_embeddings` means untied.

use super::{ministral3, mistral4, prelude::*};
use crate::checkpoint::Description;

pub(super) const FAMILY: Family = Family::decoder(&["llava", "mistral3"], |checkpoint| {
    wrapper::keep_text(checkpoint, &[("tie_word_embeddings", false.into())])?;
    text(checkpoint).map(wrapper::with_plain_caches)
});

/// Whether the text half is a Mistral 4, which no [`Recipe`] describes.
pub(super) fn holds_mistral4(description: &Description) -> bool {
    let config = description.config();
    let named = |place: &str, family: &Family| {
        let name = config.pointer(place).and_then(serde_json::Value::as_str);
        name.is_some_and(|name| family.model_types.contains(&name))
    };
    named("/model_type", &FAMILY) && named("/text_config/model_type", &mistral4::FAMILY)
}

#[derive(Deserialize)]
struct Config {
    model_type: Option<String>,
}

/// The recipe of a text half; of one that is not known by name a Llama's.
fn text(checkpoint: &Checkpoint<'_>) -> Result<Recipe, LoadError> {
    let config: Config = checkpoint.config()?;
    let is_ministral = |name: &str| ministral3::FAMILY.model_types.contains(&name);
    if config.model_type.as_deref().is_some_and(is_ministral) {
        ministral3::recipe(checkpoint)
    } else {
        llama::read(checkpoint)
    }
}
