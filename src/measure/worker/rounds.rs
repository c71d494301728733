//! The cells of a job, measured in turns.

use std::{
    collections::BTreeSet,
    io,
    sync::atomic::{AtomicBool, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{doubts::Doubts, parent::Parent, pulse, stops::Questions, throttle::MOST_AGAIN};
use crate::{
    measure::{
        clock::Clock,
        engine::{Ask, Engine, EngineError, Prepared, PromptKind},
        findings::Finding,
        message::{Job, Message},
        outcome::{Failure, Skip, Stage},
        recorder::{News, record},
        schedule::{Measured, Schedule, Task, Turn},
        steadiness::Pace,
        trial::{Order, Trial},
    },
    plan::{Cell, PROMPTS, Work},
};

/// All cells of a job on their way.
pub(super) struct Rounds<'a, 'out> {
    job: &'a Job,
    schedule: Schedule,
    /// How fast the device is.
    pub(super) pace: Pace,
    /// How many repetitions were withdrawn since the device was last as fast as before.
    withdrawn: u32,
    /// Hashes of the prompt and of the ids of each answer, by cell.
    answers: Vec<Vec<(String, String)>>,
    /// Whether what is measured can be.
    pub(super) doubts: Doubts,
    /// Whether a cell's end was told.
    ended: Vec<bool>,
    /// The next repetition's place in the child's sequence.
    order: Order,
    pub(super) clock: &'a dyn Clock,
    pub(super) stop: &'a AtomicBool,
    pub(super) parent: &'a mut Parent<'out>,
}

impl<'a, 'out> Rounds<'a, 'out> {
    pub(super) fn new(
        job: &'a Job,
        (clock, stop): (&'a dyn Clock, &'a AtomicBool),
        parent: &'a mut Parent<'out>,
        doubts: Doubts,
    ) -> Self {
        Self {
            job,
            schedule: Schedule::new(&job.cells, job.aim),
            pace: Pace::default(),
            withdrawn: 0,
            answers: vec![Vec::new(); job.cells.len()],
            doubts,
            ended: vec![false; job.cells.len()],
            order: Order { child_since_ms: now_ms(), place: 0 },
            clock,
            stop,
            parent,
        }
    }

    /// Prepares every cell, then measures them in turns until all are through, `stop` is set, or the engine is of no more
    /// use: what is left then is for another child.
    pub(super) fn run(mut self, engine: &mut dyn Engine) -> io::Result<()> {
        for (index, task) in self.job.cells.iter().enumerate() {
            self.prepare(index, &task.cell, engine)?;
            if !engine.is_usable() {
                return Ok(());
            }
        }
        while let Some(turn) = self.schedule.next() {
            if self.stop.load(Ordering::SeqCst) {
                return self.interrupt();
            }
            self.take(turn, engine)?;
            if !engine.is_usable() {
                return Ok(());
            }
            // Where a budget is spent, cells end that have no turn of their own.
            for cell in 0..self.job.cells.len() {
                self.conclude(cell, engine)?;
                if !engine.is_usable() {
                    return Ok(());
                }
            }
        }
        self.ask(engine)
    }

    /// The cells that are not timed, one after the other.
    fn ask(&mut self, engine: &mut dyn Engine) -> io::Result<()> {
        for (cell, task) in self.job.cells.iter().enumerate() {
            let Work::Stop { max_tokens, .. } = task.cell.work else { continue };
            if self.ended.get(cell) == Some(&true) {
                continue;
            }
            let conditions = &task.cell.conditions;
            let (stop, parent) = (self.stop, &mut *self.parent);
            let asked = Questions { cell, max_tokens, conditions, stop, parent }.ask(engine)?;
            if let Err(error) = asked {
                self.give_up(cell, error)?;
            }
            if !engine.is_usable() {
                break;
            }
        }
        Ok(())
    }

    /// What a cell needs before the first repetition of any.
    fn prepare(&mut self, index: usize, cell: &Cell, engine: &mut dyn Engine) -> io::Result<()> {
        pulse::enter(Stage::Resolve);
        match engine.prepare(cell) {
            Ok(Prepared { prompt, packed, warnings }) => {
                let random_ids = prompt == PromptKind::RandomIds;
                self.doubts.prepare(index, packed.clone(), cell.conditions.depth);
                self.parent.tell(&Message::CellStarted { cell: index, random_ids, packed })?;
                for text in warnings {
                    self.parent.tell(&Message::Warning { cell: Some(index), text })?;
                }
                let finding = Finding::Prompts(prompt);
                self.parent.tell(&Message::Found { cell: index, finding })?;
                self.conclude(index, engine)
            }
            Err(error) => self.give_up(index, error),
        }
    }

    /// Runs one repetition, and has a look at the device after each that counts. Warm-ups have the very shapes of what is
    /// measured, since MLX makes kernels for each shape it meets.
    fn take(&mut self, turn: Turn, engine: &mut dyn Engine) -> io::Result<()> {
        let Turn { cell: index, warmup, .. } = turn;
        if !warmup
            && self.pace.is_unknown()
            && let Err(error) = self.pace.look(engine, self.clock)
        {
            return self.give_up(index, error);
        }
        let mut trial = match self.request(turn, engine)? {
            Ok(trial) => trial,
            Err(error) => return self.give_up(index, error),
        };
        if !warmup {
            let canary = match self.pace.look(engine, self.clock) {
                Ok(canary) => canary,
                Err(error) => return self.give_up(index, error),
            };
            if canary.is_slow() && self.withdrawn < MOST_AGAIN {
                self.withdrawn += 1;
                return self.rest(turn, trial.ended_us, engine);
            }
            if !canary.is_slow() {
                self.withdrawn = 0;
            }
            trial.canary = Some(canary);
            self.doubts.note(index, &trial);
        }
        self.schedule.note(turn, Measured::of(&trial));
        if let Some(answers) = self.answers.get_mut(index) {
            answers.push((trial.prompt_sha256.clone(), trial.ids_sha256.clone()));
        }
        self.parent.tell(&Message::Trial { cell: index, warmup, trial: Box::new(trial) })
    }

    /// Fills the cache outside of the timing, then has the request of `turn` answered.
    pub(super) fn request(
        &mut self,
        turn: Turn,
        engine: &mut dyn Engine,
    ) -> io::Result<Result<Trial, EngineError>> {
        let Turn { cell, warmup, number } = turn;
        let unknown = || io::Error::other("there is no such cell");
        let task = self.job.cells.get(cell).ok_or_else(unknown)?;
        pulse::enter(Stage::Prompt);
        self.parent.tell(&Message::TrialStarted { cell, warmup, number })?;
        let sampling = &self.job.settings.sampling;
        let ask = Ask { cell: &task.cell, prompt: task.cell.prompt_of(number), sampling };
        let mut told = Ok(());
        let mut tell = |news| {
            let Some(message) = progress(cell, news) else { return };
            if let (Ok(()), Err(error)) = (&told, self.parent.tell(&message)) {
                told = Err(error);
            }
        };
        let filled = engine.fill(ask, &mut |tokens| tell(News::Prefilled(tokens)));
        let trial = filled.and_then(|()| record(engine, ask, self.clock, &mut tell));
        told?;
        let order = self.order;
        self.order.place += 1;
        Ok(trial.map(|trial| Trial { order: Some(order), ..trial }))
    }

    /// What is found and said of a timed cell after its last repetition, once.
    fn conclude(&mut self, cell: usize, engine: &mut dyn Engine) -> io::Result<()> {
        let is_timed = self
            .job
            .cells
            .get(cell)
            .is_some_and(|task| !matches!(task.cell.work, Work::Stop { .. }));
        if !is_timed || !self.schedule.is_through(cell) {
            return Ok(());
        }
        let Some(ended) = self.ended.get_mut(cell).filter(|ended| !**ended) else {
            return Ok(());
        };
        *ended = true;
        self.look_again(cell, engine)?;
        self.foretell(cell, engine)?;
        if self.job.greedy {
            self.answer_greedily(cell, engine)?;
        }
        let answers = self.answers.get(cell).map(Vec::as_slice).unwrap_or_default();
        if let Some(text) = different_answers(answers) {
            self.parent.tell(&Message::Warning { cell: Some(cell), text })?;
        }
        self.parent.tell(&Message::CellDone { cell })
    }

    /// Tells how well the model foretells a text, of throughput alone; what was measured stands without it.
    fn foretell(&mut self, cell: usize, engine: &mut dyn Engine) -> io::Result<()> {
        let is_throughput = |cell: &&Cell| matches!(cell.work, Work::Throughput { .. });
        let asked = self.job.cells.get(cell).map(|task| &task.cell).filter(is_throughput);
        let Some(Cell { conditions, .. }) = asked else {
            return Ok(());
        };
        match engine.likelihood(conditions) {
            Ok(None) => Ok(()),
            Ok(Some(likelihood)) => {
                let finding = Finding::Likelihood(likelihood);
                self.parent.tell(&Message::Found { cell, finding })
            }
            Err(error) => {
                let text = format!("the model could not read the shipped text: {error}");
                self.parent.tell(&Message::Warning { cell: Some(cell), text })
            }
        }
    }

    /// Tells a greedy answer to each prompt that the cell went through; what was measured stands without them.
    fn answer_greedily(&mut self, cell: usize, engine: &mut dyn Engine) -> io::Result<()> {
        let Some(Task { cell: planned, .. }) = self.job.cells.get(cell) else {
            return Ok(());
        };
        let numbers = 1..=planned.repetitions.min(PROMPTS);
        let prompts: BTreeSet<_> = numbers.map(|number| planned.prompt_of(number)).collect();
        for prompt in prompts {
            match engine.answer_greedily(planned, prompt) {
                Ok(None) => {}
                Ok(Some(greedy)) => {
                    let finding = Finding::Greedy(greedy);
                    self.parent.tell(&Message::Found { cell, finding })?;
                }
                Err(error) => {
                    let text = format!("there is no greedy answer to compare: {error}");
                    return self.parent.tell(&Message::Warning { cell: Some(cell), text });
                }
            }
        }
        Ok(())
    }

    /// Ends a cell that cannot be measured, or not any more.
    pub(super) fn give_up(&mut self, cell: usize, error: EngineError) -> io::Result<()> {
        self.schedule.close(cell);
        if let Some(ended) = self.ended.get_mut(cell) {
            *ended = true;
        }
        self.parent.tell(&match error {
            EngineError::Refused { kind, reason } => {
                Message::CellSkipped { cell, skip: Skip { kind: kind.to_owned(), reason } }
            }
            EngineError::Hinted(failure) => Message::CellFailed { cell, failure: *failure },
            EngineError::Failed { stage, kind, message } => {
                Message::CellFailed { cell, failure: Failure::new(stage, kind, message) }
            }
        })
    }

    /// Ends every cell that is not through.
    fn interrupt(&mut self) -> io::Result<()> {
        for cell in 0..self.job.cells.len() {
            let is_untimed = matches!(
                self.job.cells.get(cell).map(|task| &task.cell.work),
                Some(Work::Stop { .. })
            );
            let is_open = is_untimed && self.ended.get(cell) == Some(&false);
            if is_open || !self.schedule.is_through(cell) {
                let failure = Failure::interrupted(Stage::Prefill);
                self.parent.tell(&Message::CellFailed { cell, failure })?;
            }
        }
        Ok(())
    }
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Notes the stage that a request came to, and gives what is said of it.
fn progress(cell: usize, news: News) -> Option<Message> {
    match news {
        News::PromptReady => {
            // The parent takes it that the prompt is read, unless a beat said otherwise.
            let stage = Stage::Prefill;
            pulse::enter(stage).then_some(Message::Alive { stage })
        }
        News::Prefilled(tokens) => Some(Message::Prefilled { cell, tokens }),
        News::Decoded(tokens) => {
            pulse::enter(Stage::Decode);
            Some(Message::Decoded { cell, tokens })
        }
    }
}

/// Repetitions draw with the same seed, so one prompt has one answer.
fn different_answers(answers: &[(String, String)]) -> Option<String> {
    let first = |prompt: &str| answers.iter().find(|(other, _)| other == prompt);
    let differs = |(prompt, ids): &&(String, String)| {
        first(prompt).is_some_and(|(_, first_ids)| first_ids != ids)
    };
    let others = answers.iter().filter(differs).count();
    (others > 0).then(|| {
        let all = answers.len();
        format!(
            "{others} of {all} repetitions answered a prompt with other tokens than the first of it"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_tokens_for_the_same_prompt_are_worth_a_warning() {
        let answers = |ids: &[(&str, &str)]| {
            let owned: Vec<_> =
                ids.iter().map(|(prompt, ids)| ((*prompt).to_owned(), (*ids).to_owned())).collect();
            different_answers(&owned)
        };
        assert_eq!(answers(&[]), None);
        assert_eq!(answers(&[("p", "a"), ("p", "a"), ("q", "b")]), None);
        assert_eq!(
            answers(&[("p", "a"), ("p", "b"), ("p", "a")]).as_deref(),
            Some("1 of 3 repetitions answered a prompt with other tokens than the first of it")
        );
        // Not only of the first prompt.
        assert!(answers(&[("p", "a"), ("q", "b"), ("p", "a"), ("q", "c")]).is_some());
    }
}
