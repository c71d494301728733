//! The decoder-only transformer, built to a [`Recipe`].

use mlx_rs::{
    Array, Dtype,
    ops::{clip, tanh},
};

use super::{
    Cache, Model,
    attention::{Pass, SelfAttention},
    cache::KeysValues,
    feed_forward::FeedForward,
    front::Front,
    growth::Growths,
    recipe::{Head, Kernel, Layer, Reach, Recipe, Residual, Scores, Wiring},
};
use crate::{
    checkpoint::{Checkpoint, LoadError, Scope},
    nn::{self, Linear, Mask, Norm},
};

/// The largest finite float16.
const LARGEST_FLOAT16: f32 = 65_504.0;

/// A recipe with its weights.
pub(super) struct Decoder {
    vocabulary: u32,
    front: Front,
    blocks: Vec<Block>,
    norm: Norm,
    head: Option<Linear>,
    scores: Scores,
}

impl Decoder {
    /// Takes every tensor that `recipe` asks for.
    pub(super) fn load(recipe: &Recipe, checkpoint: &Checkpoint<'_>) -> Result<Self, LoadError> {
        let (root, model) = (checkpoint.root(), checkpoint.root().at("model"));
        let layers = model.at("layers");
        let blocks = recipe.layers.iter().enumerate();
        Ok(Self {
            vocabulary: u32::try_from(recipe.vocabulary).unwrap_or(0),
            front: Front::load(&model, recipe)?,
            blocks: blocks
                .map(|(index, layer)| Block::load(&layers.at(index), recipe, layer))
                .collect::<Result<_, _>>()?,
            norm: Norm::load(&model.at("norm"), recipe.norm, recipe.width, recipe.eps)?,
            head: match recipe.head {
                Head::Tied => None,
                Head::Separate => {
                    Some(Linear::load(&root.at("lm_head"), recipe.vocabulary, recipe.width)?)
                }
            },
            scores: recipe.scores,
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
        let mut x = self.front.forward(tokens, offset)?;
        let (mut masks, mut growths) = (Masks::default(), Growths::default());
        for (block, cache) in self.blocks.iter().zip(cache.layers_mut()) {
            let cache = cache.keys_values()?;
            let pass = Pass {
                mask: masks.of(block.attention.kernel, cache, tokens.dim(1))?,
                growth: growths.of(block.attention.growth, (offset, tokens.dim(1)), x.dtype())?,
            };
            x = block.forward(&x, &pass, cache)?;
        }
        self.score(self.norm.forward(&x)?)
    }

    fn vocabulary(&self) -> u32 {
        self.vocabulary
    }
}

impl Decoder {
    fn score(&self, x: Array) -> nn::Result<Array> {
        let x = match self.scores {
            Scores::OfStreamOver(divisor) => x.divide(nn::scalar(divisor, &x))?,
            Scores::Plain | Scores::Times(_) | Scores::Over(_) | Scores::Capped(_) => x,
        };
        let scores = match &self.head {
            Some(head) => head.forward(&x),
            None => self.front.as_head(&x),
        }?;
        Ok(match self.scores {
            Scores::Plain | Scores::OfStreamOver(_) => scores,
            Scores::Times(factor) => scores.multiply(nn::scalar(factor, &scores))?,
            Scores::Over(divisor) => scores.divide(nn::scalar(divisor, &scores))?,
            Scores::Capped(cap) => {
                let cap = nn::scalar(cap, &scores);
                tanh(scores.divide(&cap)?)?.multiply(cap)?
            }
        })
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
                let x = self.add(x, &normalized(self.after_attention.as_ref(), attended)?)?;
                self.add(&x, &self.fed(&x)?)
            }
            Order::SideBySide => {
                let fed = self.feed_forward.forward(&read)?;
                self.add(x, &attended.add(fed)?)
            }
            Order::SideBySideApart => self.add(x, &attended.add(self.fed(x)?)?),
            Order::SideBySideInTurn => {
                let fed = self.feed_forward.forward(&read)?;
                self.add(&self.add(x, &attended)?, &fed)
            }
        }
    }

    /// What the second half makes of `x`, between its norms.
    fn fed(&self, x: &Array) -> nn::Result<Array> {
        let read = input(self.before_feed_forward.as_ref(), x)?;
        let fed = self.feed_forward.forward(&read)?;
        normalized(self.after_feed_forward.as_ref(), fed)
    }

    fn add(&self, x: &Array, half: &Array) -> nn::Result<Array> {
        match self.residual {
            Residual::AddTimes(factor) => Ok(x.add(half.multiply(nn::scalar(factor, half))?)?),
            Residual::AddClipped if x.dtype() == Dtype::Float16 => {
                let wide = |x: &Array| x.as_dtype(Dtype::Float32);
                let sum = wide(x)?.add(wide(half)?)?;
                let bounds = (-LARGEST_FLOAT16, LARGEST_FLOAT16);
                Ok(clip(sum, bounds)?.as_dtype(Dtype::Float16)?)
            }
            Residual::Add | Residual::AddClipped => Ok(x.add(half)?),
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
