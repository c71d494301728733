//! Latent attention: keys and values grow from one short vector a token.
//!
//! Paper: DeepSeek-AI, "DeepSeek-V2" (2024).

mod absorb;
mod attention;

pub(super) use absorb::absorb;
pub(super) use attention::LatentAttention;

use super::recipe::QueryGrowth;
use crate::nn::Rope;

/// All that tells one latent attention from another.
#[derive(Clone)]
pub(super) struct Latent {
    pub(super) heads: i32,
    /// Width of the vector that queries grow from; none where they grow from the residual stream.
    pub(super) query_rank: Option<i32>,
    pub(super) rank: i32,
    /// Dimensions of a head's queries and keys that know no position.
    pub(super) plain_dim: i32,
    pub(super) value_dim: i32,
    /// How positions are encoded, in further dimensions that all heads' keys share.
    pub(super) rope: Rope,
    pub(super) eps: f32,
    /// What scores are multiplied by.
    pub(super) scale: f32,
    /// What the cache holds.
    pub(super) form: Form,
    /// How queries grow with their position.
    pub(super) growth: QueryGrowth,
}

/// What the cache of latent attention holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Every head's keys and values.
    Expanded,
    /// The short vectors that they grow from, and the shared rotated part of the keys.
    Absorbed,
    /// The same; of several tokens at once, keys and their rotated part are joined for the kernel (Mistral 4).
    Joined,
}
