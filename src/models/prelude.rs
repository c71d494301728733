//! What nearly every family names.

pub(super) use serde::Deserialize;

pub(super) use super::{
    Family,
    keys::{keys, one, unsupported, yes},
    llama, mixtral, mixture, positions,
    recipe::{
        Attention, Choice, EmbeddingScale, ExpertScores, ExpertWeights, Extras, FeedForward,
        Fusion, Groups, Head, Kernel, Layer, Mixture, PerLayer, Places, Precision, Projections,
        QkNorm, QueryGrowth, Reach, Recipe, Residual, Router, Scores, Shared, SideExperts, Streams,
        Weighted, Wiring,
    },
    wrapper,
};
pub(super) use crate::{
    checkpoint::{Checkpoint, LoadError},
    nn::{Activation, NormKind, Pairs, Rope, RopeScaling, single},
};
