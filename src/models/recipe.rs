//! What tells one decoder-only transformer from another, as data.

mod extras;
mod mixture;

pub use extras::{Extras, PerLayer, SideExperts, Streams};
pub use mixture::{
    Choice, ExpertScores, ExpertWeights, Fusion, Groups, Mixture, Precision, Router, Shared,
    Weighted,
};

use crate::nn::{Activation, NormKind, Rope};

/// All that tells one model from another: by its usual layers a decoder-only transformer, by others what these make.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe<L = Layer> {
    /// How many tokens it knows.
    pub vocabulary: i32,
    /// Width of the residual stream.
    pub width: i32,
    /// What token vectors are multiplied by.
    pub embedding_scale: EmbeddingScale,
    /// What token vectors learn of their place, outside attention.
    pub places: Places,
    /// The blocks, first to last.
    pub layers: Vec<L>,
    /// Which normalization it uses, everywhere.
    pub norm: NormKind,
    /// Added to the mean square before its root is taken.
    pub eps: f32,
    /// What scores the last block's output.
    pub head: Head,
    /// What is done to scores.
    pub scores: Scores,
    /// How halves of a block are added to the residual stream.
    pub residual: Residual,
    /// What it has beside all this.
    pub extras: Extras,
}

impl<L> Recipe<L> {
    /// One in which nothing is scaled and vectors are normalized by their root mean square.
    pub fn plain(layers: Vec<L>, vocabulary: i32, width: i32, eps: f32, head: Head) -> Self {
        Self {
            vocabulary,
            width,
            embedding_scale: EmbeddingScale::One,
            places: Places::Unmarked,
            layers,
            norm: NormKind::Rms,
            eps,
            head,
            scores: Scores::Plain,
            residual: Residual::Add,
            extras: Extras::default(),
        }
    }
}

/// What token vectors are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EmbeddingScale {
    /// Nothing.
    One,
    /// The root of the width, rounded to bfloat16 first (Gemma 3).
    RootOfWidth,
    /// Whatever brings their mean square to one (nanochat).
    Normalized,
    /// A number.
    Times(f32),
}

/// What token vectors learn of their place, outside attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    /// Nothing.
    Unmarked,
    /// A vector for each of so many positions is added (GPT-2).
    Learned(i32),
}

/// What scores the last block's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// The embedding table.
    Tied,
    /// A matrix of its own, with a bias where the checkpoint has one.
    Separate,
}

/// What is done to scores, or to what they are made from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scores {
    /// Nothing.
    Plain,
    /// They are multiplied by a number (Cohere).
    Times(f32),
    /// They are divided by a number (Granite).
    Over(f32),
    /// They are bent below a cap: `cap · tanh(score / cap)` (Gemma 2).
    Capped(f32),
    /// The same, compiled as one (Gemma 3n and 4).
    CappedAtOnce(f32),
    /// The head reads the stream divided by a number (MiniCPM).
    OfStreamOver(f32),
}

/// How halves of a block are added to the residual stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Residual {
    /// Plainly.
    Add,
    /// In float16, clipped to what it can hold (Gemma 3).
    AddClipped,
    /// Multiplied by a number (Granite).
    AddTimes(f32),
}

/// One block.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Its self-attention.
    pub attention: Attention,
    /// Its feed-forward half.
    pub feed_forward: FeedForward,
    /// Where it normalizes.
    pub wiring: Wiring,
}

/// The feed-forward half of a block. A number is the width between its projections.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedForward {
    /// `down(activation(gate(x)) · up(x))`.
    Gated(Activation, i32),
    /// The same with gate and up in one projection, the gate first.
    GatedFused(Activation, i32),
    /// `down(GELU(gate(x)) · up(x))` of those units only whose gate stands out (Gemma 3n); the number is the fraction of
    /// units that would be dropped, were they distributed normally.
    GatedSparse(f64, i32),
    /// `down(activation(up(x)))`.
    Plain(Activation, i32),
    /// The same with an activation that learns its slopes (Apertus).
    XieLu(i32),
    /// A few of many experts.
    Mixture(Box<Mixture>),
}

impl FeedForward {
    /// See [`Self::Mixture`].
    pub fn mixture(mixture: Mixture) -> Self {
        Self::Mixture(Box::new(mixture))
    }
}

/// Where a block normalizes, and in which order its halves run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wiring {
    /// Before each half: `x + f(norm(x))`.
    Pre,
    /// After each half: `x + norm(f(x))`.
    Post,
    /// Before and after each half: `x + norm(f(norm(x)))`.
    Sandwich,
    /// The same, and what comes out is multiplied by a learned number (Gemma 4).
    SandwichScaled,
    /// Once for both halves, which read the same: `x + attention(norm(x)) + feed_forward(norm(x))`.
    Parallel,
    /// The same, but each half has a norm of its own (GPT-NeoX).
    ParallelTwoNorms,
    /// Once for both halves, which are added in turn: `(x + attention(norm(x))) + feed_forward(norm(x))` (`StableLM`).
    ParallelInTurn,
}

/// Self-attention with grouped queries.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// Query heads.
    pub heads: i32,
    /// Key and value heads.
    pub kv_heads: i32,
    /// Dimensions of a head.
    pub head_dim: i32,
    /// What scores are multiplied by.
    pub scale: f32,
    /// How queries, keys and values are projected.
    pub projections: Projections,
    /// Which queries and keys are normalized.
    pub qk_norm: QkNorm,
    /// How positions are encoded; none where they are not.
    pub rope: Option<Rope>,
    /// How queries grow with their position.
    pub growth: QueryGrowth,
    /// How far back a query sees.
    pub reach: Reach,
    /// How it is computed.
    pub kernel: Kernel,
}

impl Attention {
    /// Whether it looks at keys and values of an earlier layer.
    pub fn borrows(&self) -> bool {
        self.projections == Projections::Borrowed
    }
}

/// How queries, keys and values are projected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Projections {
    /// By `q_proj`, `k_proj` and `v_proj`.
    Separate,
    /// By `qkv_proj`, queries first.
    Fused,
    /// By `qkv_proj`, for one key head after another: the queries that share it, the key, the value.
    FusedByGroup,
    /// By `q_proj`, `k_proj` and `v_proj`, the first of which also makes a gate for each head: `out(mixed · σ(gate))`.
    Gated,
    /// By `q_proj` and `k_proj`, the second of which makes the values too (Gemma 4).
    KeysAsValues,
    /// By `q_proj`; keys and values are those of the last layer before that has its own and reaches as far (Gemma 3n,
    /// Gemma 4).
    Borrowed,
}

/// Which queries and keys are normalized.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum QkNorm {
    /// None.
    None,
    /// Each head on its own, all with the same weight.
    PerHead,
    /// The same, and values by their root mean square (Gemma 3n and 4).
    PerHeadAndValues,
    /// Each head on its own, all with the same weight, after positions were encoded (Hunyuan).
    PerHeadAfterRope,
    /// All heads together (OLMo 2).
    Whole,
    /// Each head on its own by its root mean square, and nothing learned.
    PerHeadPlain,
    /// The same after positions were encoded, with this added to the mean square (Llama 4).
    PerHeadPlainAfterRope(f32),
    /// Each head on its own by mean and variance, with a weight of its own (Cohere).
    EachHead,
}

/// How attention is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kernel {
    /// By MLX's own kernel.
    Fused,
    /// By the same, with a learned score a head, `sinks`, that takes part in the softmax alone (gpt-oss).
    FusedWithSinks,
    /// By MLX's own kernel, on keys and values that later layers may borrow (Gemma 3n and 4).
    Lending,
    /// By the same in float32, whatever the stream is in (Phi).
    Wide,
    /// By the same in float32 where the stream is in float16 (Cohere 2).
    WideForFloat16,
    /// Step by step, with scores bent below a cap (Gemma 2).
    Capped(f32),
}

/// How queries grow with their position, so that attention stays sharp over long texts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum QueryGrowth {
    /// Not at all.
    None,
    /// They are multiplied by `1 + rate · ln(1 + ⌊position / step⌋)`, in the type of the stream (Ministral 3).
    Stepwise {
        /// How fast they grow.
        rate: f32,
        /// Positions that share a factor.
        step: f32,
    },
    /// The same with positions counted from one, in float32 (Llama 4).
    Counted {
        /// How fast they grow.
        rate: f32,
        /// Positions that share a factor.
        step: f32,
    },
}

/// How far back a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To the beginning.
    Full,
    /// This many tokens, its own included.
    Window(i32),
    /// The same, though all older tokens are kept (wrappers of sliding models).
    Masked(i32),
    /// To the beginning of its own chunk of this many tokens.
    Chunk(i32),
}
