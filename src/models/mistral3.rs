//! Mistral 3: the text half is a Llama or a Ministral 3.
//!
//! Reference: `mlx_lm.models.mistral3`. As there, the caches of sliding layers keep every token, and a missing
//! `tie_word_embeddings` means untied.

use super::{ministral3, prelude::*};

pub(super) const FAMILY: Family = Family::decoder(&["llava", "mistral3"], |checkpoint| {
    wrapper::keep_text(checkpoint, &[("tie_word_embeddings", false.into())])?;
    text(checkpoint).map(wrapper::with_plain_caches)
});

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
