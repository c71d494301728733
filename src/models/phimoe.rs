//! Phi 3.5 `MoE`: layer norms, biases everywhere, and experts chosen one after the other.
//!
//! Reference: `mlx_lm.models.phimoe`. As there, any `rope_scaling` is read as `LongRoPE`, whatever its type.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["phimoe"], |checkpoint| {
    let config: llama::Config = checkpoint.config()?;
    let own: Config = checkpoint.config()?;
    checkpoint.rename_parts(&mixtral::NAMES);
    mixture::stack_experts(checkpoint, config.num_hidden_layers, own.num_local_experts)?;
    recipe(config, &own)
});

keys! {
    struct Config {
        num_local_experts: i32 = 16,
        num_experts_per_tok: i32 = 2,
        max_position_embeddings: i32 = 131_072,
        original_max_position_embeddings: f64 = 4096.0,
        router_jitter_noise: f32 = 0.01,
        rope_scaling: Option<Amplitude> = None,
    }
}

#[derive(Deserialize)]
struct Amplitude {
    long_mscale: f64,
}

fn recipe(config: llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    let scaling = own.scaling(config.rope_scaling.as_ref())?;
    let config = llama::Config {
        head_dim: None,
        rope_scaling: None,
        rope_traditional: false,
        tie_word_embeddings: false,
        ..config
    };
    let router = Router {
        choice: Choice::Successive { jitter: own.router_jitter_noise },
        weights: ExpertWeights::Scores,
        ..Router::by_logits(own.num_experts_per_tok)
    };
    let mixture = Mixture::of(own.num_local_experts, config.intermediate_size, router);
    let attention = llama::attention(&config)?;
    let rope = attention.rope.map(|rope| Rope { scaling, ..rope });
    let layer = Layer {
        attention: Attention { rope, ..attention },
        feed_forward: FeedForward::mixture(mixture),
        wiring: Wiring::Pre,
    };
    Ok(Recipe { norm: NormKind::Layer, ..llama::uniform(layer, &config) })
}

impl Config {
    /// `LongRoPE` with the amplitude that the configuration names, where it does.
    fn scaling(&self, asked: Option<&positions::Scaling>) -> Result<RopeScaling, LoadError> {
        let Some(asked) = asked else {
            return Ok(RopeScaling::None);
        };
        let original = self.original_max_position_embeddings;
        let scaling = asked.long(original, self.max_position_embeddings)?;
        let named = self.rope_scaling.as_ref().map(|own| own.long_mscale);
        Ok(match (scaling, named) {
            (RopeScaling::Long { factors, .. }, Some(named)) if named != 0.0 => {
                RopeScaling::Long { factors, amplitude: single(named) }
            }
            (scaling, _) => scaling,
        })
    }
}
