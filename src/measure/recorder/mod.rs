//! Events become a trial: stamped as they come, hashed and checked when the request is over.

mod impossible;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::{
    clock::Clock,
    engine::{Answer, Ask, Engine, EngineError, Event},
    trial::{Memory, Trial},
};
use impossible::{Impossible, budget, check_answer};

/// Time between two pieces of news from inside a request, in microseconds.
const NEWS_EVERY_US: u64 = 500_000;

/// Tokens that room is made for beforehand; a budget may be larger than any answer.
const ROOM_LIMIT: u32 = 1 << 20;

/// What is worth telling while a request runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The prompt is a list of ids, and will be read now.
    PromptReady,
    /// Prompt tokens read so far.
    Prefilled(u32),
    /// Tokens generated so far.
    Decoded(u32),
}

/// Measures one repetition: the answer to `ask`, for which `engine` was filled.
///
/// `tell` is called inside the timed region, after the stamp it speaks of: for the first token, so that a death is put
/// down to the right stage, and otherwise only when half a second has passed without news. To write a line takes some
/// 10 µs, which are hidden behind the next step where the engine has submitted that already, and are part of the next
/// gap where not.
///
/// # Errors
///
/// The engine's own, and `events` where it reported what cannot have happened.
pub fn record(
    engine: &mut dyn Engine,
    ask: Ask<'_>,
    clock: &dyn Clock,
    tell: &mut dyn FnMut(News),
) -> Result<Trial, EngineError> {
    let work = &ask.cell.work;
    engine.reset_peak_memory();
    let mut recorder = Recorder::start(clock, budget(work));
    let answer = engine.generate(ask, &mut |event| {
        if let Some(news) = recorder.see(event) {
            tell(news);
        }
    })?;
    let ended_us = recorder.elapsed_us();
    recorder.finish(ask, answer, ended_us, engine.memory()).map_err(|error| EngineError::Failed {
        stage: error.stage(),
        kind: "events",
        message: error.to_string(),
    })
}

/// Takes the events of one request.
struct Recorder<'a> {
    clock: &'a dyn Clock,
    began_us: u64,
    told_us: u64,
    prompt: Option<Prompt>,
    prefilled: u32,
    submitted_us: Vec<u64>,
    visible_us: Vec<u64>,
    ids: Vec<u32>,
    impossible: Option<Impossible>,
}

#[derive(Clone, Copy)]
struct Prompt {
    tokens: u32,
    ready_us: u64,
}

impl<'a> Recorder<'a> {
    /// Makes room for `budget` tokens, then starts the request's time.
    fn start(clock: &'a dyn Clock, budget: u32) -> Self {
        let room = budget.saturating_add(1).min(ROOM_LIMIT) as usize;
        let mut recorder = Self {
            clock,
            began_us: 0,
            told_us: 0,
            prompt: None,
            prefilled: 0,
            submitted_us: Vec::with_capacity(room),
            visible_us: Vec::with_capacity(room),
            ids: Vec::with_capacity(room),
            impossible: None,
        };
        recorder.began_us = clock.now_us();
        recorder
    }

    fn elapsed_us(&self) -> u64 {
        self.clock.now_us().saturating_sub(self.began_us)
    }

    /// Stamps `event`, and says what of it is worth telling.
    fn see(&mut self, event: Event) -> Option<News> {
        let now_us = self.elapsed_us();
        if let Err(impossible) = self.take(event, now_us) {
            self.impossible.get_or_insert(impossible);
            return None;
        }
        let news = match event {
            Event::Prefilled { tokens } => News::Prefilled(tokens),
            Event::Visible(_) => News::Decoded(u32::try_from(self.ids.len()).ok()?),
            // Nothing is written for it, so it does not put off what is due.
            Event::PromptReady { .. } => return Some(News::PromptReady),
            Event::Submitted => return None,
        };
        let is_due = news == News::Decoded(1) || now_us - self.told_us >= NEWS_EVERY_US;
        is_due.then(|| {
            self.told_us = now_us;
            news
        })
    }

    fn take(&mut self, event: Event, now_us: u64) -> Result<(), Impossible> {
        match (event, self.prompt) {
            (Event::PromptReady { tokens }, None) => {
                self.prompt = Some(Prompt { tokens, ready_us: now_us });
            }
            (Event::PromptReady { .. }, Some(_)) => return Err(Impossible::SecondPrompt),
            (_, None) => return Err(Impossible::NoPrompt),
            (Event::Prefilled { tokens }, Some(prompt)) => {
                let is_in_turn = self.submitted_us.is_empty();
                if !is_in_turn || !(self.prefilled..=prompt.tokens).contains(&tokens) {
                    return Err(Impossible::Prefilled { tokens });
                }
                self.prefilled = tokens;
            }
            (Event::Submitted, Some(_)) => self.submitted_us.push(now_us),
            (Event::Visible(id), Some(_)) => {
                if self.submitted_us.len() <= self.visible_us.len() {
                    return Err(Impossible::NotSubmitted { id });
                }
                self.visible_us.push(now_us);
                self.ids.push(id);
            }
        }
        Ok(())
    }

    fn finish(
        mut self,
        ask: Ask<'_>,
        answer: Answer,
        ended_us: u64,
        memory: Memory,
    ) -> Result<Trial, Impossible> {
        if let Some(impossible) = self.impossible {
            return Err(impossible);
        }
        let prompt = self.prompt.ok_or(Impossible::NoPrompt)?;
        check_answer(&ask.cell.work, &answer, prompt.tokens, &self.ids)?;
        let ahead = self.submitted_us.len() - self.visible_us.len();
        if ahead > 1 {
            return Err(Impossible::Ahead { ahead });
        }
        self.submitted_us.truncate(self.visible_us.len());
        Ok(Trial {
            prompt: ask.prompt,
            prompt_tokens: prompt.tokens,
            prompt_sha256: sha256_of_ids(&answer.prompt_ids),
            ids_sha256: sha256_of_ids(&answer.ids),
            prompt_ready_us: prompt.ready_us,
            submitted_us: self.submitted_us,
            visible_us: self.visible_us,
            answer_from: answer.answer_from,
            ended_us,
            finish: answer.finish,
            memory: Memory { peak_bytes: memory.allocator_peak(), ..memory },
            text: answer.text,
            order: None,
            canary: None,
        })
    }
}

/// Lower-case hexadecimal SHA-256 of `ids`, each as four little-endian bytes.
pub(in crate::measure) fn sha256_of_ids(ids: &[u32]) -> String {
    let mut hasher = Sha256::new();
    for id in ids {
        hasher.update(id.to_le_bytes());
    }
    hasher.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all that is written");
        text
    })
}
