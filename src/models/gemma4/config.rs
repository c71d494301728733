//! The configuration of Gemma 4, with the reference's defaults.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    checkpoint::LoadError,
    models::{
        keys::{keys, unsupported},
        lending::{Kind, Lending, Source, concrete},
        per_layer::PerLayer,
        positions::{Scaling, scaling},
        recipe::Reach,
    },
    nn::{Pairs, Rope, single},
};

keys! {
    pub(super) struct Config {
        pub(super) hidden_size: i32 = 1536,
        num_hidden_layers: usize = 35,
        intermediate_size: i32 = 6144,
        num_attention_heads: i32 = 8,
        head_dim: i32 = 256,
        global_head_dim: Option<i32> = Some(512),
        pub(super) rms_norm_eps: f32 = 1e-6,
        pub(super) vocab_size: i32 = 262_144,
        vocab_size_per_layer_input: i32 = 262_144,
        num_key_value_heads: i32 = 1,
        num_global_key_value_heads: Option<i32> = None,
        num_kv_shared_layers: usize = 20,
        hidden_size_per_layer_input: Option<i32> = Some(256),
        rope_traditional: bool = false,
        rope_parameters: Option<BTreeMap<String, Scaling>> = None,
        max_position_embeddings: i32 = 131_072,
        sliding_window: i32 = 512,
        sliding_window_pattern: usize = 5,
        attention_k_eq_v: bool = false,
        pub(super) final_logit_softcapping: Option<f32> = Some(30.0),
        use_double_wide_mlp: bool = true,
        layer_types: Option<Vec<Kind>> = None,
        enable_moe_block: bool = false,
        num_experts: Option<i32> = None,
        top_k_experts: Option<i32> = None,
        moe_intermediate_size: Option<i32> = None,
        pub(super) tie_word_embeddings: bool = true,
    }
}

/// The experts of a block.
#[derive(Clone, Copy)]
pub(super) struct ExpertSizes {
    /// How many there are.
    pub(super) count: i32,
    /// How many a token meets.
    pub(super) chosen: i32,
    /// Width between the projections of each.
    pub(super) inner: i32,
}

impl Config {
    /// What each layer sees.
    pub(super) fn kinds(&self) -> Result<Vec<Kind>, LoadError> {
        let kind = |index: usize| {
            if (index + 1).is_multiple_of(self.sliding_window_pattern) {
                Kind::FullAttention
            } else {
                Kind::SlidingAttention
            }
        };
        let layers = self.num_hidden_layers;
        match &self.layer_types {
            Some(kinds) if kinds.len() >= layers => {
                Ok(kinds.iter().copied().take(layers).collect())
            }
            Some(kinds) => {
                Err(unsupported(format!("`layer_types` of {} layers for {layers}", kinds.len())))
            }
            None => Ok((0..layers).map(kind).collect()),
        }
    }

    /// How many layers, from the first, have keys and values of their own.
    pub(super) fn concrete(&self) -> Result<usize, LoadError> {
        concrete(self.num_hidden_layers, self.num_kv_shared_layers)
    }

    /// How far back a layer sees.
    pub(super) fn reach(&self, kind: Kind) -> Reach {
        kind.reach(self.sliding_window)
    }

    /// What token vectors are multiplied by.
    pub(super) fn embedding_scale(&self) -> f32 {
        single(f64::from(self.hidden_size).sqrt())
    }

    /// The shape of per-layer vectors, where the model has such.
    pub(super) fn per_layer(&self) -> Option<PerLayer> {
        let inner = self.hidden_size_per_layer_input.filter(|inner| *inner > 0)?;
        Some(PerLayer {
            vocabulary: self.vocab_size,
            known: self.vocab_size_per_layer_input,
            layers: i32::try_from(self.num_hidden_layers).unwrap_or(0),
            inner,
            width: self.hidden_size,
            eps: self.rms_norm_eps,
        })
    }

    /// The experts of every block, where the model has such.
    pub(super) fn experts(&self) -> Result<Option<ExpertSizes>, LoadError> {
        if !self.enable_moe_block {
            return Ok(None);
        }
        let sizes = (self.num_experts, self.top_k_experts, self.moe_intermediate_size);
        match sizes {
            (Some(count), Some(chosen), Some(inner)) if (1..=count).contains(&chosen) => {
                Ok(Some(ExpertSizes { count, chosen, inner }))
            }
            (count, chosen, inner) => Err(unsupported(format!(
                "`num_experts` {count:?} with `top_k_experts` {chosen:?} and `moe_intermediate_size` {inner:?}"
            ))),
        }
    }

    /// Width between the projections of a layer's feed-forward half: layers that borrow may be twice as wide.
    pub(super) fn inner(&self, index: usize) -> i32 {
        let is_borrower = self.num_kv_shared_layers > 0 && !self.is_concrete(index);
        if self.use_double_wide_mlp && is_borrower {
            self.intermediate_size * 2
        } else {
            self.intermediate_size
        }
    }

    /// Whether a layer has keys and values of its own.
    pub(super) fn is_concrete(&self, index: usize) -> bool {
        index + self.num_kv_shared_layers < self.num_hidden_layers
    }

    /// The attention of a layer.
    pub(super) fn attention(&self, index: usize, kind: Kind) -> Result<Lending, LoadError> {
        let is_full = kind == Kind::FullAttention;
        let has_one_projection = self.attention_k_eq_v && is_full;
        let head_dim = match self.global_head_dim {
            Some(global) if is_full && global > 0 => global,
            _ => self.head_dim,
        };
        Ok(Lending {
            width: self.hidden_size,
            heads: self.num_attention_heads,
            kv_heads: match self.num_global_key_value_heads {
                Some(global) if has_one_projection => global,
                _ => self.num_key_value_heads,
            },
            head_dim,
            source: if !self.is_concrete(index) {
                Source::Borrowed
            } else if has_one_projection {
                Source::OneProjection
            } else {
                Source::Projections
            },
            rope: self.rope(kind, head_dim)?,
            eps: self.rms_norm_eps,
        })
    }

    fn rope(&self, kind: Kind, dims: i32) -> Result<Rope, LoadError> {
        let given = match &self.rope_parameters {
            None => Some(default_rope(kind)),
            Some(all) => all.get(kind.name()).cloned(),
        };
        let theta = given.as_ref().and_then(|given| given.rope_theta);
        Ok(Rope {
            dims,
            theta: theta.unwrap_or(10_000.0),
            pairs: if self.rope_traditional { Pairs::Interleaved } else { Pairs::Halves },
            scaling: scaling(given.as_ref(), dims, Some(self.max_position_embeddings))?,
        })
    }
}

/// What the reference takes where the configuration has no `rope_parameters`.
fn default_rope(kind: Kind) -> Scaling {
    let (rope_type, theta, share) = match kind {
        Kind::SlidingAttention => ("default", 1e4, 1.0),
        Kind::FullAttention => ("proportional", 1e6, 0.25),
    };
    let mut scaling = Scaling::default();
    scaling.rope_theta = Some(theta);
    scaling.rope_type = Some(rope_type.to_owned());
    scaling.partial_rotary_factor = Some(share);
    scaling
}
