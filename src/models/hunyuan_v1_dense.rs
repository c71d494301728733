//! Hunyuan, dense: Llama with every head's queries and keys normalized after they were rotated.
//!
//! Reference: `mlx_lm.models.hunyuan_v1_dense`. As there, of `rope_scaling` only `alpha` is read.

use super::prelude::*;

pub(super) const FAMILY: Family = Family::decoder(&["hunyuan_v1_dense"], |checkpoint| {
    let config = llama::untied(checkpoint)?;
    llama::discard_unused(checkpoint, config.tie_word_embeddings);
    checkpoint.rename_parts(&[(".query_layernorm.", ".q_norm."), (".key_layernorm.", ".k_norm.")]);
    recipe(config, &checkpoint.config()?)
});

#[derive(Deserialize)]
struct Config {
    use_qk_norm: Option<bool>,
}

fn recipe(config: llama::Config, own: &Config) -> Result<Recipe, LoadError> {
    let asked = config.rope_scaling.as_ref();
    let alpha = asked.and_then(|asked| asked.alpha).unwrap_or(1.0);
    let config = llama::Config { rope_traditional: false, rope_scaling: None, ..config };
    let scaling = RopeScaling::Alpha { alpha };
    let is_normed = own.use_qk_norm.unwrap_or(true);
    let attention = llama::attention(&config)?;
    let attention = Attention {
        qk_norm: if is_normed { QkNorm::PerHeadAfterRope } else { QkNorm::None },
        rope: attention.rope.map(|rope| Rope { scaling, ..rope }),
        ..attention
    };
    Ok(llama::uniform(Layer { attention, ..llama::layer(&config)? }, &config))
}
