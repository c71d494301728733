//! The configuration of Gemma 3n.

use serde::Deserialize;

use crate::{
    checkpoint::LoadError,
    models::{
        keys::unsupported,
        lending::{Kind, Lending, Source, concrete},
        per_layer::PerLayer,
        recipe::Reach,
    },
    nn::{Pairs, Rope, RopeScaling, single},
};

/// The keys of `text_config` that this family reads.
#[derive(Deserialize)]
pub(super) struct Config {
    pub(super) hidden_size: i32,
    num_hidden_layers: usize,
    intermediate_size: Widths,
    num_attention_heads: i32,
    head_dim: i32,
    pub(super) rms_norm_eps: f32,
    pub(super) vocab_size: i32,
    num_key_value_heads: i32,
    num_kv_shared_layers: usize,
    vocab_size_per_layer_input: i32,
    sliding_window: i32,
    rope_local_base_freq: f32,
    rope_theta: f32,
    pub(super) final_logit_softcapping: Option<f32>,
    layer_types: Vec<Kind>,
    activation_sparsity_pattern: Option<Vec<f64>>,
    hidden_size_per_layer_input: i32,
    pub(super) altup_num_inputs: i32,
    pub(super) altup_coef_clip: Option<f32>,
    pub(super) altup_correct_scale: bool,
    pub(super) altup_active_idx: i32,
    pub(super) laurel_rank: i32,
}

/// Widths between the projections of feed-forward halves.
#[derive(Deserialize)]
#[serde(untagged)]
enum Widths {
    /// The same in every layer.
    One(i32),
    /// One a layer.
    Each(Vec<i32>),
}

impl Config {
    /// What each layer sees.
    pub(super) fn kinds(&self) -> Result<&[Kind], LoadError> {
        let (kinds, layers) = (self.layer_types.as_slice(), self.num_hidden_layers);
        kinds.get(..layers).ok_or_else(|| {
            unsupported(format!("`layer_types` of {} layers for {layers}", kinds.len()))
        })
    }

    /// How many layers, from the first, have keys and values of their own.
    pub(super) fn concrete(&self) -> Result<usize, LoadError> {
        concrete(self.num_hidden_layers, self.num_kv_shared_layers)
    }

    /// Whether a layer has keys and values of its own.
    pub(super) fn is_concrete(&self, index: usize) -> bool {
        index + self.num_kv_shared_layers < self.num_hidden_layers
    }

    /// How far back a layer sees.
    pub(super) fn reach(&self, kind: Kind) -> Reach {
        kind.reach(self.sliding_window)
    }

    /// What token vectors are multiplied by.
    pub(super) fn embedding_scale(&self) -> f32 {
        single(f64::from(self.hidden_size).sqrt())
    }

    /// The shape of per-layer vectors.
    pub(super) fn per_layer(&self) -> PerLayer {
        PerLayer {
            vocabulary: self.vocab_size,
            known: self.vocab_size_per_layer_input,
            layers: i32::try_from(self.num_hidden_layers).unwrap_or(0),
            inner: self.hidden_size_per_layer_input,
            width: self.hidden_size,
            eps: self.rms_norm_eps,
        }
    }

    /// Width between the projections of a layer's feed-forward half.
    pub(super) fn inner(&self, index: usize) -> Result<i32, LoadError> {
        match &self.intermediate_size {
            Widths::One(inner) => Ok(*inner),
            Widths::Each(widths) => widths.get(index).copied().ok_or_else(|| {
                unsupported(format!("`intermediate_size` of only {} layers", widths.len()))
            }),
        }
    }

    /// The fraction of its units that a layer drops, if it drops any.
    pub(super) fn sparsity(&self, index: usize) -> Result<Option<f64>, LoadError> {
        let Some(pattern) = &self.activation_sparsity_pattern else {
            return Ok(None);
        };
        let dropped = pattern.get(index).copied().ok_or_else(|| {
            let layers = pattern.len();
            unsupported(format!("`activation_sparsity_pattern` of only {layers} layers"))
        })?;
        Ok(Some(dropped).filter(|dropped| *dropped > 0.0))
    }

    /// The attention of a layer.
    pub(super) fn attention(&self, index: usize, kind: Kind) -> Lending {
        Lending {
            width: self.hidden_size,
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads,
            head_dim: self.head_dim,
            source: if self.is_concrete(index) { Source::Projections } else { Source::Borrowed },
            rope: Rope {
                dims: self.head_dim,
                theta: match kind {
                    Kind::SlidingAttention => self.rope_local_base_freq,
                    Kind::FullAttention => self.rope_theta,
                },
                pairs: Pairs::Halves,
                scaling: RopeScaling::None,
            },
            eps: self.rms_norm_eps,
        }
    }
}
