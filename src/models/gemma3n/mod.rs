//! Gemma 3n, text only: four residual streams of which a block computes one and predicts the others.
//!
//! Papers: Baykal et al., "Alternating updates" (2023); Menghani et al., "Learned augmented residual layer" (2024).
//! Reference: `mlx_lm.models.gemma3n`. Projections of layers that borrow keys and values are held there and never
//! used; here they are dropped.

mod block;
mod config;
mod streams;

use mlx_rs::Array;
use serde::Deserialize;

use super::{
    Architecture, Cache, Family, Model,
    decoder::Masks,
    lending::{lender, owners},
    per_layer::PerLayerVectors,
    recipe::{Kernel, Reach},
};
use crate::{
    checkpoint::{Checkpoint, LoadError},
    nn::{self, Embedding, Norm, NormKind, SoftCap},
};
use block::Block;
use config::Config;
use streams::Streams;

pub(super) const FAMILY: Family = Family {
    model_types: &["gemma3n"],
    architecture: Architecture::Other(|checkpoint| {
        let Wrapper { text_config } = checkpoint.config()?;
        discard_unused(checkpoint, &text_config);
        Ok(Box::new(Gemma3n::load(checkpoint, &text_config)?))
    }),
};

#[derive(Deserialize)]
struct Wrapper {
    text_config: Config,
}

/// Drops what belongs to eyes and ears, and what a layer that borrows does without.
fn discard_unused(checkpoint: &Checkpoint<'_>, config: &Config) {
    const FOREIGN: [&str; 4] = ["vision_tower", "audio_tower", "embed_audio", "embed_vision"];
    const LENT: [&str; 3] = ["k_norm", "k_proj", "v_proj"];
    checkpoint.discard(|name| {
        let Some(name) = name.strip_prefix("model.") else {
            return false;
        };
        let layer = name.strip_prefix("language_model.layers.");
        let place = layer.and_then(|rest| rest.split_once(".self_attn."));
        FOREIGN.iter().any(|foreign| name.starts_with(foreign))
            || place.is_some_and(|(index, part)| {
                LENT.iter().any(|lent| part.starts_with(lent))
                    && index.parse().is_ok_and(|index| !config.is_concrete(index))
            })
    });
}

struct Gemma3n {
    vocabulary: u32,
    embedding: Embedding,
    embedding_scale: f32,
    per_layer: PerLayerVectors,
    streams: Streams,
    blocks: Vec<Block>,
    /// How far back each layer with keys and values of its own sees.
    reaches: Vec<Reach>,
    /// Of each layer, whose cache it looks into.
    owners: Vec<usize>,
    norm: Norm,
    cap: Option<SoftCap>,
}

impl Gemma3n {
    fn load(checkpoint: &Checkpoint<'_>, config: &Config) -> Result<Self, LoadError> {
        let model = checkpoint.root().at("model").at("language_model");
        let (vocabulary, width) = (config.vocab_size, config.hidden_size);
        let kinds = config.kinds()?;
        let concrete = config.concrete()?;
        let layers = model.at("layers");
        let reaches = kinds.iter().take(concrete);
        Ok(Self {
            vocabulary: u32::try_from(vocabulary).unwrap_or(0),
            embedding: Embedding::load(&model.at("embed_tokens"), vocabulary, width)?,
            embedding_scale: config.embedding_scale(),
            per_layer: PerLayerVectors::load(&model, config.per_layer())?,
            streams: Streams::load(&model, config.altup_num_inputs, width)?,
            blocks: kinds
                .iter()
                .enumerate()
                .map(|(index, kind)| Block::load(&layers.at(index), config, index, *kind))
                .collect::<Result<_, _>>()?,
            reaches: reaches.map(|kind| config.reach(*kind)).collect(),
            owners: owners(kinds, concrete)?,
            norm: Norm::load(&model.at("norm"), NormKind::Rms, width, config.rms_norm_eps)?,
            cap: config.final_logit_softcapping.map(SoftCap::new),
        })
    }
}

impl Model for Gemma3n {
    fn new_cache(&self) -> Cache {
        Cache::new(self.reaches.iter().copied())
    }

    fn forward(&self, tokens: &Array, cache: &mut Cache) -> nn::Result<Array> {
        let x = self.embedding.forward(tokens)?;
        let x = x.multiply(nn::scalar(self.embedding_scale, &x))?;
        let vectors = self.per_layer.forward(tokens, &x)?;
        let caches = cache.layers_mut();
        // Read once: a layer that borrows stands where its lender stood before it wrote.
        let offset = lender(caches, 0)?.offset();
        let mut masks = Masks::default();
        let mut streams = self.streams.open(&x)?;
        let layers = self.blocks.iter().zip(&self.owners).zip(&vectors);
        for ((block, owner), vectors) in layers {
            let cache = lender(caches, *owner)?;
            let mask = masks.of(Kernel::Fused, cache, tokens.dim(1))?;
            streams = block.forward(&streams, vectors, &mask, offset, cache)?;
        }
        let x = self.norm.forward(&self.streams.close(&streams)?)?;
        let scores = self.embedding.as_head(&x)?;
        match &self.cap {
            Some(cap) => cap.forward(&scores),
            None => Ok(scores),
        }
    }

    fn vocabulary(&self) -> u32 {
        self.vocabulary
    }
}
