//! Models that mix self-attention with recurrences: halves of blocks, each of which reads a residual stream and adds
//! to it.

use mlx_rs::Array;

use super::{
    Cache, Model,
    attention::{Pass, SelfAttention},
    cache::{LayerCache, State},
    decoder::Masks,
    feed_forward::FeedForward,
    frame::Frame,
    gated_delta::{self, GatedDeltaMixer},
    growth::Growths,
    latent::{Latent, LatentAttention},
    recipe::{self, Reach, Residual},
    short_convolution::ShortConvolution,
    state_space::{self, StateSpaceMixer},
};
use crate::{
    checkpoint::{Checkpoint, LoadError, Scope},
    nn::{self, Norm},
};

/// All that tells one such model from another. Its layers are lists of halves.
pub(super) type Recipe = recipe::Recipe<Vec<Half>>;

/// Half of a block: `x + mixer(norm(x))`; of several mixers side by side, each is added in turn.
#[derive(Clone)]
pub(super) struct Half {
    /// Where the block has the norm.
    pub(super) norm: &'static str,
    /// What the norm adds to the mean square, where it is not what others add.
    pub(super) eps: Option<f32>,
    /// What it does with the stream, and where the block has it.
    pub(super) mixers: Vec<(&'static str, Mixer)>,
}

/// The half with its norm at `norm` and `mixer` at `place`.
pub(super) fn half(norm: &'static str, place: &'static str, mixer: Mixer) -> Half {
    Half { norm, eps: None, mixers: vec![(place, mixer)] }
}

/// A block by the usual names: `mixer` at `place`, and `feed_forward` behind it.
pub(super) fn block(
    place: &'static str,
    mixer: Mixer,
    feed_forward: recipe::FeedForward,
) -> Vec<Half> {
    vec![
        half("input_layernorm", place, mixer),
        half("post_attention_layernorm", "mlp", Mixer::FeedForward(feed_forward)),
    ]
}

/// What a half does with the stream.
#[derive(Clone)]
pub(super) enum Mixer {
    /// Self-attention.
    Attention(recipe::Attention),
    /// Self-attention whose keys and values grow from short vectors.
    Latent(Latent),
    /// Each position by itself.
    FeedForward(recipe::FeedForward),
    /// The gated delta rule.
    GatedDelta(gated_delta::Shape),
    /// A convolution of so many positions between two gates.
    ShortConvolution(i32),
    /// A state-space recurrence.
    StateSpace(state_space::Shape),
}

impl Recipe {
    /// The model, with every tensor that the recipe asks for.
    pub(super) fn load(&self, checkpoint: &Checkpoint<'_>) -> Result<Box<dyn Model>, LoadError> {
        let layers = checkpoint.root().at("model.layers");
        let halves = self.layers.iter().enumerate().flat_map(|(index, block)| {
            let scope = layers.at(index);
            block.iter().map(move |half| Mixed::load(&scope, self, half))
        });
        Ok(Box::new(Hybrid {
            frame: Frame::load(self, checkpoint)?,
            halves: halves.collect::<Result<_, _>>()?,
        }))
    }
}

/// A recipe with its weights.
struct Hybrid {
    frame: Frame,
    halves: Vec<Mixed>,
}

impl Model for Hybrid {
    fn new_cache(&self) -> Cache {
        Cache::of(self.halves.iter().map(Mixed::new_cache))
    }

    fn forward(&self, tokens: &Array, cache: &mut Cache) -> nn::Result<Array> {
        let mut x = self.frame.read(tokens, 0)?;
        let (mut masks, mut growths) = (Masks::default(), Growths::default());
        for (half, cache) in self.halves.iter().zip(cache.layers_mut()) {
            x = half.forward(&x, (&mut masks, &mut growths), cache)?;
        }
        self.frame.score(&x)
    }

    fn vocabulary(&self) -> u32 {
        self.frame.vocabulary()
    }
}

/// A half with its weights.
struct Mixed {
    norm: Norm,
    mixers: Vec<Mixing>,
    residual: Residual,
}

impl Mixed {
    fn load(block: &Scope<'_>, recipe: &Recipe, half: &Half) -> Result<Self, LoadError> {
        let mixers = half.mixers.iter();
        let eps = half.eps.unwrap_or(recipe.eps);
        Ok(Self {
            norm: Norm::load(&block.at(half.norm), recipe.norm, recipe.width, eps)?,
            mixers: mixers
                .map(|(place, mixer)| Mixing::load(&block.at(place), recipe, mixer))
                .collect::<Result<_, _>>()?,
            residual: recipe.residual,
        })
    }

    fn new_cache(&self) -> LayerCache {
        match self.mixers.as_slice() {
            [mixer] => mixer.new_cache(),
            mixers => LayerCache::List(mixers.iter().map(Mixing::new_cache).collect()),
        }
    }

    fn forward(
        &self,
        x: &Array,
        (masks, growths): (&mut Masks, &mut Growths),
        cache: &mut LayerCache,
    ) -> nn::Result<Array> {
        let read = self.norm.forward(x)?;
        let mut x = x.clone();
        for (index, mixer) in self.mixers.iter().enumerate() {
            let written = mixer.forward(&read, (masks, growths), cache.part(index)?)?;
            x = self.residual.add(&x, &written)?;
        }
        Ok(x)
    }
}

/// See [`Mixer`].
enum Mixing {
    Attention(Box<SelfAttention>),
    Latent(LatentAttention),
    FeedForward(FeedForward),
    GatedDelta(GatedDeltaMixer),
    ShortConvolution(ShortConvolution),
    StateSpace(StateSpaceMixer),
}

impl Mixing {
    fn load(scope: &Scope<'_>, recipe: &Recipe, mixer: &Mixer) -> Result<Self, LoadError> {
        let width = recipe.width;
        Ok(match mixer {
            Mixer::Attention(attention) => {
                Self::Attention(Box::new(SelfAttention::load(scope, recipe, attention)?))
            }
            Mixer::Latent(latent) => Self::Latent(LatentAttention::load(scope, width, latent)?),
            Mixer::FeedForward(half) => Self::FeedForward(FeedForward::load(scope, width, half)?),
            Mixer::GatedDelta(shape) => {
                Self::GatedDelta(GatedDeltaMixer::load(scope, width, shape)?)
            }
            Mixer::ShortConvolution(kernel) => {
                Self::ShortConvolution(ShortConvolution::load(scope, width, *kernel)?)
            }
            Mixer::StateSpace(shape) => {
                Self::StateSpace(StateSpaceMixer::load(scope, width, shape)?)
            }
        })
    }

    fn new_cache(&self) -> LayerCache {
        match self {
            Self::FeedForward(_) => LayerCache::Nothing,
            Self::Attention(_) | Self::Latent(_) => LayerCache::attention(Reach::Full),
            Self::GatedDelta(_) | Self::ShortConvolution(_) | Self::StateSpace(_) => {
                LayerCache::State(State::default())
            }
        }
    }

    fn forward(
        &self,
        x: &Array,
        (masks, growths): (&mut Masks, &mut Growths),
        cache: &mut LayerCache,
    ) -> nn::Result<Array> {
        match self {
            Self::Attention(attention) => {
                let cache = cache.keys_values()?;
                let mask = masks.of(attention.recipe.kernel, cache, x.dim(1))?;
                attention.forward(x, &Pass { mask, growth: None }, cache)
            }
            Self::Latent(attention) => {
                let cache = cache.keys_values()?;
                let mask = masks.shared(attention.spells_masks_out(), cache, x.dim(1))?;
                attention.forward(x, &mask, growths, cache)
            }
            Self::FeedForward(feed_forward) => feed_forward.forward(x),
            Self::GatedDelta(mixer) => mixer.forward(x, cache.recurrence()?),
            Self::ShortConvolution(mixer) => mixer.forward(x, cache.recurrence()?),
            Self::StateSpace(mixer) => mixer.forward(x, cache.recurrence()?),
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
