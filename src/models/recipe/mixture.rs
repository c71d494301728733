//! What tells one mixture of experts from another, as data.

use crate::nn::Activation;

/// A feed-forward half of which each token meets only a few experts.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    /// How experts are chosen.
    pub router: Router,
    /// How many experts there are.
    pub experts: i32,
    /// Width between the projections of an expert.
    pub inner: i32,
    /// The activation of experts, shared ones too.
    pub activation: Activation,
    /// Whether experts, shared ones too, have gates, which the activation is then of.
    pub is_gated: bool,
    /// Width of what experts hear and say, projected from the stream and back, where it is not the stream's (Nemotron).
    pub latent: Option<i32>,
    /// Where an expert's weight takes effect.
    pub weighted: Weighted,
    /// What every token meets besides.
    pub shared: Shared,
}

impl Mixture {
    /// So many gated experts, each `inner` wide, that nothing stands beside.
    pub fn of(experts: i32, inner: i32, router: Router) -> Self {
        Self {
            router,
            experts,
            inner,
            activation: Activation::Silu,
            is_gated: true,
            latent: None,
            weighted: Weighted::Output,
            shared: Shared::None,
        }
    }
}

/// Where an expert's weight takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weighted {
    /// On what it says: `Σ w · f(x)`.
    Output,
    /// On what it hears: `Σ f(w · x)`, for one expert a token (Llama 4).
    Input,
}

/// What every token meets besides its experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    /// Nothing.
    None,
    /// A half of its own, added.
    Always {
        /// Width between its projections.
        inner: i32,
    },
    /// The same with gate and up in one projection.
    Fused {
        /// Width between its projections.
        inner: i32,
    },
    /// A gated half times `σ(gate(x))`, one number a token.
    Gated {
        /// Width between its projections.
        inner: i32,
    },
}

/// How experts are chosen and weighted: scores, a choice by them, and weights of what was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Router {
    /// Experts a token.
    pub chosen: i32,
    /// The element type of what the logits are computed from.
    pub logits: Precision,
    /// What logits are made into.
    pub scores: ExpertScores,
    /// How the best are found.
    pub choice: Choice,
    /// What the scores of the chosen are made into.
    pub weights: ExpertWeights,
    /// What weights are multiplied by, where it is not one.
    pub scale: Option<f32>,
    /// The element type in which weights meet what experts say.
    pub precision: Precision,
    /// Whether all this is one compiled graph.
    pub fusion: Fusion,
}

impl Router {
    /// The experts of the highest logits, weighted by the softmax of these (Mixtral).
    pub const fn by_logits(chosen: i32) -> Self {
        Self {
            chosen,
            logits: Precision::Model,
            scores: ExpertScores::Logits,
            choice: Choice::Descending,
            weights: ExpertWeights::Softmax(Precision::Model),
            scale: None,
            precision: Precision::Model,
            fusion: Fusion::None,
        }
    }

    /// The experts that are likeliest by the softmax of all logits, with `weights` of that (Qwen 2).
    pub const fn by_softmax(chosen: i32, weights: ExpertWeights) -> Self {
        let scores = ExpertScores::Softmax(Precision::Model);
        Self { scores, weights, ..Self::by_logits(chosen) }
    }

    /// The best by corrected `σ` among `groups`, with `weights` of that, in one compiled graph (DeepSeek V3).
    pub const fn by_sigmoid(chosen: i32, groups: Groups, weights: ExpertWeights) -> Self {
        Self {
            scores: ExpertScores::Sigmoid,
            choice: Choice::Corrected(groups),
            weights,
            precision: Precision::Float32,
            fusion: Fusion::Compiled,
            ..Self::by_logits(chosen)
        }
    }
}

/// In which element type something is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// That of the model.
    Model,
    /// Single.
    Float32,
}

/// What logits are made into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpertScores {
    /// Nothing else.
    Logits,
    /// Their softmax over all experts.
    Softmax(Precision),
    /// `σ` of each, in float32.
    Sigmoid,
    /// `σ` of each, in the element type of the model.
    SigmoidInModel,
}

/// How the best are found. The order in which experts are chosen is that in which they are summed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Choice {
    /// At the end of an ascending partition.
    Ascending,
    /// At the head of a descending partition.
    Descending,
    /// The same among the best groups; a group is as good as its best expert (DeepSeek V2).
    Grouped(Groups),
    /// The same with groups as good as their two best experts together, after a learned correction,
    /// `gate.e_score_correction_bias`, has been added; weights do without it.
    Corrected(Groups),
    /// The same of all experts, at the end of an ascending partition (LFM 2).
    CorrectedAscending,
    /// One after the other, each scored by a softmax over those within a band of the best left (Phi 3.5 `MoE`).
    Successive {
        /// Half the relative width of the band.
        jitter: f32,
    },
}

/// Groups of experts, of which only the best are considered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// How many there are.
    pub count: i32,
    /// How many are considered.
    pub considered: i32,
}

impl Groups {
    /// One, of all experts.
    pub const ONE: Self = Self { count: 1, considered: 1 };
}

/// What the scores of the chosen are made into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ExpertWeights {
    /// Nothing else.
    Scores,
    /// Their softmax.
    Softmax(Precision),
    /// Each by their sum.
    Shares,
    /// Each by their sum and this.
    SharesOfSumPlus(f32),
    /// Each by their sum, or by this where it is larger.
    SharesOfAtLeast(f32),
    /// `σ` of each, in float32.
    Sigmoid,
}

impl ExpertWeights {
    /// These where a configuration wants weights that add up to one, otherwise scores as they are.
    pub(crate) const fn only_if(self, add_up: bool) -> Self {
        if add_up { self } else { Self::Scores }
    }
}

/// Whether a computation is one compiled graph: fused arithmetic differs in the last bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fusion {
    /// Step by step.
    None,
    /// Compiled.
    Compiled,
}
