//! The decoder-only transformer, built to a [`Recipe`].

use mlx_rs::{Array, Dtype, ops::clip};

use super::{
    Cache, Model,
    attention::{Pass, SelfAttention},
    cache::KeysValues,
    feed_forward::FeedForward,
    frame::Frame,
    growth::Growths,
    recipe::{Kernel, Layer, Reach, Recipe, Residual, Wiring},
};
use crate::{
    checkpoint::{Checkpoint, LoadError, Scope},
    nn::{self, Mask, Norm},
};

/// The largest finite float16.
const LARGEST_FLOAT16: f32 = 65_504.0;

/// A recipe with its weights.
pub(super) struct Decoder {
    frame: Frame,
    blocks: Vec<Block>,
}

impl Decoder {
    /// Takes every tensor that `recipe` asks for.
    pub(super) fn load(recipe: &Recipe, checkpoint: &Checkpoint<'_>) -> Result<Self, LoadError> {
        let layers = checkpoint.root().at("model.layers");
        let blocks = recipe.layers.iter().enumerate();
        Ok(Self {
            frame: Frame::load(recipe, checkpoint)?,
            blocks: blocks
                .map(|(index, layer)| Block::load(&layers.at(index), recipe, layer))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Model for Decoder {
    fn new_cache(&self) -> Cache {
        Cache::new(self.blocks.iter().map(|block| block.attention.reach))
    }

    fn forward(&self, tokens: &Array, cache: &mut Cache) -> nn::Result<Array> {
        let offset = match cache.layers_mut().first_mut() {
            None => 0,
            Some(layer) => layer.keys_values()?.offset(),
        };
        let mut x = self.frame.read(tokens, offset)?;
        let (mut masks, mut growths) = (Masks::default(), Growths::default());
        for (block, cache) in self.blocks.iter().zip(cache.layers_mut()) {
            let cache = cache.keys_values()?;
            let pass = Pass {
                mask: masks.of(block.attention.kernel, cache, tokens.dim(1))?,
                growth: growths.of(block.attention.growth, (offset, tokens.dim(1)), x.dtype())?,
            };
            x = block.forward(&x, &pass, cache)?;
        }
        self.frame.score(&x)
    }

    fn vocabulary(&self) -> u32 {
        self.frame.vocabulary()
    }
}

/// The masks of one forward pass: layers that see alike share theirs.
#[derive(Default)]
pub(super) struct Masks(Vec<(Reach, bool, Mask)>);

impl Masks {
    /// The mask of `n` new tokens for a layer with this kernel and cache.
    pub(super) fn of(&mut self, kernel: Kernel, cache: &KeysValues, n: i32) -> nn::Result<Mask> {
        self.shared(matches!(kernel, Kernel::Capped(_)), cache, n)
    }

    /// The same for one that wants its mask spelled out, or does not.
    pub(super) fn shared(
        &mut self,
        is_spelled_out: bool,
        cache: &KeysValues,
        n: i32,
    ) -> nn::Result<Mask> {
        let key = (cache.reach(), is_spelled_out);
        let known = self.0.iter().find(|(reach, form, _)| (*reach, *form) == key);
        if let Some((_, _, mask)) = known {
            return Ok(mask.clone());
        }
        let mask = cache.mask(n)?;
        let mask = if is_spelled_out { mask.spelled_out(n, cache.offset() + n)? } else { mask };
        self.0.push((key.0, key.1, mask.clone()));
        Ok(mask)
    }
}

struct Block {
    attention: SelfAttention,
    feed_forward: FeedForward,
    before_attention: Option<Norm>,
    after_attention: Option<Norm>,
    before_feed_forward: Option<Norm>,
    after_feed_forward: Option<Norm>,
    order: Order,
    residual: Residual,
}

/// In which order the halves of a block run.
#[derive(Clone, Copy)]
enum Order {
    InTurn,
    SideBySide,
    /// Each half reads through a norm of its own.
    SideBySideApart,
    /// One half is added after the other.
    SideBySideInTurn,
}

impl Block {
    fn load(scope: &Scope<'_>, recipe: &Recipe, layer: &Layer) -> Result<Self, LoadError> {
        let norm = |name| Norm::load(&scope.at(name), recipe.norm, recipe.width, recipe.eps);
        let mut block = Self {
            attention: SelfAttention::load(&scope.at("self_attn"), recipe, &layer.attention)?,
            feed_forward: FeedForward::load(&scope.at("mlp"), recipe.width, &layer.feed_forward)?,
            before_attention: None,
            after_attention: None,
            before_feed_forward: None,
            after_feed_forward: None,
            order: Order::InTurn,
            residual: recipe.residual,
        };
        match layer.wiring {
            Wiring::Pre => {
                block.before_attention = Some(norm("input_layernorm")?);
                block.before_feed_forward = Some(norm("post_attention_layernorm")?);
            }
            Wiring::Post => {
                block.after_attention = Some(norm("post_attention_layernorm")?);
                block.after_feed_forward = Some(norm("post_feedforward_layernorm")?);
            }
            Wiring::Sandwich => {
                block.before_attention = Some(norm("input_layernorm")?);
                block.after_attention = Some(norm("post_attention_layernorm")?);
                block.before_feed_forward = Some(norm("pre_feedforward_layernorm")?);
                block.after_feed_forward = Some(norm("post_feedforward_layernorm")?);
            }
            Wiring::Parallel => {
                block.before_attention = Some(norm("input_layernorm")?);
                block.order = Order::SideBySide;
            }
            Wiring::ParallelTwoNorms => {
                block.before_attention = Some(norm("input_layernorm")?);
                block.before_feed_forward = Some(norm("post_attention_layernorm")?);
                block.order = Order::SideBySideApart;
            }
            Wiring::ParallelInTurn => {
                block.before_attention = Some(norm("input_layernorm")?);
                block.order = Order::SideBySideInTurn;
            }
        }
        Ok(block)
    }

    fn forward(&self, x: &Array, pass: &Pass, cache: &mut KeysValues) -> nn::Result<Array> {
        let read = input(self.before_attention.as_ref(), x)?;
        let attended = self.attention.forward(&read, pass, cache)?;
        match self.order {
            Order::InTurn => {
                let x =
                    self.residual.add(x, &normalized(self.after_attention.as_ref(), attended)?)?;
                self.residual.add(&x, &self.fed(&x)?)
            }
            Order::SideBySide => {
                let fed = self.feed_forward.forward(&read)?;
                self.residual.add(x, &attended.add(fed)?)
            }
            Order::SideBySideApart => self.residual.add(x, &attended.add(self.fed(x)?)?),
            Order::SideBySideInTurn => {
                let fed = self.feed_forward.forward(&read)?;
                self.residual.add(&self.residual.add(x, &attended)?, &fed)
            }
        }
    }

    /// What the second half makes of `x`, between its norms.
    fn fed(&self, x: &Array) -> nn::Result<Array> {
        let read = input(self.before_feed_forward.as_ref(), x)?;
        let fed = self.feed_forward.forward(&read)?;
        normalized(self.after_feed_forward.as_ref(), fed)
    }
}

impl Residual {
    /// The stream `x` with what `half` of a block made of it.
    pub(super) fn add(self, x: &Array, half: &Array) -> nn::Result<Array> {
        match self {
            Self::AddTimes(factor) => Ok(x.add(half.multiply(nn::scalar(factor, half))?)?),
            Self::AddClipped if x.dtype() == Dtype::Float16 => {
                let wide = |x: &Array| x.as_dtype(Dtype::Float32);
                let sum = wide(x)?.add(wide(half)?)?;
                let bounds = (-LARGEST_FLOAT16, LARGEST_FLOAT16);
                Ok(clip(sum, bounds)?.as_dtype(Dtype::Float16)?)
            }
            Self::Add | Self::AddClipped => Ok(x.add(half)?),
        }
    }
}

/// What a half of a block reads of the stream `x`.
fn input(norm: Option<&Norm>, x: &Array) -> nn::Result<Array> {
    match norm {
        None => Ok(x.clone()),
        Some(norm) => norm.forward(x),
    }
}

/// `x`, normalized where there is a norm.
fn normalized(norm: Option<&Norm>, x: Array) -> nn::Result<Array> {
    match norm {
        None => Ok(x),
        Some(norm) => norm.forward(&x),
    }
}
