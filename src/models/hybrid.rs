//! Models that mix self-attention with recurrences: halves of blocks, each of which reads a residual stream and adds
//! to it.

use mlx_rs::Array;

use super::{
    Cache, Model,
    attention::{Pass, SelfAttention},
    cache::{LayerCache, State},
    decoder::Masks,
    feed_forward::FeedForward,
    gated_delta::GatedDeltaMixer,
    latent::LatentAttention,
    latent_mixture::LatentMixture,
    recipe::{self, EmbeddingScale, Extras, Head, Places, Reach, Recipe, Residual, Scores},
    short_convolution::ShortConvolution,
    state_space::StateSpaceMixer,
};
use crate::{
    checkpoint::{Checkpoint, LoadError, Scope},
    nn::{self, Embedding, Linear, Norm, NormKind},
};

/// What stands around the halves of such a model.
pub(super) struct Frame {
    pub(super) vocabulary: i32,
    pub(super) width: i32,
    pub(super) eps: f32,
    /// Where the checkpoint has the model, head included; mostly nowhere but at the top.
    pub(super) root: &'static str,
    /// Where it has the table of token vectors.
    pub(super) embedding: &'static str,
    /// Where it has the last norm.
    pub(super) norm: &'static str,
    pub(super) head: Head,
    /// What token vectors are scaled by.
    pub(super) tokens: Factor,
    /// What the head reads is scaled by.
    pub(super) stream: Factor,
    /// What scores are scaled by.
    pub(super) scores: Factor,
}

/// A constant scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Factor {
    /// None.
    One,
    /// A factor.
    Times(f32),
    /// A divisor.
    Over(f32),
}

impl Factor {
    fn apply(self, x: Array) -> nn::Result<Array> {
        Ok(match self {
            Self::One => x,
            Self::Times(factor) => x.multiply(nn::scalar(factor, &x))?,
            Self::Over(divisor) => x.divide(nn::scalar(divisor, &x))?,
        })
    }
}

impl Frame {
    /// A frame by its usual names, in which nothing is scaled.
    pub(super) fn new(vocabulary: i32, width: i32, eps: f32, head: Head) -> Self {
        Self {
            vocabulary,
            width,
            eps,
            root: "",
            embedding: "model.embed_tokens",
            norm: "model.norm",
            head,
            tokens: Factor::One,
            stream: Factor::One,
            scores: Factor::One,
        }
    }

    /// Self-attention of a model with this frame.
    pub(super) fn attention(
        &self,
        scope: &Scope<'_>,
        attention: &recipe::Attention,
    ) -> Result<SelfAttention, LoadError> {
        let recipe = Recipe {
            vocabulary: self.vocabulary,
            width: self.width,
            embedding_scale: EmbeddingScale::One,
            places: Places::Unmarked,
            layers: Vec::new(),
            norm: NormKind::Rms,
            eps: self.eps,
            head: self.head,
            scores: Scores::Plain,
            residual: Residual::Add,
            extras: Extras::default(),
        };
        SelfAttention::load(scope, &recipe, attention)
    }

    /// The half of a block that normalizes by the norm at `norm` and then applies `mixer`.
    pub(super) fn half(&self, norm: &Scope<'_>, mixer: Mixer) -> Result<Half, LoadError> {
        self.half_with(norm, self.eps, mixer)
    }

    /// The same with an epsilon of its own.
    pub(super) fn half_with(
        &self,
        norm: &Scope<'_>,
        eps: f32,
        mixer: Mixer,
    ) -> Result<Half, LoadError> {
        Ok(Half {
            norm: Norm::load(norm, NormKind::Rms, self.width, eps)?,
            mixer,
            factor: Factor::One,
        })
    }
}

/// A frame and its halves, with their weights.
pub(super) struct Hybrid {
    vocabulary: u32,
    embedding: Embedding,
    tokens: Factor,
    halves: Vec<Half>,
    norm: Norm,
    head: Option<Linear>,
    stream: Factor,
    scores: Factor,
}

impl Hybrid {
    /// Takes what `frame` asks for beside `halves`.
    pub(super) fn load(
        frame: &Frame,
        halves: Vec<Half>,
        checkpoint: &Checkpoint<'_>,
    ) -> Result<Self, LoadError> {
        let root = checkpoint.root().at(frame.root);
        let Frame { vocabulary, width, .. } = *frame;
        Ok(Self {
            vocabulary: u32::try_from(vocabulary).unwrap_or(0),
            embedding: Embedding::load(&root.at(frame.embedding), vocabulary, width)?,
            tokens: frame.tokens,
            halves,
            norm: Norm::load(&root.at(frame.norm), NormKind::Rms, width, frame.eps)?,
            head: match frame.head {
                Head::Tied => None,
                Head::Separate => Some(Linear::load(&root.at("lm_head"), vocabulary, width)?),
            },
            stream: frame.stream,
            scores: frame.scores,
        })
    }
}

impl Model for Hybrid {
    fn new_cache(&self) -> Cache {
        Cache::of(self.halves.iter().map(|half| half.mixer.new_cache()))
    }

    fn forward(&self, tokens: &Array, cache: &mut Cache) -> nn::Result<Array> {
        let mut x = self.tokens.apply(self.embedding.forward(tokens)?)?;
        let mut masks = Masks::default();
        for (half, cache) in self.halves.iter().zip(cache.layers_mut()) {
            x = half.forward(&x, &mut masks, cache)?;
        }
        let x = self.stream.apply(self.norm.forward(&x)?)?;
        self.scores.apply(match &self.head {
            Some(head) => head.forward(&x)?,
            None => self.embedding.as_head(&x)?,
        })
    }

    fn vocabulary(&self) -> u32 {
        self.vocabulary
    }
}

/// Half of a block: `x + factor · mixer(norm(x))`.
pub(super) struct Half {
    norm: Norm,
    mixer: Mixer,
    /// What the mixer's output is scaled by; of two side by side it is not.
    pub(super) factor: Factor,
}

/// What a half does with the stream.
pub(super) enum Mixer {
    /// Self-attention.
    Attention(SelfAttention),
    /// Self-attention whose keys and values grow from short vectors.
    Latent(LatentAttention),
    /// Each position by itself.
    FeedForward(FeedForward),
    /// A few of many experts.
    LatentMixture(LatentMixture),
    /// The gated delta rule.
    GatedDelta(GatedDeltaMixer),
    /// A short convolution between two gates.
    ShortConvolution(ShortConvolution),
    /// A state-space recurrence.
    StateSpace(StateSpaceMixer),
    /// A state-space recurrence and self-attention side by side, added in this order.
    Parallel(StateSpaceMixer, Box<SelfAttention>),
}

impl Half {
    fn forward(&self, x: &Array, masks: &mut Masks, cache: &mut LayerCache) -> nn::Result<Array> {
        let read = self.norm.forward(x)?;
        let written = match &self.mixer {
            Mixer::Attention(attention) => attend(attention, &read, masks, cache)?,
            Mixer::Latent(attention) => {
                let cache = cache.keys_values()?;
                let mask = masks.shared(attention.spells_masks_out(), cache, x.dim(1))?;
                attention.forward(&read, &mask, cache)?
            }
            Mixer::FeedForward(feed_forward) => feed_forward.forward(&read)?,
            Mixer::LatentMixture(mixture) => mixture.forward(&read)?,
            Mixer::GatedDelta(mixer) => mixer.forward(&read, cache.recurrence()?)?,
            Mixer::ShortConvolution(mixer) => mixer.forward(&read, cache.recurrence()?)?,
            Mixer::StateSpace(mixer) => mixer.forward(&read, cache.recurrence()?)?,
            Mixer::Parallel(recurrence, attention) => {
                let mixed = recurrence.forward(&read, cache.part(0)?.recurrence()?)?;
                let attended = attend(attention, &read, masks, cache.part(1)?)?;
                return Ok(x.add(mixed)?.add(attended)?);
            }
        };
        Ok(x.add(self.factor.apply(written)?)?)
    }
}

fn attend(
    attention: &SelfAttention,
    x: &Array,
    masks: &mut Masks,
    cache: &mut LayerCache,
) -> nn::Result<Array> {
    let cache = cache.keys_values()?;
    let pass = Pass { mask: masks.of(attention.recipe.kernel, cache, x.dim(1))?, growth: None };
    attention.forward(x, &pass, cache)
}

impl Mixer {
    fn new_cache(&self) -> LayerCache {
        match self {
            Self::FeedForward(_) | Self::LatentMixture(_) => LayerCache::Nothing,
            Self::Attention(_) | Self::Latent(_) => LayerCache::attention(Reach::Full),
            Self::GatedDelta(_) | Self::ShortConvolution(_) | Self::StateSpace(_) => {
                LayerCache::State(State::default())
            }
            Self::Parallel(..) => LayerCache::List(vec![
                LayerCache::State(State::default()),
                LayerCache::attention(Reach::Full),
            ]),
        }
    }
}

/// Brings convolutions as other exporters write them, `[channels, 1, kernel]`, into `[channels, kernel, 1]`.
pub(super) fn channels_last(checkpoint: &Checkpoint<'_>, suffix: &str) -> Result<(), LoadError> {
    for name in checkpoint.names() {
        let is_foreign = || matches!(checkpoint.shape(&name).as_deref(), Some([_, 1, _]));
        if name.ends_with(suffix) && is_foreign() {
            checkpoint.transform(&name, |weight| Ok(weight.swap_axes(1, 2)?))?;
        }
    }
    Ok(())
}
