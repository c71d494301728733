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
        Cache::new(self.blocks.iter().map(|block| block.attention.recipe.reach))
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
            let (attention, n) = (&block.attention.recipe, tokens.dim(1));
            let pass = Pass {
                mask: masks.of(attention.kernel, cache, n)?,
                growth: growths.of(attention.growth, (offset, n), x.dtype())?,
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
    wiring: Wiring,
    residual: Residual,
}

impl Block {
    fn load(scope: &Scope<'_>, recipe: &Recipe, layer: &Layer) -> Result<Self, LoadError> {
        let norm = |name| match name {
            None => Ok(None),
            Some(name) => {
                Norm::load(&scope.at(name), recipe.norm, recipe.width, recipe.eps).map(Some)
            }
        };
        let first = Some("input_layernorm");
        let second = Some("post_attention_layernorm");
        let last = Some("post_feedforward_layernorm");
        let [before_attention, after_attention, before_feed_forward, after_feed_forward] =
            match layer.wiring {
                Wiring::Pre | Wiring::ParallelTwoNorms => [first, None, second, None],
                Wiring::Post => [None, second, None, last],
                Wiring::Sandwich => [first, second, Some("pre_feedforward_layernorm"), last],
                Wiring::Parallel | Wiring::ParallelInTurn => [first, None, None, None],
            };
        Ok(Self {
            attention: SelfAttention::load(&scope.at("self_attn"), recipe, &layer.attention)?,
            feed_forward: FeedForward::load(&scope.at("mlp"), recipe.width, &layer.feed_forward)?,
            before_attention: norm(before_attention)?,
            after_attention: norm(after_attention)?,
            before_feed_forward: norm(before_feed_forward)?,
            after_feed_forward: norm(after_feed_forward)?,
            wiring: layer.wiring,
            residual: recipe.residual,
        })
    }

    fn forward(&self, x: &Array, pass: &Pass, cache: &mut KeysValues) -> nn::Result<Array> {
        let read = normalized(self.before_attention.as_ref(), x)?;
        let attended = self.attention.forward(&read, pass, cache)?;
        let add = |x: &Array, half: &Array| self.residual.add(x, half);
        match self.wiring {
            Wiring::Pre | Wiring::Post | Wiring::Sandwich => {
                let x = add(x, &normalized(self.after_attention.as_ref(), &attended)?)?;
                add(&x, &self.fed(&x)?)
            }
            Wiring::Parallel => add(x, &attended.add(self.feed_forward.forward(&read)?)?),
            Wiring::ParallelTwoNorms => add(x, &attended.add(self.fed(x)?)?),
            Wiring::ParallelInTurn => {
                let fed = self.feed_forward.forward(&read)?;
                add(&add(x, &attended)?, &fed)
            }
        }
    }

    /// What the second half makes of `x`, between its norms.
    fn fed(&self, x: &Array) -> nn::Result<Array> {
        let read = normalized(self.before_feed_forward.as_ref(), x)?;
        let fed = self.feed_forward.forward(&read)?;
        normalized(self.after_feed_forward.as_ref(), &fed)
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

/// `x`, normalized where there is a norm.
fn normalized(norm: Option<&Norm>, x: &Array) -> nn::Result<Array> {
    match norm {
        None => Ok(x.clone()),
        Some(norm) => norm.forward(x),
    }
}
