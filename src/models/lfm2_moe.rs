//! LFM 2 with mixtures behind its first layers.
//!
//! Reference: `mlx_lm.models.lfm2_moe`.

use super::{lfm2, prelude::*};

pub(super) const FAMILY: Family = Family::other(&["lfm2_moe"], |checkpoint| {
    let config: lfm2::Config = checkpoint.config()?;
    let own: Config = checkpoint.config()?;
    bring_into_form(checkpoint, &config, &own)?;
    let dense = FeedForward::Gated(Activation::Silu, own.intermediate_size);
    let sparse = FeedForward::mixture(own.mixture());
    let feed_forward = |index| if index < own.num_dense_layers { &dense } else { &sparse }.clone();
    lfm2::recipe(&config, feed_forward)?.load(checkpoint)
});

#[derive(Deserialize)]
struct Config {
    intermediate_size: i32,
    moe_intermediate_size: i32,
    num_experts: i32,
    num_experts_per_tok: i32,
    norm_topk_prob: bool,
    use_expert_bias: bool,
    num_dense_layers: usize,
    routed_scaling_factor: Option<f32>,
}

impl Config {
    fn mixture(&self) -> Mixture {
        let is_corrected = self.use_expert_bias;
        let choice = if is_corrected { Choice::CorrectedAscending } else { Choice::Ascending };
        let router = Router {
            scores: ExpertScores::SigmoidInModel,
            choice,
            weights: ExpertWeights::SharesOfSumPlus(1e-6).only_if(self.norm_topk_prob),
            scale: Some(self.routed_scaling_factor.unwrap_or(1.0)),
            ..Router::by_logits(self.num_experts_per_tok)
        };
        Mixture::of(self.num_experts, self.moe_intermediate_size, router)
    }
}

fn bring_into_form(
    checkpoint: &Checkpoint<'_>,
    config: &lfm2::Config,
    own: &Config,
) -> Result<(), LoadError> {
    lfm2::bring_into_form(checkpoint)?;
    checkpoint.rename(|name| {
        let mixture = name.strip_suffix(".expert_bias")?;
        Some(format!("{mixture}.gate.e_score_correction_bias"))
    });
    for index in own.num_dense_layers..config.num_hidden_layers {
        let mixture = format!("model.layers.{index}.feed_forward");
        mixture::stack_experts_of(checkpoint, &mixture, own.num_experts)?;
    }
    Ok(())
}
