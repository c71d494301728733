//! Cohere's Command R: one layer norm a block, whose halves run side by side.
//!
//! Reference: `mlx_lm.models.cohere`. As there, the head is always tied, and every size has to be named.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["cohere"], |checkpoint| {
    let config: Config = checkpoint.config()?;
    let llama = config.llama(8_000_000.0);
    let layer = layer(&llama)?;
    let attention = Attention {
        qk_norm: if config.use_qk_norm { QkNorm::EachHead } else { QkNorm::None },
        ..layer.attention
    };
    let layer = Layer { attention, ..layer };
    config.recipe(&llama, vec![layer; config.num_hidden_layers])
});

/// The keys that Cohere's families read.
#[derive(Deserialize)]
pub(super) struct Config {
    hidden_size: i32,
    pub(super) num_hidden_layers: usize,
    intermediate_size: i32,
    num_attention_heads: i32,
    num_key_value_heads: i32,
    rope_theta: Option<f32>,
    vocab_size: i32,
    layer_norm_eps: Option<f32>,
    logit_scale: Option<f32>,
    #[serde(default)]
    use_qk_norm: bool,
}

impl Config {
    /// The same in Llama's words; `theta` is what a missing `rope_theta` means.
    pub(super) fn llama(&self, theta: f32) -> llama::Config {
        llama::Config {
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            intermediate_size: self.intermediate_size,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: Some(self.num_key_value_heads),
            rms_norm_eps: self.layer_norm_eps.unwrap_or(1e-5),
            vocab_size: self.vocab_size,
            rope_theta: Some(self.rope_theta.unwrap_or(theta)),
            rope_traditional: true,
            tie_word_embeddings: true,
            ..llama::Config::default()
        }
    }

    /// A model of these layers.
    pub(super) fn recipe(
        &self,
        llama: &llama::Config,
        layers: Vec<Layer>,
    ) -> Result<Recipe, LoadError> {
        Ok(Recipe {
            layers,
            norm: NormKind::Layer,
            head: Head::Tied,
            scores: Scores::Times(self.logit_scale.unwrap_or(0.0625)),
            ..llama::recipe(llama)?
        })
    }
}

pub(super) fn layer(config: &llama::Config) -> Result<Layer, LoadError> {
    Ok(Layer { wiring: Wiring::Parallel, ..llama::layer(config)? })
}
