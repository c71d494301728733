//! Llama 4: three of four layers see their own chunk only, the others know no positions; mixtures weigh what an expert
//! hears.
//!
//! Reference: `mlx_lm.models.llama4`, the text half. As there, a token has one expert, and one more that all share.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["llama4"], |checkpoint| {
    let Text { text_config } = checkpoint.config()?;
    let own: Text<Config> = checkpoint.config()?;
    adopt(checkpoint, &text_config)?;
    recipe(text_config, &own.text_config)
});

#[derive(Deserialize)]
struct Text<T = llama::Config> {
    text_config: T,
}

#[derive(Deserialize)]
struct Config {
    attention_chunk_size: i32,
    interleave_moe_layer_step: usize,
    intermediate_size_mlp: i32,
    num_experts_per_tok: i32,
    num_local_experts: i32,
    use_qk_norm: bool,
    #[serde(default = "four")]
    attn_temperature_tuning: i32,
    #[serde(default = "long")]
    floor_scale: f32,
    #[serde(default = "tenth")]
    attn_scale: f32,
}

fn four() -> i32 {
    4
}

fn long() -> f32 {
    8192.0
}

fn tenth() -> f32 {
    0.1
}

/// Leaves the text half under our names; the original has experts stacked, transposed, gate and up in one.
fn adopt(checkpoint: &Checkpoint<'_>, config: &llama::Config) -> Result<(), LoadError> {
    checkpoint
        .discard(|name| name.contains("vision_model") || name.contains("multi_modal_projector"));
    checkpoint.rename(|name| {
        let name = name.strip_prefix("language_model.").unwrap_or(name);
        let name = name.replace(".feed_forward.router.", ".mlp.gate.");
        let name = name.replace(".feed_forward.shared_expert.", ".mlp.shared_experts.");
        Some(name.replace(".feed_forward.", ".mlp."))
    });
    let mixtures = (0..config.num_hidden_layers).map(|layer| format!("model.layers.{layer}.mlp"));
    mixture::adopt_transposed(checkpoint, mixtures)?;
    checkpoint.rename(|name| Some(name.replace(".mlp.experts.", ".mlp.switch_mlp.")));
    Ok(())
}

fn recipe(config: llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    if own.num_experts_per_tok != 1 {
        return Err(unsupported(format!("`num_experts_per_tok` {}", own.num_experts_per_tok)));
    }
    let config = llama::Config {
        layer_types: None,
        rope_traditional: true,
        tie_word_embeddings: false,
        ..config
    };
    let layers = (0..config.num_hidden_layers).map(|index| layer(&config, own, index));
    Ok(Recipe { layers: layers.collect::<Result<_, _>>()?, ..llama::recipe(&config)? })
}

fn layer(config: &llama::Config, own: &Config, index: usize) -> Result<Layer, LoadError> {
    let base = llama::layer(config)?;
    let step = own.interleave_moe_layer_step;
    let is_sparse = (index + 1).is_multiple_of(step);
    Ok(Layer {
        attention: if (index + 1).is_multiple_of(4) {
            Attention { rope: None, growth: own.growth(), ..base.attention }
        } else {
            Attention {
                qk_norm: if own.use_qk_norm {
                    QkNorm::PerHeadPlainAfterRope(1e-6)
                } else {
                    QkNorm::None
                },
                reach: Reach::Chunk(own.attention_chunk_size),
                ..base.attention
            }
        },
        feed_forward: if is_sparse {
            FeedForward::Mixture(Box::new(mixture(own, config.intermediate_size)))
        } else {
            FeedForward::gated(Activation::Silu, own.intermediate_size_mlp)
        },
        ..base
    })
}

impl Config {
    fn growth(&self) -> QueryGrowth {
        match self.attn_temperature_tuning {
            0 => QueryGrowth::None,
            _ => QueryGrowth::Counted { rate: self.attn_scale, step: self.floor_scale },
        }
    }
}

fn mixture(own: &Config, inner: i32) -> Mixture {
    let base = mixtral::mixture(own.num_local_experts, own.num_experts_per_tok, inner);
    Mixture {
        router: Router { weights: ExpertWeights::Sigmoid, ..base.router },
        weighted: Weighted::Input,
        shared: Shared::Always { inner },
        ..base
    }
}
