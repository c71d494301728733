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
    #[serde(flatten)]
    temperature: Temperature,
}

keys! {
    /// How queries grow in layers that know no positions.
    struct Temperature {
        attn_temperature_tuning: i32 = 4,
        floor_scale: f32 = 8192.0,
        attn_scale: f32 = 0.1,
    }
}

/// Leaves the text half under our names; the original has experts stacked, transposed, gate and up in one.
fn adopt(checkpoint: &Checkpoint<'_>, config: &llama::Config) -> Result<(), LoadError> {
    checkpoint
        .discard(|name| name.contains("vision_model") || name.contains("multi_modal_projector"));
    checkpoint.rename(|name| name.strip_prefix("language_model.").map(str::to_owned));
    checkpoint.rename_parts(&[
        (".feed_forward.router.", ".mlp.gate."),
        (".feed_forward.shared_expert.", ".mlp.shared_experts."),
        (".feed_forward.", ".mlp."),
    ]);
    mixture::adopt_transposed(checkpoint, config.num_hidden_layers)?;
    checkpoint.rename_parts(&[(".mlp.experts.", ".mlp.switch_mlp.")]);
    Ok(())
}

fn recipe(config: llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    if own.num_experts_per_tok != 1 {
        return Err(unsupported(format!("`num_experts_per_tok` {}", own.num_experts_per_tok)));
    }
    let config = llama::Config { rope_traditional: true, tie_word_embeddings: false, ..config };
    let inner = config.intermediate_size;
    let router = Router { weights: ExpertWeights::Sigmoid, ..Router::by_logits(1) };
    let mixture = Mixture {
        weighted: Weighted::Input,
        shared: Shared::Always { inner },
        ..Mixture::of(own.num_local_experts, inner, router)
    };
    let dense = Layer {
        feed_forward: FeedForward::Gated(Activation::Silu, own.intermediate_size_mlp),
        ..llama::layer(&config)?
    };
    let mut recipe = mixture::interleaved(&config, dense, mixture, |index| {
        (index + 1).is_multiple_of(own.interleave_moe_layer_step)
    });
    for (number, layer) in (1..).zip(&mut recipe.layers) {
        if number % 4 == 0 {
            layer.attention.rope = None;
            layer.attention.growth = own.temperature.growth();
        } else {
            layer.attention.qk_norm = own.qk_norm();
            layer.attention.reach = Reach::Chunk(own.attention_chunk_size);
        }
    }
    Ok(recipe)
}

impl Config {
    fn qk_norm(&self) -> QkNorm {
        if self.use_qk_norm { QkNorm::PerHeadPlainAfterRope(1e-6) } else { QkNorm::None }
    }
}

impl Temperature {
    fn growth(&self) -> QueryGrowth {
        match self.attn_temperature_tuning {
            0 => QueryGrowth::None,
            _ => QueryGrowth::Counted { rate: self.attn_scale, step: self.floor_scale },
        }
    }
}
