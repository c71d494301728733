//! The decoder-only transformer, built to a [`Recipe`].

use half::bf16;
use mlx_rs::{Array, Dtype, ops::clip};

use super::{
    Cache, Model,
    attention::SelfAttention,
    cache::KeysValues,
    feed_forward::FeedForward,
    recipe::{EmbeddingScale, Head, Layer, Reach, Recipe, Residual, Wiring},
};
use crate::{
    checkpoint::{Checkpoint, LoadError, Scope},
    nn::{self, Embedding, Linear, Mask, Norm},
};

/// The largest finite float16.
const LARGEST_FLOAT16: f32 = 65_504.0;

/// A recipe with its weights.
pub(super) struct Decoder {
    vocabulary: u32,
    embedding: Embedding,
    embedding_scale: Option<f32>,
    blocks: Vec<Block>,
    norm: Norm,
    head: Option<Linear>,
}

impl Decoder {
    /// Takes every tensor that `recipe` asks for.
    pub(super) fn load(recipe: &Recipe, checkpoint: &Checkpoint<'_>) -> Result<Self, LoadError> {
        let (root, model) = (checkpoint.root(), checkpoint.root().at("model"));
        let layers = model.at("layers");
        let blocks = recipe.layers.iter().enumerate();
        Ok(Self {
            vocabulary: u32::try_from(recipe.vocabulary).unwrap_or(0),
            embedding: Embedding::load(&model.at("embed_tokens"), recipe.vocabulary, recipe.width)?,
            embedding_scale: match recipe.embedding_scale {
                EmbeddingScale::One => None,
                EmbeddingScale::RootOfWidth => Some(root_of_width(recipe.width)),
            },
            blocks: blocks
                .map(|(index, layer)| Block::load(&layers.at(index), recipe, layer))
                .collect::<Result<_, _>>()?,
            norm: Norm::load(&model.at("norm"), recipe.norm, recipe.width, recipe.eps)?,
            head: match recipe.head {
                Head::Tied => None,
                Head::Separate => Some(Linear::load(
                    &root.at("lm_head"),
                    recipe.vocabulary,
                    recipe.width,
                )?),
            },
        })
    }
}

/// The root of `width`, rounded to bfloat16 as the reference does.
fn root_of_width(width: i32) -> f32 {
    bf16::from_f64(f64::from(width).sqrt()).to_f32()
}

impl Model for Decoder {
    fn new_cache(&self) -> Cache {
        Cache::new(self.blocks.iter().map(|block| block.attention.reach))
    }

    fn forward(&self, tokens: &Array, cache: &mut Cache) -> nn::Result<Array> {
        let mut x = self.embedding.forward(tokens)?;
        if let Some(scale) = self.embedding_scale {
            x = x.multiply(nn::scalar(scale, &x))?;
        }
        let mut masks = Masks::default();
        for (block, cache) in self.blocks.iter().zip(cache.layers_mut()) {
            let cache = cache.keys_values()?;
            let mask = masks.of(cache, tokens.dim(1))?;
            x = block.forward(&x, &mask, cache)?;
        }
        let x = self.norm.forward(&x)?;
        match &self.head {
            Some(head) => head.forward(&x),
            None => self.embedding.as_head(&x),
        }
    }

    fn vocabulary(&self) -> u32 {
        self.vocabulary
    }
}

/// The masks of one forward pass: layers with the same reach share theirs.
#[derive(Default)]
struct Masks(Vec<(Reach, Mask)>);

impl Masks {
    fn of(&mut self, cache: &KeysValues, n: i32) -> nn::Result<Mask> {
        if let Some((_, mask)) = self.0.iter().find(|(reach, _)| *reach == cache.reach()) {
            return Ok(mask.clone());
        }
        let mask = cache.mask(n)?;
        self.0.push((cache.reach(), mask.clone()));
        Ok(mask)
    }
}

/// One block with its weights.
struct Block {
    attention: SelfAttention,
    feed_forward: FeedForward,
    before_attention: Norm,
    after_attention: Option<Norm>,
    before_feed_forward: Norm,
    after_feed_forward: Option<Norm>,
    residual: Residual,
}

impl Block {
    fn load(scope: &Scope<'_>, recipe: &Recipe, layer: &Layer) -> Result<Self, LoadError> {
        let norm = |name| Norm::load(&scope.at(name), recipe.norm, recipe.width, recipe.eps);
        let (after_attention, before_feed_forward, after_feed_forward) = match layer.wiring {
            Wiring::Pre => (None, norm("post_attention_layernorm")?, None),
            Wiring::Sandwich => (
                Some(norm("post_attention_layernorm")?),
                norm("pre_feedforward_layernorm")?,
                Some(norm("post_feedforward_layernorm")?),
            ),
        };
        Ok(Self {
            attention: SelfAttention::load(&scope.at("self_attn"), recipe, &layer.attention)?,
            feed_forward: FeedForward::load(&scope.at("mlp"), recipe.width, &layer.feed_forward)?,
            before_attention: norm("input_layernorm")?,
            after_attention,
            before_feed_forward,
            after_feed_forward,
            residual: recipe.residual,
        })
    }

    fn forward(&self, x: &Array, mask: &Mask, cache: &mut KeysValues) -> nn::Result<Array> {
        let attended = self
            .attention
            .forward(&self.before_attention.forward(x)?, mask, cache)?;
        let x = self.add(x, &normalized(self.after_attention.as_ref(), attended)?)?;
        let fed = self
            .feed_forward
            .forward(&self.before_feed_forward.forward(&x)?)?;
        self.add(&x, &normalized(self.after_feed_forward.as_ref(), fed)?)
    }

    fn add(&self, x: &Array, y: &Array) -> nn::Result<Array> {
        if self.residual == Residual::Add || x.dtype() != Dtype::Float16 {
            return Ok(x.add(y)?);
        }
        let wide = x
            .as_dtype(Dtype::Float32)?
            .add(y.as_dtype(Dtype::Float32)?)?;
        Ok(clip(wide, (-LARGEST_FLOAT16, LARGEST_FLOAT16))?.as_dtype(Dtype::Float16)?)
    }
}

/// `x`, normalized where there is a norm.
pub(super) fn normalized(norm: Option<&Norm>, x: Array) -> nn::Result<Array> {
    match norm {
        None => Ok(x),
        Some(norm) => norm.forward(&x),
    }
}
