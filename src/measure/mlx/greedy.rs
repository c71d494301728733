//! A greedy answer with what else could have come in the place of each token, for comparing one run with another.

use std::{collections::BTreeSet, ops::ControlFlow};

use crate::{
    generate::{GenerateError, Request, Scores, Step, generate},
    measure::{
        recorder::sha256_of_ids,
        reference::{Greedy, Place},
    },
    models::Model,
    plan::{DecodeMode, KvPacking, Sampling},
};

/// The likeliest tokens that are kept of each place.
const BEST: u32 = 8;

/// Tokens that are kept of an answer at the most.
const LONGEST: u32 = 128;

/// What is answered.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The prompt's ids.
    pub prompt: &'a [u32],
    /// Tokens to generate at the most; more than 128 are not.
    pub max_tokens: u32,
    /// Ids that end the answer.
    pub stop: &'a BTreeSet<u32>,
    /// Prompt tokens that one prefill step reads.
    pub prefill_chunk: u32,
    /// How keys and values are packed.
    pub kv: Option<KvPacking>,
}

/// Answers greedily, whatever else a request would do.
///
/// # Errors
///
/// As [`generate`].
pub fn answer_greedily(model: &dyn Model, question: Question<'_>) -> Result<Greedy, GenerateError> {
    let Question { prompt, max_tokens, stop, prefill_chunk, kv } = question;
    let request = Request {
        prompt,
        max_tokens: max_tokens.min(LONGEST),
        stop,
        sampling: &Sampling::default(),
        prefill_chunk,
        kv,
        decode: DecodeMode::Pipelined,
        scores: Scores::OfBest(BEST),
    };
    let mut places = Vec::new();
    generate(model, &request, &mut |step| {
        if let Step::Token { id, best: Some(best), .. } = step {
            // JSON has no infinity, and what is impossible is no candidate.
            let possible = best.candidates.iter().filter(|(_, value)| value.is_finite());
            places.push(Place { id, best: possible.copied().collect(), step: best.step });
        }
        ControlFlow::Continue(())
    })?;
    Ok(Greedy { prompt_sha256: sha256_of_ids(prompt), vocabulary: model.vocabulary(), places })
}
