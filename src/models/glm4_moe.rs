//! GLM 4.5: the mixture of dots.llm1, with part of each head rotated and queries and keys normalized where asked.
//!
//! Reference: `mlx_lm.models.glm4_moe`. As there, the head is never tied, `rope_scaling` is passed over, and the layer
//! that predicts a further token is dropped.

use super::{dots1, prelude::*};

pub(super) const FAMILY: Family = Family::decoder(&["glm4_moe"], |checkpoint| {
    let config: llama::Config = checkpoint.config()?;
    let own: Config = checkpoint.config()?;
    let mixture: dots1::Config = checkpoint.config()?;
    // As the reference, by prefix: a further layer 46 would take 460 along.
    let further = format!("model.layers.{}", config.num_hidden_layers);
    checkpoint.discard(|name| name.starts_with(&further));
    mixture::stack_experts(checkpoint, config.num_hidden_layers, mixture.n_routed_experts)?;
    let config = llama::Config { rope_scaling: None, tie_word_embeddings: false, ..config };
    let attention = llama::attention(&config)?;
    let attention = Attention {
        qk_norm: if own.use_qk_norm { QkNorm::PerHead } else { QkNorm::None },
        rope: positions::on_part(attention.rope, own.partial_rotary_factor),
        ..attention
    };
    dots1::recipe(&config, attention, &mixture)
});

#[derive(Deserialize)]
struct Config {
    use_qk_norm: bool,
    partial_rotary_factor: f64,
}
