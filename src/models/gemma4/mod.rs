//! Gemma 4, text only: heads of two sizes, late layers that borrow keys and values, and vectors of every layer's own.
//!
//! Reference: `mlx_lm.models.gemma4_text` and `mlx_lm.models.gemma4`, which wraps it.

mod block;
mod config;
mod convert;
mod mixture;

use mlx_rs::Array;
use serde::Deserialize;

use super::{
    Cache, Family, Model,
    decoder::Masks,
    lending::{lender, owners},
    per_layer::PerLayerVectors,
    recipe::{Kernel, Reach},
};
use crate::{
    checkpoint::{Checkpoint, LoadError},
    nn::{self, Embedding, Linear, Norm, NormKind, SoftCap},
};
use block::Block;
use config::Config;

pub(super) const FAMILY: Family =
    Family::other(&["gemma4", "gemma4_text", "gemma4_unified"], |checkpoint| {
        let config = match checkpoint.description().model_type()? {
            "gemma4_text" => checkpoint.config()?,
            _ => unwrap(checkpoint)?,
        };
        convert::convert(checkpoint, &config)?;
        Ok(Box::new(Gemma4::load(checkpoint, &config)?))
    });

/// The configuration of a model that sees and hears as well.
#[derive(Deserialize)]
struct Wrapper {
    text_config: Option<Config>,
    vocab_size: Option<i32>,
}

/// Leaves the language model of one that sees and hears.
fn unwrap(checkpoint: &Checkpoint<'_>) -> Result<Config, LoadError> {
    let Wrapper { text_config, vocab_size } = checkpoint.config()?;
    convert::unwrap(checkpoint);
    let mut config = text_config.unwrap_or_default();
    config.vocab_size = vocab_size.unwrap_or(262_144);
    Ok(config)
}

struct Gemma4 {
    vocabulary: u32,
    embedding: Embedding,
    embedding_scale: f32,
    per_layer: Option<PerLayerVectors>,
    blocks: Vec<Block>,
    /// How far back each layer with keys and values of its own sees.
    reaches: Vec<Reach>,
    /// Of each layer, whose cache it looks into.
    owners: Vec<usize>,
    norm: Norm,
    head: Option<Linear>,
    cap: Option<SoftCap>,
}

impl Gemma4 {
    fn load(checkpoint: &Checkpoint<'_>, config: &Config) -> Result<Self, LoadError> {
        let (root, model) = (checkpoint.root(), checkpoint.root().at("model"));
        let (vocabulary, width) = (config.vocab_size, config.hidden_size);
        let kinds = config.kinds()?;
        let concrete = config.concrete()?;
        let layers = model.at("layers");
        let reaches = kinds.iter().take(concrete);
        Ok(Self {
            vocabulary: u32::try_from(vocabulary).unwrap_or(0),
            embedding: Embedding::load(&model.at("embed_tokens"), vocabulary, width)?,
            embedding_scale: config.embedding_scale(),
            per_layer: match config.per_layer() {
                None => None,
                Some(recipe) => Some(PerLayerVectors::load(&model, recipe)?),
            },
            blocks: kinds
                .iter()
                .enumerate()
                .map(|(index, kind)| Block::load(&layers.at(index), config, index, *kind))
                .collect::<Result<_, _>>()?,
            reaches: reaches.map(|kind| config.reach(*kind)).collect(),
            owners: owners(&kinds, concrete)?,
            norm: Norm::load(&model.at("norm"), NormKind::Rms, width, config.rms_norm_eps)?,
            head: if config.tie_word_embeddings {
                None
            } else {
                Some(Linear::load(&root.at("lm_head"), vocabulary, width)?)
            },
            cap: config.final_logit_softcapping.map(SoftCap::new),
        })
    }
}

impl Model for Gemma4 {
    fn new_cache(&self) -> Cache {
        Cache::new(self.reaches.iter().copied())
    }

    fn forward(&self, tokens: &Array, cache: &mut Cache) -> nn::Result<Array> {
        let x = self.embedding.forward(tokens)?;
        let mut x = x.multiply(nn::scalar(self.embedding_scale, &x))?;
        let vectors = match &self.per_layer {
            None => Vec::new(),
            Some(per_layer) => per_layer.forward(tokens, &x)?,
        };
        let caches = cache.layers_mut();
        // Read once: a layer that borrows stands where its lender stood before it wrote.
        let offset = lender(caches, 0)?.offset();
        let mut masks = Masks::default();
        for (index, (block, owner)) in self.blocks.iter().zip(&self.owners).enumerate() {
            let cache = lender(caches, *owner)?;
            let mask = masks.of(Kernel::Fused, cache, tokens.dim(1))?;
            x = block.forward(&x, vectors.get(index), &mask, offset, cache)?;
        }
        let x = self.norm.forward(&x)?;
        let scores = match &self.head {
            Some(head) => head.forward(&x)?,
            None => self.embedding.as_head(&x)?,
        };
        match &self.cap {
            Some(cap) => cap.forward(&scores),
            None => Ok(scores),
        }
    }

    fn vocabulary(&self) -> u32 {
        self.vocabulary
    }
}
