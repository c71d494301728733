//! DeepSeek V3, and Kimi K2: absorbed latent attention, and experts chosen by corrected `σ`, in groups.
//!
//! Reference: `mlx_lm.models.deepseek_v3`. As there, `scoring_func` is passed over, and what is named `model.layers.61…`,
//! the layer that predicts a further token, is dropped.

use super::{
    hybrid::{self, Mixer, block},
    latent::{self, Form, Latent},
    positions::{Scaling, scaling},
    prelude::*,
};

pub(super) const FAMILY: Family =
    Family::other(&["deepseek_v3", "joyai_llm_flash", "kimi_k2"], |checkpoint| {
        let config: Config = checkpoint.config()?;
        checkpoint.discard(|name| {
            name.starts_with("model.layers.61") || name.contains("rotary_emb.inv_freq")
        });
        checkpoint.adopt_packed_integers()?;
        checkpoint.unpack_blocks()?;
        let latent = config.latent(1e-6, Form::Absorbed)?;
        config.convert(checkpoint, &latent)?;
        config.recipe(latent, config.corrected(ExpertWeights::Shares))?.load(checkpoint)
    });

/// The keys that families with latent attention and experts share.
#[derive(Deserialize)]
pub(super) struct Config {
    pub(super) vocab_size: i32,
    pub(super) hidden_size: i32,
    pub(super) intermediate_size: i32,
    pub(super) moe_intermediate_size: Option<i32>,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: i32,
    pub(super) n_shared_experts: Option<i32>,
    pub(super) n_routed_experts: Option<i32>,
    pub(super) routed_scaling_factor: Option<f32>,
    pub(super) kv_lora_rank: i32,
    /// Absent means the width of the large models; `null` means that queries are not compressed.
    #[serde(default = "usual_query_rank")]
    pub(super) q_lora_rank: Option<i32>,
    pub(super) qk_rope_head_dim: i32,
    pub(super) v_head_dim: i32,
    pub(super) qk_nope_head_dim: i32,
    pub(super) topk_method: Option<String>,
    pub(super) norm_topk_prob: Option<bool>,
    pub(super) n_group: Option<i32>,
    pub(super) topk_group: Option<i32>,
    pub(super) num_experts_per_tok: Option<i32>,
    pub(super) moe_layer_freq: Option<usize>,
    pub(super) first_k_dense_replace: Option<usize>,
    pub(super) max_position_embeddings: Option<i32>,
    pub(super) rms_norm_eps: Option<f32>,
    pub(super) rope_theta: Option<f32>,
    pub(super) rope_scaling: Option<Scaling>,
}

#[expect(clippy::unnecessary_wraps, reason = "a default of an `Option`")]
fn usual_query_rank() -> Option<i32> {
    Some(1536)
}

impl Config {
    /// Latent attention, with `eps` in the norms between its projections.
    pub(super) fn latent(&self, eps: f32, form: Form) -> Result<Latent, LoadError> {
        let dims = self.qk_rope_head_dim;
        let trained = self.max_position_embeddings.unwrap_or(2048);
        let asked = self.rope_scaling.as_ref();
        let root = f64::from(self.qk_nope_head_dim + dims).powf(-0.5);
        Ok(Latent {
            heads: self.num_attention_heads,
            query_rank: self.q_lora_rank,
            rank: self.kv_lora_rank,
            plain_dim: self.qk_nope_head_dim,
            value_dim: self.v_head_dim,
            rope: Rope {
                dims,
                theta: self.rope_theta.unwrap_or(1e4),
                pairs: Pairs::Interleaved,
                scaling: scaling(asked, dims, Some(trained))?,
            },
            eps,
            scale: single(root * asked.map_or(1.0, Scaling::yarn_sharpness)),
            form,
            growth: QueryGrowth::None,
        })
    }

    /// Stacks experts and splits the projection that keys and values grow by, where the checkpoint needs it.
    pub(super) fn convert(
        &self,
        checkpoint: &Checkpoint<'_>,
        latent: &Latent,
    ) -> Result<(), LoadError> {
        let (layers, experts) = (self.num_hidden_layers, self.n_routed_experts.unwrap_or(0));
        mixture::stack_experts(checkpoint, layers, experts)?;
        for layer in 0..layers {
            latent::absorb(checkpoint, &format!("model.layers.{layer}.self_attn"), latent)?;
        }
        Ok(())
    }

    /// The whole model, with experts routed by `router`, which only has to be one where there are experts.
    pub(super) fn recipe(
        &self,
        attention: Latent,
        router: Result<Router, LoadError>,
    ) -> Result<hybrid::Recipe, LoadError> {
        let dense = FeedForward::Gated(Activation::Silu, self.intermediate_size);
        let sparse = match self.n_routed_experts {
            None => dense.clone(),
            Some(experts) => FeedForward::mixture(self.mixture(experts, router?)),
        };
        let (first, every) = (self.first_k_dense_replace, self.moe_layer_freq);
        let is_sparse =
            |index: usize| index >= first.unwrap_or(0) && index.is_multiple_of(every.unwrap_or(1));
        let attention = Mixer::Latent(attention);
        let blocks = (0..self.num_hidden_layers).map(|index| {
            let feed_forward = if is_sparse(index) { &sparse } else { &dense };
            block("self_attn", attention.clone(), feed_forward.clone())
        });
        let (vocabulary, width) = (self.vocab_size, self.hidden_size);
        let eps = self.rms_norm_eps.unwrap_or(1e-6);
        Ok(Recipe::plain(blocks.collect(), vocabulary, width, eps, Head::Separate))
    }

    fn mixture(&self, experts: i32, router: Router) -> Mixture {
        let inner = self.moe_intermediate_size.unwrap_or(1407);
        let shared = self.n_shared_experts.map(|count| Shared::Always { inner: inner * count });
        Mixture { shared: shared.unwrap_or(Shared::None), ..Mixture::of(experts, inner, router) }
    }

    /// How many experts a token meets, of a family that does not say what it means where it is absent.
    pub(super) fn chosen(&self) -> Result<i32, LoadError> {
        let chosen = self.num_experts_per_tok;
        chosen.ok_or_else(|| unsupported("experts without `num_experts_per_tok`"))
    }

    /// Experts chosen by corrected `σ` and weighted by `shares` of it, where shares are asked for.
    pub(super) fn corrected(&self, shares: ExpertWeights) -> Result<Router, LoadError> {
        let method = self.topk_method.as_deref().unwrap_or("noaux_tc");
        if method != "noaux_tc" {
            return Err(unsupported(format!("`topk_method` `{method}`")));
        }
        let chosen = self.num_experts_per_tok.unwrap_or(1);
        let groups =
            Groups { count: self.n_group.unwrap_or(1), considered: self.topk_group.unwrap_or(1) };
        let weights = shares.only_if(chosen > 1 && self.norm_topk_prob.unwrap_or(true));
        Ok(Router {
            scale: Some(self.routed_scaling_factor.unwrap_or(1.0)),
            ..Router::by_sigmoid(chosen, groups, weights)
        })
    }
}
