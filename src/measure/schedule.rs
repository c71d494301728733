//! What comes next of a model's cells, by what was measured of them: they take turns, so that drift hits all alike.
//!
//! First each cell is warmed up. Then comes the first repetition of every cell, then the second of every cell, and so on.
//! A cell that lags behind, since an earlier run or another child measured less of it, catches up first.

use serde::{Deserialize, Serialize};

use super::{rates, trial::Trial};
use crate::plan::Cell;

/// Two warm-ups agree when neither takes this much longer than the other, as a part of it.
const AGREEMENT: f64 = 0.03;

/// Warm-ups that a cell has at the most for want of two that agree.
const MOST_WARMUPS: u32 = 5;

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
    pub fn new(tasks: &[Task]) -> Self {
        let course = |task: &Task| Course {
            warmup: task.cell.warmup as usize,
            repetitions: task.cell.repetitions as usize,
            warmups: Vec::new(),
            measured: task.known.clone(),
            is_closed: false,
        };
        Self { courses: tasks.iter().map(course).collect() }
    }

    /// The repetition that is to be run now; none where all is done.
    pub fn next(&self) -> Option<Turn> {
        let open = || self.courses.iter().enumerate().filter(|(_, course)| !course.is_through());
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
        self.courses.get(cell).is_none_or(Course::is_through)
    }
}

impl Course {
    fn is_through(&self) -> bool {
        self.is_closed || self.measured.len() >= self.repetitions
    }

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
        turns(Schedule::new(tasks), &[])
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
        let mut schedule = Schedule::new(&[task(1, 2, 0), task(1, 2, 0)]);
        assert!(!schedule.is_through(0));
        schedule.close(0);
        assert!(schedule.is_through(0));
        assert_eq!(turns(schedule, &[]), "bw1 b1 b2");
    }

    #[test]
    fn warm_ups_go_on_until_two_in_a_row_agree_or_there_are_five() {
        let of = |least: u32, times: &[u64]| turns(Schedule::new(&[task(least, 1, 0)]), times);
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

    #[test]
    fn a_repetition_is_judged_by_its_decode_and_without_one_by_its_prompt() {
        let mut trial = Trial::with_stamps(vec![500_000, 600_000, 700_000]);
        assert_eq!(Measured::of(&trial), Measured { ended_us: 700_000, rate: Some(10.0) });
        trial.visible_us.truncate(1);
        trial.prompt_tokens = 64;
        assert_eq!(Measured::of(&trial).rate, Some(128.0));
    }
}
