//! The engine that follows a script, with a clock to match: it tests the measuring, and pretends to be no model.
//!
//! The hidden worker model `scripted:BEHAVIOUR` runs it in a real child process. Its figures say so: the runtime, the
//! model and a warning are named for the script.

mod incident;
mod loaded;
mod machine;
mod pace;
mod streams;
mod turns;

#[cfg(test)]
mod tests;

use std::{io, time::Duration};

use loaded::loaded;
use machine::{roofline, sizes};
use pace::{Heat, Pace};

pub use incident::{At, Incident, UnknownBehaviour};
pub use streams::Stream;

use super::{
    clock::{Clock, ManualClock},
    engine::{Answer, Ask, Engine, EngineError, Event, Prepared, PromptKind, StopQuestion},
    findings::TextLikelihood,
    message::{Job, Loaded, Runtime},
    outcome::{Failure, Stage},
    reference::{Greedy, Place},
    roofline::Roofline,
    trial::{Finish, Memory},
    worker::{self, Loader, Loading},
};
use crate::{
    plan::{CacheKind, Cell, Conditions, DecodeMode, Keeps, Need, Settings, Work},
    stops::{Rules, Terms, Token, Transcript},
};

const PREFIX: &str = "scripted:";

/// What stands before the name of a stream.
const SAYS: &str = "says@";

/// The id that ends a scripted answer.
pub const STOP_ID: u32 = 2;

const ACTIVE_BYTES: u64 = 4_096;

/// How long each part of a request takes, and what goes wrong on the way.
#[derive(Clone, Debug, Default)]
pub struct Script {
    clock: ManualClock,
    tokenize: Duration,
    prefill: Duration,
    token: Duration,
    stop_after: Option<u32>,
    stream: Stream,
    at: Option<At>,
    /// Requests for what goes wrong, until now.
    requests: u32,
    roofline: Option<Roofline>,
    /// Bytes a second that memory turns out to give at another look; as many as at first where absent.
    later: Option<f64>,
    is_broken: bool,
    peak_bytes: u64,
    pace: Pace,
}

impl Script {
    /// A script in which nothing takes any time and nothing goes wrong.
    pub fn new() -> Self {
        Self::default()
    }

    /// The clock that the script moves.
    pub fn clock(&self) -> ManualClock {
        self.clock.clone()
    }

    /// Turning the request into ids takes this long.
    #[must_use]
    pub fn tokenize(self, tokenize: Duration) -> Self {
        Self { tokenize, ..self }
    }

    /// Reading all of the prompt but its last token takes this long.
    #[must_use]
    pub fn prefill(self, prefill: Duration) -> Self {
        Self { prefill, ..self }
    }

    /// Each token takes this long.
    #[must_use]
    pub fn token(self, token: Duration) -> Self {
        Self { token, ..self }
    }

    /// In a chat, this many tokens make the answer, the stop token included.
    #[must_use]
    pub fn stop_after(self, tokens: u32) -> Self {
        Self { stop_after: Some(tokens), ..self }
    }

    /// The fixed piece of work takes this long.
    #[must_use]
    pub fn canary(mut self, canary: Duration) -> Self {
        self.pace.canary = canary;
        self
    }

    /// From request `from` on, counted from 1, all takes `factor` times as long until it rested for `rest` in all.
    #[must_use]
    pub fn throttles(mut self, from: u32, factor: f64, rest: Duration) -> Self {
        self.pace.heat = Some(Heat { from, factor, rest });
        self
    }

    /// The first request after it did nothing for a tenth of a second takes `factor` times as long.
    #[must_use]
    pub fn idles(mut self, factor: f64) -> Self {
        self.pace.idle = Some(factor);
        self
    }

    /// Each token reads so many bytes, of a memory that gives 100 GB/s.
    #[must_use]
    pub fn reads(self, weight_bytes: u64) -> Self {
        Self { roofline: Some(roofline(weight_bytes, 1e11)), ..self }
    }

    /// Another look finds that memory gives so many bytes a second: the machine was busy before.
    #[must_use]
    pub fn turns_out_to_give(self, bytes_per_s: f64) -> Self {
        Self { later: Some(bytes_per_s), ..self }
    }

    /// What is said where it is asked where a model stops.
    #[must_use]
    pub fn says(self, stream: Stream) -> Self {
        Self { stream, ..self }
    }

    /// Something goes wrong.
    #[must_use]
    pub fn goes_wrong(self, at: At) -> Self {
        Self { at: Some(at), ..self }
    }

    fn happen(&mut self, stage: Stage, budget: Option<u32>) -> Result<(), EngineError> {
        let Some(at) = self.at.filter(|at| at.is_now(stage, budget, self.requests)) else {
            return Ok(());
        };
        self.is_broken = at.incident == Incident::Break;
        at.happen()
    }
}

impl Engine for Script {
    fn prepare(&mut self, cell: &Cell) -> Result<Prepared, EngineError> {
        self.happen(Stage::Resolve, Some(sizes(&cell.work).1))?;
        let prompt = match cell.work {
            Work::Throughput { .. } => PromptKind::RandomIds,
            Work::Chat { .. } | Work::Stop { .. } => PromptKind::ChatTurn,
        };
        Ok(Prepared { prompt, packed: None, warnings: Vec::new() })
    }

    fn fill(&mut self, ask: Ask<'_>, read: &mut dyn FnMut(u32)) -> Result<(), EngineError> {
        let depth = ask.cell.conditions.depth;
        if depth > 0 {
            self.clock.advance(self.prefill);
            read(depth);
        }
        Ok(())
    }

    fn generate(
        &mut self,
        ask: Ask<'_>,
        seen: &mut dyn FnMut(Event),
    ) -> Result<Answer, EngineError> {
        let Ask { cell, prompt, .. } = ask;
        let work = &cell.work;
        let (prompt_tokens, budget) = sizes(work);
        let stop_after =
            self.stop_after.filter(|tokens| matches!(work, Work::Chat { .. }) && *tokens <= budget);
        let length = stop_after.unwrap_or(budget);
        self.requests += u32::from(self.at.is_some_and(|at| at.concerns(Some(budget))));

        let slow = self.pace.request(self.clock.now_us());
        self.clock.advance(self.tokenize);
        self.happen(Stage::Prompt, Some(budget))?;
        seen(Event::PromptReady { tokens: prompt_tokens });
        self.happen(Stage::Prefill, Some(budget))?;
        self.clock.advance(self.prefill.mul_f64(slow));
        if prompt_tokens > 1 {
            seen(Event::Prefilled { tokens: prompt_tokens - 1 });
        }

        let is_ahead = cell.conditions.decode == DecodeMode::Pipelined;
        seen(Event::Submitted);
        let mut ids = Vec::new();
        for token in 1..=length {
            if is_ahead && token < budget || !is_ahead && token > 1 {
                seen(Event::Submitted);
            }
            let token_time = if is_ahead { self.token } else { self.token.mul_f64(1.25) };
            self.clock.advance(token_time.mul_f64(slow));
            let id = if stop_after == Some(token) { STOP_ID } else { 100 + token };
            ids.push(id);
            seen(Event::Visible(id));
            self.happen(Stage::Decode, Some(budget))?;
        }
        self.pace.worked(self.clock.now_us());
        self.peak_bytes = ACTIVE_BYTES + u64::from(prompt_tokens + length);
        Ok(Answer {
            prompt_ids: (prompt..prompt + prompt_tokens).collect(),
            ids,
            answer_from: None,
            finish: stop_after.map_or(Finish::Length, |_| Finish::Stop { id: STOP_ID }),
            text: matches!(work, Work::Chat { .. }).then(|| "as scripted".to_owned()),
        })
    }

    fn likelihood(&mut self, _: &Conditions) -> Result<Option<TextLikelihood>, EngineError> {
        Ok(Some(TextLikelihood {
            mean_nll: 2.5,
            tokens: 512,
            text: "scripted".to_owned(),
            ids_sha256: "00".repeat(32),
        }))
    }

    fn canary(&mut self) -> Result<(), EngineError> {
        let slow = self.pace.canary(self.clock.now_us());
        self.clock.advance(self.pace.canary.mul_f64(slow));
        self.pace.worked(self.clock.now_us());
        Ok(())
    }

    fn roofline(&mut self) -> Result<Option<Roofline>, EngineError> {
        let again = |known: &Roofline| match self.later {
            Some(bytes_per_s) => roofline(known.demand.weight_bytes, bytes_per_s),
            None => known.clone(),
        };
        Ok(self.roofline.as_ref().map(again))
    }

    fn terms(&self) -> Terms {
        self.stream.terms()
    }

    fn ask(
        &mut self,
        question: &StopQuestion<'_>,
        rules: &Rules,
        seen: &mut dyn FnMut(u32),
    ) -> Result<Transcript, EngineError> {
        self.happen(Stage::Prefill, Some(question.max_tokens))?;
        let transcript = self.stream.answer(rules, question.max_tokens);
        for (_, tokens) in transcript.ids.iter().zip(1..) {
            seen(tokens);
            self.happen(Stage::Decode, Some(question.max_tokens))?;
        }
        Ok(transcript)
    }

    fn answer_greedily(&mut self, _: &Cell, prompt: u32) -> Result<Option<Greedy>, EngineError> {
        let place = Place { id: 101, best: vec![(101, -0.25), (102, -2.0)], step: 0.125 };
        Ok(Some(Greedy {
            prompt_sha256: format!("scripted {prompt}"),
            vocabulary: 256,
            places: vec![place],
        }))
    }

    fn reset_peak_memory(&mut self) {
        self.peak_bytes = 0;
    }

    fn memory(&self) -> Memory {
        Memory {
            active_bytes: Some(ACTIVE_BYTES),
            peak_bytes: Some(self.peak_bytes),
            ..Memory::default()
        }
    }

    fn is_usable(&self) -> bool {
        !self.is_broken
    }
}

impl Loader for Script {
    fn runtime(&mut self, _: &Settings) -> Result<Runtime, Failure> {
        Ok(Runtime {
            mlx_version: "scripted".to_owned(),
            mlx_rs_version: "scripted".to_owned(),
            device: "scripted".to_owned(),
            device_name: None,
            working_set_bytes: None,
        })
    }

    fn need(&mut self, _: &Job) -> Option<Need> {
        let kind =
            CacheKind { keeps: Keeps::All, layers: 1, bytes_per_token: 1, constant_bytes: 0 };
        Some(Need {
            weight_bytes: ACTIVE_BYTES,
            caches: vec![kind],
            stream_bytes: 1,
            vocabulary: 256,
            chunk: 2048,
        })
    }

    fn stop_tokens(&mut self, _: &Job) -> Option<Vec<Token>> {
        Some(self.stream.terms().in_force)
    }

    fn load(&mut self, _: &Job) -> Result<Loading, Failure> {
        self.happen(Stage::Load, None)
            .map_err(|error| Failure::new(Stage::Load, "scripted", error.to_string()))?;
        self.clock.advance(Duration::from_millis(30));
        Ok(Loading {
            engine: Box::new(self.clone()),
            loaded: Loaded { roofline: self.roofline.clone(), ..loaded(self.stream) },
            warnings: vec!["the figures come from a script and from no model".to_owned()],
        })
    }

    fn release(&mut self, engine: Box<dyn Engine>) {
        drop(engine);
        self.clock.advance(Duration::from_millis(5));
        if let Some(at) = self.at.filter(|at| at.is_now(Stage::Cleanup, None, self.requests)) {
            // Nothing can fail here, only die.
            let _ = at.happen();
        }
    }
}

/// The behaviour that a model's name asks for, if it is one of a script: `kill@decode` of `scripted:kill@decode`.
///
/// Such a name may come as a relative path, since it is no hub id.
pub fn behaviour(model: &str) -> Option<&str> {
    model.strip_prefix("./").unwrap_or(model).strip_prefix(PREFIX)
}

/// Works as a child whose model is a script: `measured`; `half`, whose tokens use half of what memory gives;
/// `impossible`, whose tokens use twice of it; `hindered`, whose tokens do so too until another look finds four times as
/// much; one that says a stream where it is asked where it stops, as in `says@past`; or one in which something goes wrong, as
/// [`At`] is written.
///
/// # Errors
///
/// [`UnknownBehaviour`] as `InvalidInput`, and what [`worker::work`] cannot read or write.
pub fn work(behaviour: &str) -> io::Result<()> {
    let script = Script::new()
        .tokenize(Duration::from_millis(1))
        .prefill(Duration::from_millis(99))
        .token(Duration::from_millis(20))
        .stop_after(4);
    let mut script = match behaviour {
        "measured" => script,
        "half" => script.reads(1_000_000_000),
        "impossible" => script.reads(4_000_000_000),
        "hindered" => script.reads(4_000_000_000).turns_out_to_give(4e11),
        other => scripted(other, script)?,
    };
    let clock = script.clock();
    worker::work(&mut script, &clock)
}

/// `script` with a stream that is said, `says@past`, with something that goes wrong, `fail@decode`, or with both and a
/// comma between them.
fn scripted(behaviour: &str, script: Script) -> io::Result<Script> {
    let invalid = |error: String| io::Error::new(io::ErrorKind::InvalidInput, error);
    behaviour.split(',').try_fold(script, |script, part| match part.strip_prefix(SAYS) {
        Some(name) => Stream::named(name)
            .map(|stream| script.says(stream))
            .ok_or_else(|| invalid(format!("no stream is called `{name}`"))),
        None => part
            .parse()
            .map(|at| script.goes_wrong(at))
            .map_err(|error: UnknownBehaviour| invalid(error.to_string())),
    })
}
