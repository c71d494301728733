//! Decoders with latent attention: keys and values grow from one short vector a token.
//!
//! Paper: DeepSeek-AI, "DeepSeek-V2" (2024).

mod absorb;
mod attention;

pub(super) use absorb::absorb;

use mlx_rs::Array;

use super::{
    Cache, Model,
    cache::KeysValues,
    feed_forward::FeedForward,
    recipe::{self, Reach},
};
use crate::{
    checkpoint::{Checkpoint, LoadError, Scope},
    nn::{self, Embedding, Linear, Mask, Norm, NormKind, Rope},
};
use attention::LatentAttention;

/// All that tells one decoder with latent attention from another.
pub(super) struct Recipe {
    /// How many tokens it knows.
    pub(super) vocabulary: i32,
    /// Width of the residual stream.
    pub(super) width: i32,
    /// What token vectors are multiplied by, if by anything.
    pub(super) embedding_scale: Option<f32>,
    /// Its attention, the same in every block.
    pub(super) attention: Latent,
    /// The feed-forward half of each block, first to last.
    pub(super) feed_forward: Vec<recipe::FeedForward>,
    /// What each half is multiplied by before it is added to the residual stream, if by anything.
    pub(super) residual_scale: Option<f32>,
    /// Added to the mean square before its root is taken.
    pub(super) eps: f32,
    /// What scores the last block's output.
    pub(super) head: Head,
}

/// Latent attention.
#[derive(Clone)]
pub(super) struct Latent {
    /// Heads, of queries, keys and values alike.
    pub(super) heads: i32,
    /// Width of the vector that queries grow from; none where they grow from the residual stream.
    pub(super) query_rank: Option<i32>,
    /// Width of the vector that keys and values grow from.
    pub(super) rank: i32,
    /// Dimensions of a head's queries and keys that know no position.
    pub(super) plain_dim: i32,
    /// Dimensions of a head's values.
    pub(super) value_dim: i32,
    /// How positions are encoded, in further dimensions that all heads' keys share.
    pub(super) rope: Rope,
    /// Added to the mean square before its root is taken, in the norms between projections.
    pub(super) eps: f32,
    /// What scores are multiplied by.
    pub(super) scale: f32,
    /// What the cache holds.
    pub(super) form: Form,
}

/// What the cache of latent attention holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Every head's keys and values.
    Expanded,
    /// The short vectors that they grow from, and the shared rotated part of the keys.
    Absorbed,
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

/// A recipe with its weights.
pub(super) struct LatentDecoder {
    vocabulary: u32,
    embedding: Embedding,
    embedding_scale: Option<f32>,
    form: Form,
    blocks: Vec<Block>,
    norm: Norm,
    head: Option<Linear>,
    head_divisor: Option<f32>,
}

impl LatentDecoder {
    /// Takes every tensor that `recipe` asks for.
    pub(super) fn load(recipe: &Recipe, checkpoint: &Checkpoint<'_>) -> Result<Self, LoadError> {
        let (root, model) = (checkpoint.root(), checkpoint.root().at("model"));
        let layers = model.at("layers");
        let blocks = recipe.feed_forward.iter().enumerate();
        let (vocabulary, width) = (recipe.vocabulary, recipe.width);
        let head = || Linear::load(&root.at("lm_head"), vocabulary, width);
        let (head, head_divisor) = match recipe.head {
            Head::Tied => (None, None),
            Head::Separate => (Some(head()?), None),
            Head::Divided(divisor) => (Some(head()?), Some(divisor)),
        };
        Ok(Self {
            vocabulary: u32::try_from(vocabulary).unwrap_or(0),
            embedding: Embedding::load(&model.at("embed_tokens"), vocabulary, width)?,
            embedding_scale: recipe.embedding_scale,
            form: recipe.attention.form,
            blocks: blocks
                .map(|(index, feed_forward)| Block::load(&layers.at(index), recipe, feed_forward))
                .collect::<Result<_, _>>()?,
            norm: Norm::load(&model.at("norm"), NormKind::Rms, width, recipe.eps)?,
            head,
            head_divisor,
        })
    }

    /// The mask of a forward pass of `n` tokens. With short vectors the reference never leaves it to the kernel.
    fn mask(&self, cache: &KeysValues, n: i32) -> nn::Result<Mask> {
        match self.form {
            Form::Absorbed => cache.mask(n)?.spelled_out(n, cache.offset() + n),
            Form::Expanded => cache.mask(n),
        }
    }
}

impl Model for LatentDecoder {
    fn new_cache(&self) -> Cache {
        Cache::new(self.blocks.iter().map(|_| Reach::Full))
    }

    fn forward(&self, tokens: &Array, cache: &mut Cache) -> nn::Result<Array> {
        let mut x = scaled(self.embedding.forward(tokens)?, self.embedding_scale)?;
        let caches = cache.layers_mut();
        let mask = match caches.first_mut() {
            Some(first) => self.mask(first.keys_values()?, tokens.dim(1))?,
            None => Mask::All,
        };
        for (block, cache) in self.blocks.iter().zip(caches) {
            x = block.forward(&x, &mask, cache.keys_values()?)?;
        }
        let x = self.norm.forward(&x)?;
        match (&self.head, self.head_divisor) {
            (None, _) => self.embedding.as_head(&x),
            (Some(head), None) => head.forward(&x),
            (Some(head), Some(divisor)) => head.forward(&x.divide(nn::scalar(divisor, &x))?),
        }
    }

    fn vocabulary(&self) -> u32 {
        self.vocabulary
    }
}

/// One block with its weights.
struct Block {
    attention: LatentAttention,
    feed_forward: FeedForward,
    before_attention: Norm,
    before_feed_forward: Norm,
    residual_scale: Option<f32>,
}

impl Block {
    fn load(
        scope: &Scope<'_>,
        recipe: &Recipe,
        feed_forward: &recipe::FeedForward,
    ) -> Result<Self, LoadError> {
        let norm = |name| Norm::load(&scope.at(name), NormKind::Rms, recipe.width, recipe.eps);
        let attention = scope.at("self_attn");
        Ok(Self {
            attention: LatentAttention::load(&attention, recipe.width, &recipe.attention)?,
            feed_forward: FeedForward::load(&scope.at("mlp"), recipe.width, feed_forward)?,
            before_attention: norm("input_layernorm")?,
            before_feed_forward: norm("post_attention_layernorm")?,
            residual_scale: recipe.residual_scale,
        })
    }

    fn forward(&self, x: &Array, mask: &Mask, cache: &mut KeysValues) -> nn::Result<Array> {
        let normed = self.before_attention.forward(x)?;
        let attended = self.attention.forward(&normed, mask, cache)?;
        let x = x.add(scaled(attended, self.residual_scale)?)?;
        let normed = self.before_feed_forward.forward(&x)?;
        let fed = self.feed_forward.forward(&normed)?;
        Ok(x.add(scaled(fed, self.residual_scale)?)?)
    }
}

/// `x`, multiplied where there is something to multiply by.
fn scaled(x: Array, scale: Option<f32>) -> nn::Result<Array> {
    match scale {
        None => Ok(x),
        Some(scale) => Ok(x.multiply(nn::scalar(scale, &x))?),
    }
}
