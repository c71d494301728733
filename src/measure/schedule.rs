//! What comes next of a model's cells, by what was measured of them: they take turns, so that drift hits all alike.
//!
//! First each cell is warmed up. Then comes the first repetition of every cell, then the second of every cell, and so on.
//! A cell that lags behind, since an earlier run or another child measured less of it, catches up first.

use serde::{Deserialize, Serialize};

use super::{
    rates,
    statistics::{relative_half_width, repetitions_for},
    trial::Trial,
};
use crate::plan::Cell;

/// Two warm-ups agree when neither takes this much longer than the other, as a part of it.
const AGREEMENT: f64 = 0.03;

/// Warm-ups that a cell has at the most for want of two that agree.
const MOST_WARMUPS: u32 = 5;

/// Repetitions that a cell has at the most, however far it is from its target.
const MOST_REPETITIONS: usize = 1_000;

/// How well a figure is to be known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aim {
    /// Half the width of the interval of its median, as a part of that: 0.01 for ±1 %.
    pub target: f64,
    /// Seconds of requests after which the cells of a model have no more than their first repetitions.
    pub budget_s: u32,
}

impl Aim {
    /// What is said of a cell whose rate is not known so well.
    pub fn missed(self, trials: &[Trial]) -> Option<String> {
        let rates: Option<Vec<_>> = trials.iter().map(|trial| Measured::of(trial).rate).collect();
        let width = relative_half_width(&rates?)?;
        (width > self.target).then(|| {
            format!(
                "its rate is known to ±{:.1} % after {} repetitions, and ±{:.1} % was wanted",
                width * 100.0,
                trials.len(),
                self.target * 100.0
            )
        })
    }
}

/// A repetition that is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The cell's place among the scheduled ones.
    pub cell: usize,
    /// Whether it is a warm-up, which no figure counts.
    pub warmup: bool,
    /// Which of the cell's warm-ups of this child, or of all its repetitions, counted from 1.
    pub number: u32,
}

/// What decisions are made from: one repetition of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Microseconds that the whole request took.
    pub ended_us: u64,
    /// The rate that it is judged by, in tokens a second: of the decode, or of the prompt where nothing was decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
}

impl Measured {
    /// What decisions need of `trial`.
    pub fn of(trial: &Trial) -> Self {
        let rate = rates::decode_rate(trial).or_else(|| rates::prompt_rate(trial));
        Self { ended_us: trial.ended_us, rate }
    }
}

/// A cell, and what was measured of it before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// What is measured.
    #[serde(flatten)]
    pub cell: Cell,
    /// Its repetitions that an earlier run or another child measured, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<Measured>,
}

impl Task {
    /// A cell of which nothing was measured.
    pub fn new(cell: Cell) -> Self {
        Self { cell, known: Vec::new() }
    }
}

/// Says what comes next.
#[derive(Clone, Debug)]
pub struct Schedule {
    courses: Vec<Course>,
    aim: Option<Aim>,
}

/// A cell on its way.
#[derive(Clone, Debug)]
struct Course {
    /// The fewest warm-ups.
    warmup: usize,
    repetitions: usize,
    /// Of this child alone.
    warmups: Vec<Measured>,
    /// Of all children and runs.
    measured: Vec<Measured>,
    is_closed: bool,
}

impl Schedule {
    /// A schedule of which nothing is done but what is known.
    ///
    /// With an aim, the first repetitions of a cell tell how many it needs, and the cells that need more go on in turns
    /// until they have them or the budget is spent.
    pub fn new(tasks: &[Task], aim: Option<Aim>) -> Self {
        let course = |task: &Task| Course {
            warmup: task.cell.warmup as usize,
            repetitions: task.cell.repetitions as usize,
            warmups: Vec::new(),
            measured: task.known.clone(),
            is_closed: false,
        };
        Self { courses: tasks.iter().map(course).collect(), aim }
    }

    /// The repetition that is to be run now; none where all is done.
    pub fn next(&self) -> Option<Turn> {
        let open = || self.courses.iter().enumerate().filter(|(_, course)| !self.has_all(course));
        if let Some((cell, course)) = open().find(|(_, course)| !course.is_warm()) {
            return Some(Turn { cell, warmup: true, number: next_number(&course.warmups) });
        }
        let (cell, course) = open().min_by_key(|(_, course)| course.measured.len())?;
        Some(Turn { cell, warmup: false, number: next_number(&course.measured) })
    }

    /// Notes what `turn` gave.
    pub fn note(&mut self, turn: Turn, measured: Measured) {
        if let Some(course) = self.courses.get_mut(turn.cell) {
            let list = if turn.warmup { &mut course.warmups } else { &mut course.measured };
            list.push(measured);
        }
    }

    /// Plans nothing more of `cell`: it cannot be measured.
    pub fn close(&mut self, cell: usize) {
        if let Some(course) = self.courses.get_mut(cell) {
            course.is_closed = true;
        }
    }

    /// Whether nothing more of `cell` is planned.
    pub fn is_through(&self, cell: usize) -> bool {
        self.courses.get(cell).is_none_or(|course| self.has_all(course))
    }

    fn has_all(&self, course: &Course) -> bool {
        course.is_closed || course.measured.len() >= self.wanted(course)
    }

    /// Repetitions that are wanted of a cell, by what is known of it now.
    fn wanted(&self, course: &Course) -> usize {
        let first = course.repetitions;
        let wanted = || {
            let aim = self.aim.filter(|aim| !self.has_spent(aim.budget_s))?;
            let measured = course.measured.get(..first)?.iter();
            let rates: Option<Vec<_>> = measured.map(|measured| measured.rate).collect();
            repetitions_for(&rates?, aim.target)
        };
        wanted().map_or(first, |wanted| wanted.clamp(first, MOST_REPETITIONS.max(first)))
    }

    fn has_spent(&self, budget_s: u32) -> bool {
        let measured = self.courses.iter().flat_map(|course| &course.measured);
        let spent_us: u64 = measured.map(|measured| measured.ended_us).sum();
        spent_us >= u64::from(budget_s) * 1_000_000
    }
}

impl Course {
    /// Whoever wants fewer than two warm-ups wants none compared.
    fn is_warm(&self) -> bool {
        let done = self.warmups.len();
        let is_enough = self.warmup < 2 || done >= MOST_WARMUPS as usize;
        done >= self.warmup && (is_enough || agree(&self.warmups))
    }
}

fn next_number(done: &[Measured]) -> u32 {
    u32::try_from(done.len()).unwrap_or(u32::MAX).saturating_add(1)
}

/// Whether the last two took the same time, as far as that goes.
fn agree(warmups: &[Measured]) -> bool {
    let [.., before, last] = warmups else {
        return false;
    };
    let (shorter, longer) =
        (before.ended_us.min(last.ended_us), before.ended_us.max(last.ended_us));
    (longer - shorter) as f64 <= shorter as f64 * AGREEMENT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(warmup: u32, repetitions: u32, known: usize) -> Task {
        let cell = Cell::throughput([8, 4], warmup, repetitions);
        Task { known: vec![took(100); known], cell }
    }

    fn took(ended_us: u64) -> Measured {
        Measured { ended_us, rate: None }
    }

    /// All turns in order, each as cell and number, `w` before a warm-up; `times` are what the warm-ups take.
    fn turns(mut schedule: Schedule, times: &[u64]) -> String {
        let mut times = times.iter();
        let mut turns = Vec::new();
        while let Some(turn) = schedule.next() {
            assert!(turns.len() < 100, "it does not end: {turns:?}");
            let warmup = if turn.warmup { "w" } else { "" };
            turns.push(format!("{}{warmup}{}", ["a", "b", "c"][turn.cell], turn.number));
            let time = if turn.warmup { times.next().copied() } else { None };
            schedule.note(turn, took(time.unwrap_or(100)));
        }
        turns.join(" ")
    }

    fn all(tasks: &[Task]) -> String {
        turns(Schedule::new(tasks, None), &[])
    }

    #[test]
    fn cells_are_warmed_up_one_by_one_and_then_take_turns() {
        let tasks = [task(1, 3, 0), task(2, 2, 0), task(0, 3, 0)];
        assert_eq!(all(&tasks), "aw1 bw1 bw2 a1 b1 c1 a2 b2 c2 a3 c3");
    }

    #[test]
    fn what_is_known_is_not_repeated_and_who_lags_behind_catches_up() {
        let tasks = [task(1, 4, 3), task(1, 4, 1), task(1, 4, 4)];
        assert_eq!(all(&tasks), "aw1 bw1 b2 b3 a4 b4");
        assert_eq!(all(&[task(2, 3, 3)]), "", "what is done needs no warm-up");
        assert_eq!(all(&[]), "");
    }

    #[test]
    fn a_closed_cell_has_no_turn_and_the_others_go_on() {
        let mut schedule = Schedule::new(&[task(1, 2, 0), task(1, 2, 0)], None);
        assert!(!schedule.is_through(0));
        schedule.close(0);
        assert!(schedule.is_through(0));
        assert_eq!(turns(schedule, &[]), "bw1 b1 b2");
    }

    #[test]
    fn warm_ups_go_on_until_two_in_a_row_agree_or_there_are_five() {
        let of =
            |least: u32, times: &[u64]| turns(Schedule::new(&[task(least, 1, 0)], None), times);
        assert_eq!(of(2, &[1000, 1030]), "aw1 aw2 a1");
        assert_eq!(of(2, &[1030, 1000]), "aw1 aw2 a1");
        assert_eq!(of(2, &[1000, 1031, 1031]), "aw1 aw2 aw3 a1");
        assert_eq!(of(3, &[9000, 100, 100]), "aw1 aw2 aw3 a1");
        assert_eq!(of(2, &[500, 400, 300, 200, 100]), "aw1 aw2 aw3 aw4 aw5 a1");
        assert_eq!(of(7, &[7, 6, 5, 4, 3, 2, 1]), "aw1 aw2 aw3 aw4 aw5 aw6 aw7 a1");
        // One that is asked for cannot be compared, and none is none.
        assert_eq!(of(1, &[1000]), "aw1 a1");
        assert_eq!(of(0, &[]), "a1");
    }

    /// Rates whose median is known to ±3.81 % (scipy, see the tests of the interval), and some that never change.
    const SPREAD: [f64; 8] = [19.2, 18.7, 20.1, 19.9, 18.1, 19.4, 19.0, 20.6];

    /// How many repetitions two cells get, one of rates that spread and one of the same ones, each of a second.
    fn spent(target: f64, budget_s: u32) -> [usize; 2] {
        let aim = Aim { target, budget_s };
        let mut schedule = Schedule::new(&[task(0, 8, 0), task(0, 8, 0)], Some(aim));
        while let Some(turn) = schedule.next() {
            let at = turn.number as usize - 1;
            let rate = if turn.cell == 0 { SPREAD[at % 8] } else { 50.0 };
            schedule.note(turn, Measured { ended_us: 1_000_000, rate: Some(rate) });
        }
        [0, 1].map(|cell| schedule.courses[cell].measured.len())
    }

    #[test]
    fn repetitions_are_spent_where_they_are_needed_and_as_far_as_the_budget_goes() {
        assert_eq!(spent(0.04, 600), [8, 8]);
        // 8 (0.038103 × 1.25 / 0.019)² is 50.3.
        assert_eq!(spent(0.019, 600), [51, 8]);
        // 16 seconds for the first ones, 14 more.
        assert_eq!(spent(0.019, 30), [22, 8]);
        assert_eq!(spent(0.019, 1), [8, 8], "the first ones are always measured");
        assert_eq!(spent(1e-9, 100_000), [1_000, 8]);
    }

    #[test]
    fn a_cell_that_did_not_make_it_is_told() {
        // Two tokens, so that the rate is one over the gap.
        let trial = |rate: f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
            Trial::with_stamps(vec![0, (1e6 / rate).round() as u64])
        };
        let trials = SPREAD.map(trial);
        let aim = |target| Aim { target, budget_s: 1 };
        let expected = "its rate is known to ±3.8 % after 8 repetitions, and ±1.0 % was wanted";
        assert_eq!(aim(0.01).missed(&trials).as_deref(), Some(expected));
        assert_eq!(aim(0.04).missed(&trials), None);
        assert_eq!(aim(0.01).missed(&trials[..5]), None, "five have no interval");
    }

    #[test]
    fn a_repetition_is_judged_by_its_decode_and_without_one_by_its_prompt() {
        let mut trial = Trial::with_stamps(vec![500_000, 600_000, 700_000]);
        assert_eq!(Measured::of(&trial), Measured { ended_us: 700_000, rate: Some(10.0) });
        trial.visible_us.truncate(1);
        trial.prompt_tokens = 64;
        assert_eq!(Measured::of(&trial).rate, Some(128.0));
    }
}
