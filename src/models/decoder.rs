//! The decoder-only transformer, built to a [`Recipe`].

use mlx_rs::Array;

use super::{
    Cache, Model,
    attention::Pass,
    block::Block,
    cache::{KeysValues, LayerCache},
    frame::Frame,
    growth::Growths,
    lending::owners,
    per_layer::PerLayerVectors,
    recipe::{Kernel, Reach, Recipe},
    streams::Streams,
};
use crate::{
    checkpoint::{Checkpoint, LoadError},
    nn::{self, Mask, MlxError},
};

/// A recipe with its weights.
pub(super) struct Decoder {
    frame: Frame,
    per_layer: Option<PerLayerVectors>,
    streams: Option<Streams>,
    blocks: Vec<Block>,
    /// Of each block, which part of the cache it looks into.
    owners: Vec<usize>,
}

impl Decoder {
    /// Takes every tensor that `recipe` asks for.
    pub(super) fn load(recipe: &Recipe, checkpoint: &Checkpoint<'_>) -> Result<Self, LoadError> {
        let model = checkpoint.root().at("model");
        let layers = model.at("layers");
        let blocks = recipe.layers.iter().enumerate();
        Ok(Self {
            frame: Frame::load(recipe, checkpoint)?,
            per_layer: PerLayerVectors::load(&model, recipe)?,
            streams: Streams::load(&model, recipe)?,
            blocks: blocks
                .map(|(index, layer)| Block::load(&layers.at(index), recipe, layer))
                .collect::<Result<_, _>>()?,
            owners: owners(&recipe.layers)?,
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
        let x = self.frame.read(tokens, offset)?;
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
        self.frame.score(&x)
    }

    fn vocabulary(&self) -> u32 {
        self.frame.vocabulary()
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
