//! Which experts a token meets, and how much each counts.
//!
//! Reference: the gates of `mlx_lm.models`, whose element types, order of choice and compilation show in the last
//! bits.

use std::cell::RefCell;

use mlx_rs::{
    Array, Dtype,
    error::Exception,
    ops::{
        argpartition_axis, concatenate,
        indexing::{TryIndexOp, argmax_axis, topk_axis},
        maximum, select, sigmoid, softmax_axis, unflatten,
    },
    transforms::compile::compile,
};

use super::{
    keys::unsupported,
    recipe::{Choice, ExpertScores, ExpertWeights, Fusion, Groups, Precision, Router},
};
use crate::{
    checkpoint::{LoadError, Scope},
    nn::{self, Linear, MlxError, scalar},
};

pub(super) struct Routing {
    gate: Linear,
    logits: Precision,
    /// What is added to scores for the choice alone, `[experts]`.
    correction: Option<Array>,
    select: RefCell<Select>,
    precision: Precision,
}

/// The experts of each token, `[…, n, k]`, and how much each counts, of the same shape.
pub(super) struct Chosen {
    pub(super) experts: Array,
    pub(super) weights: Array,
}

type Computed = Result<Vec<Array>, Exception>;

/// From logits, and the correction where there is one, to experts and weights.
type Select = Box<dyn for<'a> FnMut(&'a [Array]) -> Computed>;

impl Routing {
    /// Takes what lies at `gate` below `scope`, a router between `experts` experts of `width` dimensions.
    pub(super) fn load(
        scope: &Scope<'_>,
        router: &Router,
        experts: i32,
        width: i32,
    ) -> Result<Self, LoadError> {
        let scope = scope.at("gate");
        if !(1..=experts).contains(&router.chosen) {
            return Err(unsupported(format!("`{}` of `{experts}` experts a token", router.chosen)));
        }
        Ok(Self {
            gate: Linear::load(&scope, experts, width)?,
            logits: router.logits,
            correction: match router.choice {
                Choice::Corrected(_) | Choice::CorrectedAscending => {
                    Some(scope.take_recorded("e_score_correction_bias", &[experts])?)
                }
                Choice::Ascending
                | Choice::Descending
                | Choice::Grouped(_)
                | Choice::Successive { .. } => None,
            },
            select: RefCell::new(selection(router.clone())),
            precision: router.precision,
        })
    }

    /// Chooses the experts of each token of `x` (`[…, n, width]`).
    pub(super) fn forward(&self, x: &Array) -> nn::Result<Chosen> {
        let logits = self.gate.forward(&x.as_dtype(self.logits.in_model(x.dtype()))?)?;
        let inputs: Vec<Array> = [logits].into_iter().chain(self.correction.clone()).collect();
        let computed = self.select.borrow_mut()(&inputs)?;
        let [experts, weights] = <[Array; 2]>::try_from(computed)
            .map_err(|_| MlxError::new("a router answers experts and weights"))?;
        let weights = weights.as_dtype(self.precision.in_model(x.dtype()))?;
        Ok(Chosen { experts, weights })
    }
}

impl Precision {
    /// The element type that it is in a model of type `model`.
    fn in_model(self, model: Dtype) -> Dtype {
        match self {
            Self::Model => model,
            Self::Float32 => Dtype::Float32,
        }
    }
}

fn selection(router: Router) -> Select {
    let fusion = router.fusion;
    let select = move |inputs: &[Array]| match inputs {
        [logits, rest @ ..] => router.select(logits, rest.first()),
        [] => Err(Exception::custom("a router needs logits")),
    };
    match fusion {
        Fusion::None => Box::new(select),
        Fusion::Compiled => Box::new(compile(select, false)),
    }
}

impl Router {
    fn select(&self, logits: &Array, correction: Option<&Array>) -> Computed {
        let scores = match self.scores {
            ExpertScores::Logits => logits.clone(),
            ExpertScores::Softmax(precision) => softmax(logits, precision)?,
            ExpertScores::Sigmoid => sigmoid(logits.as_dtype(Dtype::Float32)?)?,
            ExpertScores::SigmoidInModel => sigmoid(logits)?,
        };
        let (experts, scores) = self.choose(&scores, correction)?;
        let weights = self.weights.of(&scores)?;
        let weights = match self.scale {
            Some(scale) => weights.multiply(scalar(scale, &weights))?,
            None => weights,
        };
        Ok(vec![experts, weights])
    }

    /// The chosen experts and their scores.
    fn choose(
        &self,
        scores: &Array,
        correction: Option<&Array>,
    ) -> Result<(Array, Array), Exception> {
        let k = self.chosen;
        let corrected = match correction {
            Some(correction) => scores.as_dtype(Dtype::Float32)?.add(correction)?,
            None => scores.clone(),
        };
        let experts = match self.choice {
            Choice::Ascending | Choice::CorrectedAscending => last(&corrected, k)?,
            Choice::Descending => best(&corrected, k)?,
            Choice::Grouped(groups) => {
                let scores = groups.restrict(scores, |grouped| grouped.max_axis(-1, true))?;
                let experts = best(&scores, k)?;
                let scores = scores.take_along_axis(&experts, -1)?;
                return Ok((experts, scores));
            }
            Choice::Corrected(groups) => best(&groups.restrict(&corrected, two_best)?, k)?,
            Choice::Successive { jitter } => return successive(scores, k, jitter),
        };
        let scores = scores.take_along_axis(&experts, -1)?;
        Ok((experts, scores))
    }
}

/// The `chosen` best of `scores`, at the end of an ascending partition.
fn last(scores: &Array, chosen: i32) -> Result<Array, Exception> {
    argpartition_axis(scores, -chosen, -1)?.try_index((.., .., -chosen..))
}

/// The `chosen` best of `scores`, at the head of a descending partition.
fn best(scores: &Array, chosen: i32) -> Result<Array, Exception> {
    argpartition_axis(scores.negative()?, chosen - 1, -1)?.try_index((.., .., ..chosen))
}

fn softmax(x: &Array, precision: Precision) -> Result<Array, Exception> {
    match precision {
        Precision::Model => softmax_axis(x, -1, true),
        Precision::Float32 => softmax_axis(x.as_dtype(Dtype::Float32)?, -1, false),
    }
}

impl Groups {
    /// `scores` with those of all but the best groups set to zero; `quality` says how good each group is.
    fn restrict(
        self,
        scores: &Array,
        quality: impl Fn(&Array) -> Result<Array, Exception>,
    ) -> Result<Array, Exception> {
        let dropped = self.count - self.considered;
        if dropped < 1 {
            return Ok(scores.clone());
        }
        let grouped = unflatten(scores, -1, &[self.count, -1])?;
        let order = argpartition_axis(quality(&grouped)?, dropped - 1, -2)?;
        let worst = order.try_index((.., .., ..dropped, ..))?;
        grouped.put_along_axis(worst, scalar(0.0, &grouped), -2)?.flatten(-2, -1)
    }
}

/// How good a group is by its two best experts.
fn two_best(grouped: &Array) -> Result<Array, Exception> {
    topk_axis(grouped, 2, -1)?.sum_axis(-1, true)
}

impl ExpertWeights {
    fn of(self, scores: &Array) -> Result<Array, Exception> {
        let sum = || scores.sum_axis(-1, true);
        match self {
            Self::Scores => Ok(scores.clone()),
            Self::Softmax(precision) => softmax(scores, precision),
            Self::Shares => scores.divide(sum()?),
            Self::SharesOfSumPlus(little) => scores.divide(sum()?.add(scalar(little, scores))?),
            Self::SharesOfAtLeast(least) => scores.divide(maximum(sum()?, scalar(least, scores))?),
            Self::Sigmoid => sigmoid(scores.as_dtype(Dtype::Float32)?),
        }
    }
}

/// One expert after the other, and its share among those within a band of the best left.
fn successive(logits: &Array, chosen: i32, jitter: f32) -> Result<(Array, Array), Exception> {
    let lowest = scalar(f32::NEG_INFINITY, logits);
    let mut left = logits.clone();
    let (mut experts, mut weights) = (Vec::new(), Vec::new());
    for _ in 0..chosen {
        let top = left.max_axis(-1, true)?;
        let expert = argmax_axis(&left, -1, true)?;
        let distance = top.subtract(logits)?.divide(maximum(logits.abs()?, &top)?)?;
        let is_far = distance.gt(scalar(2.0 * jitter, logits))?;
        let band = softmax_axis(select(is_far, &lowest, &left)?, -1, true)?;
        weights.push(band.take_along_axis(&expert, -1)?);
        left = left.put_along_axis(&expert, &lowest, -1)?;
        experts.push(expert);
    }
    Ok((concatenate(&experts, -1)?, concatenate(&weights, -1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weights are logits.
    const PLAIN: Router = Router { weights: ExpertWeights::Scores, ..Router::by_logits(2) };

    /// Experts and weights, by expert.
    fn selected(router: Router, logits: &[f32], correction: Option<&[f32]>) -> Vec<(u32, f32)> {
        let row = |values: &[f32], shape: &[i32]| Array::from_slice(values, shape);
        let count = i32::try_from(logits.len()).unwrap();
        let mut inputs = vec![row(logits, &[1, 1, count])];
        inputs.extend(correction.map(|values| row(values, &[count])));
        let computed = selection(router)(&inputs).unwrap();
        let [experts, weights] = computed.try_into().unwrap();
        let experts: Array = experts;
        let (experts, weights) = (experts.contiguous().unwrap(), weights.contiguous().unwrap());
        let experts = experts.try_as_slice::<u32>().unwrap().iter().copied();
        let weights = weights.try_as_slice::<f32>().unwrap().iter().copied();
        let mut pairs: Vec<_> = experts.zip(weights).collect();
        pairs.sort_by_key(|(expert, _)| *expert);
        pairs
    }

    #[test]
    fn both_partitions_find_the_best() {
        let logits = [0.0, 3.0, -1.0, 2.0];
        let expected = [(1, 3.0), (3, 2.0)];
        for choice in [Choice::Ascending, Choice::Descending] {
            let found = selected(Router { choice, ..PLAIN }, &logits, None);
            assert_eq!(found, expected, "{choice:?}");
        }
    }

    #[test]
    fn a_correction_changes_the_choice_but_no_weight() {
        let router = Router {
            scores: ExpertScores::Sigmoid,
            choice: Choice::Corrected(Groups::ONE),
            weights: ExpertWeights::Shares,
            scale: Some(4.0),
            fusion: Fusion::Compiled,
            ..PLAIN
        };
        // σ(0) = ½ each: equal shares of 4.
        let found = selected(router, &[0.0; 3], Some(&[1.0, 0.0, 1.0]));
        assert_eq!(found, [(0, 2.0), (2, 2.0)]);
    }

    #[test]
    fn experts_of_weak_groups_are_out() {
        let groups = Groups { count: 2, considered: 1 };
        let router = Router { choice: Choice::Corrected(groups), ..PLAIN };
        // The first group has the best expert, the second the better two.
        let found = selected(router, &[5.0, 1.0, 4.0, 3.0], Some(&[0.0; 4]));
        assert_eq!(found, [(2, 4.0), (3, 3.0)]);
    }

    #[test]
    fn successive_experts_are_weighted_within_their_band() {
        let router = Router { choice: Choice::Successive { jitter: 0.1 }, ..PLAIN };
        // The second lies ln 3 below the first, in its band; the third does not, and is all that is left of its own.
        let first = 10.0;
        let second = first - 3f32.ln();
        let found = selected(router, &[first, second, 1.0], None);
        assert_eq!((found[0].0, found[1].0), (0, 1));
        assert!((found[0].1 - 0.75).abs() < 1e-6);
        assert!((found[1].1 - 1.0).abs() < 1e-6);
    }
}
