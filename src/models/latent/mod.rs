//! Decoders with latent attention: keys and values grow from one short vector a token.
//!
//! Paper: DeepSeek-AI, "DeepSeek-V2" (2024).

mod absorb;
mod attention;

pub(super) use absorb::absorb;
pub(super) use attention::LatentAttention;

use super::{
    Model,
    feed_forward::FeedForward,
    hybrid::{Factor, Frame, Hybrid, Mixer},
    recipe::{self, QueryGrowth},
};
use crate::{
    checkpoint::{Checkpoint, LoadError},
    nn::Rope,
};

/// All that tells one decoder with latent attention from another.
pub(super) struct Recipe {
    pub(super) vocabulary: i32,
    pub(super) width: i32,
    /// What token vectors are multiplied by, if by anything.
    pub(super) embedding_scale: Option<f32>,
    /// Its attention, the same in every block.
    pub(super) attention: Latent,
    /// The feed-forward half of each block, first to last.
    pub(super) feed_forward: Vec<recipe::FeedForward>,
    /// What each half is multiplied by before it is added to the residual stream, if by anything.
    pub(super) residual_scale: Option<f32>,
    pub(super) eps: f32,
    pub(super) head: Head,
}

/// Latent attention.
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

/// What scores the last block's output.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Head {
    /// The embedding table.
    Tied,
    /// A matrix of its own.
    Separate,
    /// A matrix of its own, whose input is divided by this.
    Divided(f32),
}

impl Recipe {
    /// The model, with every tensor that the recipe asks for.
    pub(super) fn load(&self, checkpoint: &Checkpoint<'_>) -> Result<Box<dyn Model>, LoadError> {
        let frame = self.frame();
        let mut halves = Vec::new();
        for (index, feed_forward) in self.feed_forward.iter().enumerate() {
            let scope = checkpoint.root().at("model.layers").at(index);
            let attention =
                LatentAttention::load(&scope.at("self_attn"), self.width, &self.attention)?;
            halves.push(frame.half(&scope.at("input_layernorm"), Mixer::Latent(attention))?);
            let fed = FeedForward::load(&scope.at("mlp"), self.width, feed_forward)?;
            let norm = scope.at("post_attention_layernorm");
            halves.push(frame.half(&norm, Mixer::FeedForward(fed))?);
        }
        for half in &mut halves {
            half.factor = self.residual_scale.map_or(Factor::One, Factor::Times);
        }
        Ok(Box::new(Hybrid::load(&frame, halves, checkpoint)?))
    }

    fn frame(&self) -> Frame {
        let (head, stream) = match self.head {
            Head::Tied => (recipe::Head::Tied, Factor::One),
            Head::Separate => (recipe::Head::Separate, Factor::One),
            Head::Divided(divisor) => (recipe::Head::Separate, Factor::Over(divisor)),
        };
        Frame {
            tokens: self.embedding_scale.map_or(Factor::One, Factor::Times),
            stream,
            ..Frame::new(self.vocabulary, self.width, self.eps, head)
        }
    }
}
