//! A cell of the scenario `stop`: not timed and not repeated, after all cells that are.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};

use super::parent::Parent;
use crate::{
    measure::{
        engine::{Engine, EngineError, StopQuestion},
        message::Message,
        outcome::{Failure, Stage},
        stop_answers::{self, StopAnswer},
    },
    plan::{Conditions, STOP_PROMPTS, StopPrompt, stop_samplings},
    stops::{Terms, examine},
};

/// Tokens between two pieces of news.
const NEWS_EVERY: u32 = 16;

/// Why a prompt has no answer.
enum Unanswered {
    Engine(EngineError),
    Parent(io::Error),
}

/// A cell on its way.
pub(super) struct Questions<'a, 'out> {
    /// Its place in the job.
    pub(super) cell: usize,
    /// Tokens after which every answer is cut.
    pub(super) max_tokens: u32,
    /// What they are given under.
    pub(super) conditions: &'a Conditions,
    pub(super) stop: &'a AtomicBool,
    pub(super) parent: &'a mut Parent<'out>,
}

impl Questions<'_, '_> {
    /// Asks every prompt in every way and ends the cell; breaks off with the engine's error.
    pub(super) fn ask(&mut self, engine: &mut dyn Engine) -> io::Result<Result<(), EngineError>> {
        let cell = self.cell;
        let terms = engine.terms();
        let mut answers = Vec::new();
        let ways = stop_samplings();
        let all = STOP_PROMPTS.iter().flat_map(|prompt| ways.iter().map(move |way| (prompt, way)));
        for (number, (prompt, (name, sampling))) in (1..).zip(all) {
            if self.stop.load(Ordering::SeqCst) {
                let failure = Failure::interrupted(Stage::Prefill);
                self.parent.tell(&Message::CellFailed { cell, failure })?;
                return Ok(Ok(()));
            }
            self.parent.tell(&Message::TrialStarted { cell, warmup: false, number })?;
            let max_tokens = prompt.max_tokens.min(self.max_tokens);
            let conditions = self.conditions;
            let question = StopQuestion { prompt: prompt.text, max_tokens, sampling, conditions };
            let answer = match self.answer(engine, &terms, prompt, &question) {
                Ok(examined) => StopAnswer {
                    prompt: prompt.name.to_owned(),
                    prompt_text: prompt.text.to_owned(),
                    sampling: (*name).to_owned(),
                    max_tokens,
                    examined,
                },
                Err(Unanswered::Engine(error)) => return Ok(Err(error)),
                Err(Unanswered::Parent(error)) => return Err(error),
            };
            self.parent.tell(&Message::Answered { cell, answer: Box::new(answer.clone()) })?;
            answers.push(answer);
        }
        let failure = stop_answers::failure(&answers);
        self.parent.tell(&match failure {
            Some(failure) => Message::CellFailed { cell, failure },
            None => Message::CellDone { cell },
        })?;
        Ok(Ok(()))
    }

    fn answer(
        &mut self,
        engine: &mut dyn Engine,
        terms: &Terms,
        prompt: &StopPrompt,
        question: &StopQuestion<'_>,
    ) -> Result<crate::stops::Examined, Unanswered> {
        examine(terms, prompt.may_be_empty, &mut |rules| {
            let mut told = Ok(());
            let transcript = engine.ask(question, rules, &mut |tokens| {
                if tokens % NEWS_EVERY == 1 && told.is_ok() {
                    told = self.parent.tell(&Message::Decoded { cell: self.cell, tokens });
                }
            });
            told.map_err(Unanswered::Parent)?;
            transcript.map_err(Unanswered::Engine)
        })
    }
}
