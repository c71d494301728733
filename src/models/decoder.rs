//! The decoder-only transformer, built to a [`Recipe`].

use mlx_rs::{Array, ops::tanh};

use super::{
    Cache, Model,
    attention::Pass,
    block::Block,
    cache::{KeysValues, LayerCache},
    front::Front,
    growth::Growths,
    lending::owners,
    per_layer::PerLayerVectors,
    recipe::{Head, Kernel, Reach, Recipe, Scores},
    streams::Streams,
};
use crate::{
    checkpoint::{Checkpoint, LoadError},
    nn::{self, Linear, Mask, MlxError, Norm, SoftCap},
};

/// A recipe with its weights.
pub(super) struct Decoder {
    vocabulary: u32,
    front: Front,
    per_layer: Option<PerLayerVectors>,
    streams: Option<Streams>,
    blocks: Vec<Block>,
    /// Of each block, which part of the cache it looks into.
    owners: Vec<usize>,
    norm: Norm,
    head: Option<Linear>,
    scores: Scores,
    /// See [`Scores::CappedAtOnce`].
    cap: Option<SoftCap>,
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
            per_layer: PerLayerVectors::load(&model, recipe)?,
            streams: Streams::load(&model, recipe)?,
            blocks: blocks
                .map(|(index, layer)| Block::load(&layers.at(index), recipe, layer))
                .collect::<Result<_, _>>()?,
            owners: owners(&recipe.layers)?,
            norm: Norm::load(&model.at("norm"), recipe.norm, recipe.width, recipe.eps)?,
            head: match recipe.head {
                Head::Tied => None,
                Head::Separate => {
                    Some(Linear::load(&root.at("lm_head"), recipe.vocabulary, recipe.width)?)
                }
            },
            scores: recipe.scores,
            cap: if let Scores::CappedAtOnce(cap) = recipe.scores {
                Some(SoftCap::new(cap))
            } else {
                None
            },
        })
    }
}

impl Model for Decoder {
    fn new_cache(&self) -> Cache {
        let attentions = self.blocks.iter().map(|block| &block.attention.recipe);
        let lenders = attentions.filter(|attention| !attention.borrows());
        Cache::new(lenders.map(|attention| attention.reach))
    }

    fn forward(&self, tokens: &Array, cache: &mut Cache) -> nn::Result<Array> {
        let caches = cache.layers_mut();
        let offset = match caches.first_mut() {
            None => 0,
            Some(layer) => layer.keys_values()?.offset(),
        };
        let x = self.front.forward(tokens, offset)?;
        let vectors = match &self.per_layer {
            None => Vec::new(),
            Some(per_layer) => per_layer.forward(tokens, &x)?,
        };
        let mut x = match &self.streams {
            None => x,
            Some(streams) => streams.open(&x)?,
        };
        let (mut masks, mut growths) = (Masks::default(), Growths::default());
        for (index, (block, owner)) in self.blocks.iter().zip(&self.owners).enumerate() {
            let cache = part(caches, *owner)?;
            let attention = &block.attention.recipe;
            let pass = Pass {
                mask: masks.of(attention.kernel, cache, tokens.dim(1))?,
                growth: growths.of(attention.growth, (offset, tokens.dim(1)), x.dtype())?,
            };
            x = block.forward(&x, vectors.get(index), &pass, cache)?;
        }
        let x = match &self.streams {
            None => x,
            Some(streams) => streams.close(&x)?,
        };
        self.score(self.norm.forward(&x)?)
    }

    fn vocabulary(&self) -> u32 {
        self.vocabulary
    }
}

impl Decoder {
    fn score(&self, x: Array) -> nn::Result<Array> {
        let x = if let Scores::OfStreamOver(divisor) = self.scores {
            x.divide(nn::scalar(divisor, &x))?
        } else {
            x
        };
        let scores = match &self.head {
            Some(head) => head.forward(&x),
            None => self.front.as_head(&x),
        }?;
        if let Some(cap) = &self.cap {
            return cap.forward(&scores);
        }
        Ok(match self.scores {
            Scores::Plain | Scores::OfStreamOver(_) | Scores::CappedAtOnce(_) => scores,
            Scores::Times(factor) => scores.multiply(nn::scalar(factor, &scores))?,
            Scores::Over(divisor) => scores.divide(nn::scalar(divisor, &scores))?,
            Scores::Capped(cap) => {
                let cap = nn::scalar(cap, &scores);
                tanh(scores.divide(&cap)?)?.multiply(cap)?
            }
        })
    }
}

/// The keys and values of layer `owner`.
fn part(caches: &mut [LayerCache], owner: usize) -> nn::Result<&mut KeysValues> {
    let cache = caches.get_mut(owner);
    cache.ok_or_else(|| MlxError::new("the cache is of another model"))?.keys_values()
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
