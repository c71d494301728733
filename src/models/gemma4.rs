//! Gemma 4, text only: heads of two sizes, late layers that borrow keys and values, and vectors of every layer's own.
//!
//! Reference: `mlx_lm.models.gemma4_text` and `mlx_lm.models.gemma4`, which wraps it.

use std::collections::BTreeMap;

use super::{lending, prelude::*};

pub(super) const FAMILY: Family =
    Family::decoder(&["gemma4", "gemma4_text", "gemma4_unified"], |checkpoint| {
        let config = match checkpoint.description().model_type()? {
            "gemma4_text" => checkpoint.config()?,
            _ => text(checkpoint)?,
        };
        let lenders = lending::lenders(config.num_hidden_layers, config.num_kv_shared_layers)?;
        lending::discard_lent(checkpoint, lenders);
        adopt(checkpoint)?;
        recipe(&config, lenders)
    });

keys! {
    struct Config {
        hidden_size: i32 = 1536,
        num_hidden_layers: usize = 35,
        intermediate_size: i32 = 6144,
        num_attention_heads: i32 = 8,
        head_dim: i32 = 256,
        global_head_dim: Option<i32> = Some(512),
        rms_norm_eps: f32 = 1e-6,
        vocab_size: i32 = 262_144,
        vocab_size_per_layer_input: i32 = 262_144,
        num_key_value_heads: i32 = 1,
        num_global_key_value_heads: Option<i32> = None,
        num_kv_shared_layers: usize = 20,
        hidden_size_per_layer_input: Option<i32> = Some(256),
        rope_traditional: bool = false,
        rope_parameters: Option<BTreeMap<String, positions::Scaling>> = None,
        max_position_embeddings: i32 = 131_072,
        sliding_window: i32 = 512,
        sliding_window_pattern: usize = 5,
        attention_k_eq_v: bool = false,
        final_logit_softcapping: Option<f32> = Some(30.0),
        use_double_wide_mlp: bool = true,
        layer_types: Option<Vec<String>> = None,
        enable_moe_block: bool = false,
        num_experts: Option<i32> = None,
        top_k_experts: Option<i32> = None,
        moe_intermediate_size: Option<i32> = None,
        tie_word_embeddings: bool = true,
    }
}

/// The configuration of a model that sees and hears as well.
#[derive(Deserialize)]
struct Whole {
    text_config: Option<Config>,
    vocab_size: Option<i32>,
}

/// Leaves the text half of a model that sees and hears.
fn text(checkpoint: &Checkpoint<'_>) -> Result<Config, LoadError> {
    let Whole { text_config, vocab_size } = checkpoint.config()?;
    wrapper::keep_tensors(checkpoint);
    let vocab_size = vocab_size.unwrap_or(262_144);
    Ok(Config { vocab_size, ..text_config.unwrap_or_default() })
}

/// Drops statistics of the training, and splits fused experts.
fn adopt(checkpoint: &Checkpoint<'_>) -> Result<(), LoadError> {
    const UNUSED: [&str; 5] =
        ["self_attn.rotary_emb", "input_max", "input_min", "output_max", "output_min"];
    checkpoint.discard(|name| UNUSED.iter().any(|unused| name.contains(unused)));
    for name in checkpoint.names() {
        let Some((experts, part)) = name.split_once(".experts.") else {
            continue;
        };
        let renamed = |part| format!("{experts}.experts.switch_glu.{part}.weight");
        match part {
            "gate_up_proj" => {
                let outputs = checkpoint.shape(&name).and_then(|shape| shape.get(1).copied());
                let half = outputs.unwrap_or(0) / 2;
                let into = [(renamed("gate_proj"), half), (renamed("up_proj"), half)];
                checkpoint.split(&name, 1, &into)?;
            }
            "down_proj" => {
                if let Some(down) = checkpoint.take(&name) {
                    checkpoint.insert(renamed("down_proj"), down);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

impl Config {
    /// The same in Llama's words.
    fn llama(&self) -> llama::Config {
        llama::Config {
            hidden_size: self.hidden_size,
            num_attention_heads: self.num_attention_heads,
            rms_norm_eps: self.rms_norm_eps,
            vocab_size: self.vocab_size,
            rope_traditional: self.rope_traditional,
            tie_word_embeddings: self.tie_word_embeddings,
            max_position_embeddings: Some(self.max_position_embeddings),
            ..llama::Config::default()
        }
    }
}

fn recipe(config: &Config, lenders: usize) -> Result<Recipe, LoadError> {
    let layers = (0..config.num_hidden_layers).map(|index| layer(config, index, lenders));
    let inner = config.hidden_size_per_layer_input.filter(|inner| *inner > 0);
    let known = config.vocab_size_per_layer_input;
    Ok(Recipe {
        embedding_scale: EmbeddingScale::Times(single(f64::from(config.hidden_size).sqrt())),
        layers: layers.collect::<Result<_, _>>()?,
        scores: config.final_logit_softcapping.map_or(Scores::Plain, Scores::CappedAtOnce),
        extras: Extras {
            per_layer: inner.map(|inner| PerLayer { known, inner }),
            streams: None,
            experts: experts(config)?,
        },
        ..llama::recipe(&config.llama())?
    })
}

/// The experts of every block, where the model has such.
fn experts(config: &Config) -> Result<Option<SideExperts>, LoadError> {
    if !config.enable_moe_block {
        return Ok(None);
    }
    match (config.num_experts, config.top_k_experts, config.moe_intermediate_size) {
        (Some(count), Some(chosen), Some(inner)) if (1..=count).contains(&chosen) => {
            Ok(Some(SideExperts { count, chosen, inner }))
        }
        (count, chosen, inner) => Err(unsupported(format!(
            "`num_experts` {count:?} with `top_k_experts` {chosen:?} and `moe_intermediate_size` {inner:?}"
        ))),
    }
}

fn layer(config: &Config, index: usize, lenders: usize) -> Result<Layer, LoadError> {
    let kind = kind(config, index)?;
    let reach = llama::reach(kind, Some(config.sliding_window))?;
    let sees_all = reach == Reach::Full;
    let shares_projection = config.attention_k_eq_v && sees_all;
    let borrows = index >= lenders;
    let rope_scaling = rope(config, kind);
    let attention = llama::attention(&llama::Config {
        num_key_value_heads: match config.num_global_key_value_heads {
            Some(global) if shares_projection => Some(global),
            _ => Some(config.num_key_value_heads),
        },
        head_dim: match config.global_head_dim {
            Some(global) if sees_all && global > 0 => Some(global),
            _ => Some(config.head_dim),
        },
        rope_theta: rope_scaling.as_ref().and_then(|given| given.rope_theta),
        rope_scaling,
        ..config.llama()
    })?;
    let is_doubled = config.use_double_wide_mlp && borrows;
    let inner = config.intermediate_size * if is_doubled { 2 } else { 1 };
    Ok(Layer {
        attention: Attention {
            scale: 1.0,
            projections: if borrows {
                Projections::Borrowed
            } else if shares_projection {
                Projections::KeysAsValues
            } else {
                Projections::Separate
            },
            qk_norm: QkNorm::PerHeadAndValues,
            reach,
            kernel: Kernel::Lending,
            ..attention
        },
        feed_forward: FeedForward::Gated(Activation::GegluTanh, inner),
        wiring: Wiring::SandwichScaled,
    })
}

/// What a layer sees, as configurations put it.
fn kind(config: &Config, index: usize) -> Result<&str, LoadError> {
    match &config.layer_types {
        Some(kinds) => kinds
            .get(index)
            .map(String::as_str)
            .ok_or_else(|| unsupported(format!("`layer_types` of only {} layers", kinds.len()))),
        None if (index + 1).is_multiple_of(config.sliding_window_pattern) => Ok("full_attention"),
        None => Ok("sliding_attention"),
    }
}

/// What is said of the positions of layers of a kind; the reference's defaults where there are no `rope_parameters`.
fn rope(config: &Config, kind: &str) -> Option<positions::Scaling> {
    if let Some(all) = &config.rope_parameters {
        return all.get(kind).cloned();
    }
    let (rope_type, theta, share) = match kind {
        "full_attention" => ("proportional", 1e6, 0.25),
        _ => ("default", 1e4, 1.0),
    };
    let mut scaling = positions::Scaling::default();
    scaling.rope_type = Some(rope_type.to_owned());
    scaling.rope_theta = Some(theta);
    scaling.partial_rotary_factor = Some(share);
    Some(scaling)
}
