//! What tells one decoder-only transformer from another, as data.

use crate::nn::{Activation, NormKind, Rope};

/// All that tells one decoder-only transformer from another.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// How many tokens it knows.
    pub vocabulary: i32,
    /// Width of the residual stream.
    pub width: i32,
    /// What token vectors are multiplied by.
    pub embedding_scale: EmbeddingScale,
    /// The blocks, first to last.
    pub layers: Vec<Layer>,
    /// Which normalization it uses, everywhere.
    pub norm: NormKind,
    /// Added to the mean square before its root is taken.
    pub eps: f32,
    /// What scores the last block's output.
    pub head: Head,
    /// How halves of a block are added to the residual stream.
    pub residual: Residual,
}

/// What token vectors are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbeddingScale {
    /// Nothing.
    One,
    /// The root of the width, rounded to bfloat16 first (Gemma 3).
    RootOfWidth,
}

/// What scores the last block's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// The embedding table.
    Tied,
    /// A matrix of its own.
    Separate,
}

/// How halves of a block are added to the residual stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residual {
    /// Plainly.
    Add,
    /// In float16, clipped to what it can hold (Gemma 3).
    AddClipped,
}

/// One block.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Its self-attention.
    pub attention: Attention,
    /// Its feed-forward half.
    pub feed_forward: FeedForward,
    /// Where it normalizes.
    pub wiring: Wiring,
}

/// The feed-forward half of a block.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedForward {
    /// `down(activation(gate(x)) · up(x))`.
    Gated {
        /// The gate's activation.
        activation: Activation,
        /// Width between the projections.
        inner: i32,
    },
    /// The same with gate and up in one projection, the gate first.
    GatedFused {
        /// The gate's activation.
        activation: Activation,
        /// Width between the projections.
        inner: i32,
    },
    /// `down(activation(up(x)))`.
    Plain {
        /// The activation.
        activation: Activation,
        /// Width between the projections.
        inner: i32,
    },
}

/// Where a block normalizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wiring {
    /// Before each half: `x + f(norm(x))`.
    Pre,
    /// Before and after each half: `x + norm(f(norm(x)))`.
    Sandwich,
}

/// Self-attention with grouped queries.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// Query heads.
    pub heads: i32,
    /// Key and value heads.
    pub kv_heads: i32,
    /// Dimensions of a head.
    pub head_dim: i32,
    /// What scores are multiplied by.
    pub scale: f32,
    /// Which queries and keys are normalized.
    pub qk_norm: QkNorm,
    /// How positions are encoded.
    pub rope: Rope,
    /// How far back a query sees.
    pub reach: Reach,
}

/// Which queries and keys are normalized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkNorm {
    /// None.
    None,
    /// Each head on its own.
    PerHead,
}

/// How far back a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To the beginning.
    Full,
    /// This many tokens, its own included.
    Window(i32),
}
