//! Architectures, one file a family.

mod apertus;
mod attention;
mod block;
mod cache;
mod cohere;
mod cohere2;
mod decoder;
mod deepseek_v2;
mod deepseek_v3;
mod dots1;
mod ernie4_5;
mod ernie4_5_moe;
mod exaone4;
mod falcon_h1;
mod feed_forward;
mod frame;
mod gated_delta;
mod gemma;
mod gemma2;
mod gemma3;
mod gemma3n;
mod gemma4;
mod glm;
mod glm4;
mod glm4_moe;
mod glm4_moe_lite;
mod gpt2;
mod gpt_neox;
mod gpt_oss;
mod granite;
mod granitemoe;
mod granitemoehybrid;
mod growth;
mod helium;
mod hunyuan_v1_dense;
mod hybrid;
mod internlm2;
mod internlm3;
mod keys;
mod latent;
mod lending;
mod lfm2;
mod lfm2_moe;
mod lille;
mod llama;
mod llama4;
mod llama4_text;
mod mamba2;
mod mimo;
mod minicpm;
mod minicpm3;
mod minimax;
mod ministral3;
mod mistral3;
mod mistral4;
mod mixtral;
mod mixture;
mod nanochat;
mod nemotron;
mod nemotron_h;
mod olmo2;
mod olmo3;
mod olmoe;
mod per_layer;
mod phi;
mod phi3;
mod phimoe;
mod pixtral;
mod positions;
mod prelude;
mod probe;
mod qwen2;
mod qwen2_moe;
mod qwen2_vl;
mod qwen3;
mod qwen3_5;
mod qwen3_5_moe;
mod qwen3_moe;
mod qwen3_next;
mod qwen3_vl;
mod qwen3_vl_moe;
pub mod recipe;
mod router;
mod seed_oss;
mod short_convolution;
mod shortcut;
mod side_experts;
mod smollm3;
mod stablelm;
mod starcoder2;
mod state_space;
mod streams;
mod telechat3;
mod wrapper;

pub use cache::{Cache, Kept};
pub use probe::{PROMPT, Passes, Unpackable, first_steps, passes};

use mlx_rs::Array;

use crate::{
    checkpoint::{Checkpoint, Description, LoadError, Parameters},
    nn,
};
use decoder::Decoder;
use recipe::Recipe;

/// A loaded language model: tokens in, scores out.
pub trait Model {
    /// The state of a sequence that has read nothing yet.
    fn new_cache(&self) -> Cache;

    /// Reads `tokens` (`[batch, n]`) after what `cache` holds and scores what may follow each:
    /// `[batch, n, vocabulary]`.
    ///
    /// Nothing is computed until the caller evaluates the result or the cache. Every id has to be below
    /// [`Self::vocabulary`].
    ///
    /// # Errors
    ///
    /// When MLX refuses an operation.
    fn forward(&self, tokens: &Array, cache: &mut Cache) -> nn::Result<Array>;

    /// How many tokens it scores.
    fn vocabulary(&self) -> u32;
}

/// Checkpoints that share an architecture.
pub struct Family {
    /// Values of `model_type` in `config.json` that mean this family.
    pub model_types: &'static [&'static str],
    /// How its models are made.
    pub architecture: Architecture,
}

impl Family {
    /// A family of decoders.
    const fn decoder(
        model_types: &'static [&'static str],
        recipe: fn(&Checkpoint<'_>) -> Result<Recipe, LoadError>,
    ) -> Self {
        Self { model_types, architecture: Architecture::Decoder(recipe) }
    }

    /// A family of anything else.
    const fn other(
        model_types: &'static [&'static str],
        build: fn(&Checkpoint<'_>) -> Result<Box<dyn Model>, LoadError>,
    ) -> Self {
        Self { model_types, architecture: Architecture::Other(build) }
    }
}

/// How the models of a family are made.
pub enum Architecture {
    /// A decoder, described.
    Decoder(fn(&Checkpoint<'_>) -> Result<Recipe, LoadError>),
    /// Anything else, built.
    Other(fn(&Checkpoint<'_>) -> Result<Box<dyn Model>, LoadError>),
}

/// The `FAMILY` of each module.
macro_rules! families {
    ($($module:ident)*) => { &[$($module::FAMILY),*] };
}

/// Every family, in the order of their files.
pub const FAMILIES: &[Family] = families! {
    apertus cohere cohere2 deepseek_v2 deepseek_v3 dots1 ernie4_5 ernie4_5_moe exaone4 falcon_h1
    gemma gemma2 gemma3 gemma3n gemma4 glm glm4 glm4_moe glm4_moe_lite gpt2 gpt_neox gpt_oss granite
    granitemoe granitemoehybrid helium hunyuan_v1_dense internlm2 internlm3 lfm2 lfm2_moe lille
    llama llama4 llama4_text mamba2 mimo minicpm minicpm3 minimax ministral3 mistral3 mistral4 mixtral
    nanochat nemotron nemotron_h olmo2 olmo3 olmoe phi phi3 phimoe pixtral qwen2 qwen2_moe qwen2_vl
    qwen3 qwen3_5 qwen3_5_moe qwen3_moe qwen3_next qwen3_vl qwen3_vl_moe seed_oss smollm3 stablelm
    starcoder2 telechat3
};

/// The family that reads `model_type`.
///
/// # Errors
///
/// When none does.
pub fn family(model_type: &str) -> Result<&'static Family, LoadError> {
    FAMILIES.iter().find(|family| family.model_types.contains(&model_type)).ok_or_else(|| {
        LoadError::UnknownArchitecture {
            model_type: model_type.to_owned(),
            nearest: nearest(model_type),
        }
    })
}

/// The family that reads what `description` describes.
///
/// # Errors
///
/// When none does, or it has no `model_type`.
pub fn family_of(description: &Description) -> Result<&'static Family, LoadError> {
    if mistral3::holds_mistral4(description) {
        return Ok(&mistral4::FAMILY);
    }
    family(description.model_type()?)
}

/// Loads the model that `checkpoint` describes, using every tensor it holds; nothing is evaluated yet.
///
/// # Errors
///
/// When no family has its `model_type`, or the family and the checkpoint disagree.
pub fn load(checkpoint: Checkpoint<'_>) -> Result<(Box<dyn Model>, Parameters), LoadError> {
    let family = family_of(checkpoint.description())?;
    let model: Box<dyn Model> = match family.architecture {
        Architecture::Decoder(recipe) => {
            Box::new(Decoder::load(&recipe(&checkpoint)?, &checkpoint)?)
        }
        Architecture::Other(build) => build(&checkpoint)?,
    };
    Ok((model, checkpoint.finish()?))
}

/// The known `model_type` that looks most like `name`, if any does.
fn nearest(name: &str) -> Option<&'static str> {
    FAMILIES
        .iter()
        .flat_map(|family| family.model_types)
        .map(|known| (strsim::jaro_winkler(name, known), *known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_family_is_named() {
        assert_eq!(nearest("lama"), Some("llama"));
        assert_eq!(nearest("zzz"), None);
    }
}
