//! Mistral 4: absorbed latent attention whose queries grow with their position, and experts chosen by softmax.
//!
//! Reference: `mlx_lm.models.mistral4`, also as the text half of `mlx_lm.models.mistral3`. As there, everything about
//! positions is read from `rope_parameters`.

use super::{
    deepseek_v3,
    latent::{Form, Latent},
    ministral3,
    positions::Scaling,
    prelude::*,
};

pub(super) const FAMILY: Family = Family::other(&["mistral4"], |checkpoint| {
    if checkpoint.description().config().get("text_config").is_some() {
        wrapper::keep_text(checkpoint, &[])?;
    }
    let (mut config, own): (deepseek_v3::Config, Config) =
        (checkpoint.config()?, checkpoint.config()?);
    checkpoint
        .discard(|name| name.ends_with("activation_scale") || name.contains("rotary_emb.inv_freq"));
    checkpoint.adopt_packed_integers()?;
    checkpoint.unpack_scaled()?;
    split_experts(checkpoint, config.num_hidden_layers)?;
    config.rope_theta = Some(own.rope_parameters.rope_theta.unwrap_or(1e5));
    config.rope_scaling = (own.rope_parameters.kind() != "default").then_some(own.rope_parameters);
    let latent = config.latent(1e-6, Form::Joined)?;
    let latent = Latent {
        growth: ministral3::growth(checkpoint)?,
        rope: Rope {
            pairs: if own.rope_interleave == Some(false) {
                Pairs::Halves
            } else {
                Pairs::Interleaved
            },
            ..latent.rope
        },
        ..latent
    };
    config.convert(checkpoint, &latent)?;
    let mut recipe = config.recipe(latent, router(&config))?;
    recipe.head = llama::head(own.tie_word_embeddings);
    recipe.load(checkpoint)
});

#[derive(Deserialize)]
struct Config {
    rope_parameters: Scaling,
    rope_interleave: Option<bool>,
    #[serde(default)]
    tie_word_embeddings: bool,
}

/// Splits experts of which all gates and projections up are one tensor, where they are.
fn split_experts(checkpoint: &Checkpoint<'_>, layers: usize) -> Result<(), LoadError> {
    for layer in 0..layers {
        let mixture = format!("model.layers.{layer}.mlp");
        let whole = format!("{mixture}.experts.gate_up_proj");
        if let Some(&[_, both, _]) = checkpoint.shape(&whole).as_deref() {
            let half = |part| (format!("{mixture}.switch_mlp.{part}.weight"), both / 2);
            checkpoint.split(&whole, 1, &["gate_proj", "up_proj"].map(half))?;
        }
    }
    checkpoint.rename(|name| {
        let mixture = name.strip_suffix(".experts.down_proj")?;
        Some(format!("{mixture}.switch_mlp.down_proj.weight"))
    });
    Ok(())
}

fn router(config: &deepseek_v3::Config) -> Result<Router, LoadError> {
    let groups = config.n_group.unwrap_or(1);
    if groups > 1 {
        return Err(unsupported(format!("`n_group` `{groups}` of a mistral4")));
    }
    Ok(Router {
        scores: ExpertScores::Softmax(Precision::Float32),
        weights: ExpertWeights::SharesOfSumPlus(1e-20)
            .only_if(config.norm_topk_prob.unwrap_or(true)),
        scale: Some(config.routed_scaling_factor.unwrap_or(1.0)),
        precision: Precision::Float32,
        fusion: Fusion::Compiled,
        ..Router::by_logits(config.chosen()?)
    })
}
