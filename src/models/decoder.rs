//! The decoder-only transformer, built to a [`Recipe`].

use half::bf16;
use mlx_rs::{Array, Dtype, ops::clip};

use super::{
    Cache, Model,
    cache::KeysValues,
    recipe::{Attention, EmbeddingScale, Head, Layer, QkNorm, Reach, Recipe, Residual, Wiring},
};
use crate::{
    checkpoint::{Checkpoint, LoadError, Scope},
    nn::{self, Activation, Embedding, Linear, Mask, MlxError, Norm, RotaryEmbedding, attention},
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
    pub(super) fn load(recipe: &Recipe, checkpoint: &Checkpoint) -> Result<Self, LoadError> {
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
            feed_forward: FeedForward::load(&scope.at("mlp"), recipe.width, layer)?,
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

fn normalized(norm: Option<&Norm>, x: Array) -> nn::Result<Array> {
    match norm {
        None => Ok(x),
        Some(norm) => norm.forward(&x),
    }
}

/// Self-attention with its weights.
struct SelfAttention {
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    qk_norms: Option<(Norm, Norm)>,
    rope: RotaryEmbedding,
    heads: i32,
    kv_heads: i32,
    scale: f32,
    reach: Reach,
}

impl SelfAttention {
    fn load(scope: &Scope<'_>, recipe: &Recipe, attention: &Attention) -> Result<Self, LoadError> {
        let Attention {
            heads,
            kv_heads,
            head_dim,
            ..
        } = *attention;
        let linear = |name, outputs, inputs| Linear::load(&scope.at(name), outputs, inputs);
        let norm = |name| Norm::load(&scope.at(name), recipe.norm, head_dim, recipe.eps);
        Ok(Self {
            q: linear("q_proj", heads * head_dim, recipe.width)?,
            k: linear("k_proj", kv_heads * head_dim, recipe.width)?,
            v: linear("v_proj", kv_heads * head_dim, recipe.width)?,
            o: linear("o_proj", recipe.width, heads * head_dim)?,
            qk_norms: match attention.qk_norm {
                QkNorm::None => None,
                QkNorm::PerHead => Some((norm("q_norm")?, norm("k_norm")?)),
            },
            rope: RotaryEmbedding::new(&attention.rope)?,
            heads,
            kv_heads,
            scale: attention.scale,
            reach: attention.reach,
        })
    }

    fn forward(&self, x: &Array, mask: &Mask, cache: &mut KeysValues) -> nn::Result<Array> {
        let &[batch, length, _] = x.shape() else {
            return Err(MlxError::new("hidden states take three axes"));
        };
        let by_head = |x: Array, heads, norm: Option<&Norm>| {
            let x = normalized(norm, x.reshape(&[batch, length, heads, -1])?)?;
            x.transpose_axes(&[0, 2, 1, 3]).map_err(MlxError::from)
        };
        let (q_norm, k_norm) = match &self.qk_norms {
            Some((q, k)) => (Some(q), Some(k)),
            None => (None, None),
        };
        let q = by_head(self.q.forward(x)?, self.heads, q_norm)?;
        let k = by_head(self.k.forward(x)?, self.kv_heads, k_norm)?;
        let v = by_head(self.v.forward(x)?, self.kv_heads, None)?;
        let (q, k) = (
            self.rope.forward(&q, cache.offset())?,
            self.rope.forward(&k, cache.offset())?,
        );
        let (k, v) = cache.update(&k, &v)?;
        let mixed = attention(&q, &k, &v, self.scale, mask)?
            .transpose_axes(&[0, 2, 1, 3])?
            .reshape(&[batch, length, -1])?;
        self.o.forward(&mixed)
    }
}

/// A gated feed-forward half with its weights.
struct FeedForward {
    gate: Linear,
    up: Linear,
    down: Linear,
    activation: Activation,
}

impl FeedForward {
    fn load(scope: &Scope<'_>, width: i32, layer: &Layer) -> Result<Self, LoadError> {
        Ok(Self {
            gate: Linear::load(&scope.at("gate_proj"), layer.inner, width)?,
            up: Linear::load(&scope.at("up_proj"), layer.inner, width)?,
            down: Linear::load(&scope.at("down_proj"), width, layer.inner)?,
            activation: layer.activation,
        })
    }

    fn forward(&self, x: &Array) -> nn::Result<Array> {
        let gated = self
            .activation
            .gate(&self.gate.forward(x)?, &self.up.forward(x)?)?;
        self.down.forward(&gated)
    }
}
