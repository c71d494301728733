//! Answers that go round in circles.

/// The longest circle that is looked for, in tokens.
const LONGEST: usize = 32;

/// Rounds that make a loop, the first included.
const ROUNDS: usize = 4;

/// Tokens that a loop has at the least: the same word a few times is none.
const SHORTEST: usize = 24;

/// A circle that is gone round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loop {
    /// Tokens of one round.
    pub(super) period: usize,
    /// Rounds.
    pub(super) times: usize,
}

/// Looks for a circle as tokens come, at a constant cost a token.
#[derive(Clone, Debug, Default)]
pub(super) struct Repetition {
    ids: Vec<u32>,
    /// For each period from 1 on, how many of the last tokens are those of one period before.
    runs: [usize; LONGEST],
}

impl Repetition {
    /// Takes the next id, and tells the shortest circle that is gone round by now.
    pub(super) fn push(&mut self, id: u32) -> Option<Loop> {
        let length = self.ids.len();
        let mut found = None;
        for (period, run) in (1..).zip(&mut self.runs) {
            let before = length.checked_sub(period).and_then(|at| self.ids.get(at));
            *run = if before == Some(&id) { *run + 1 } else { 0 };
            let covered = *run + period;
            let is_loop = *run > 0 && covered >= period * ROUNDS && covered >= SHORTEST;
            if is_loop && found.is_none() {
                found = Some(Loop { period, times: covered / period });
            }
        }
        self.ids.push(id);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(ids: impl IntoIterator<Item = u32>) -> Option<(usize, Loop)> {
        let mut repetition = Repetition::default();
        ids.into_iter().enumerate().find_map(|(at, id)| Some((at, repetition.push(id)?)))
    }

    #[test]
    fn a_loop_is_told_by_its_period_as_soon_as_it_is_long_enough() {
        assert_eq!(first([7; 100]), Some((23, Loop { period: 1, times: 24 })));
        // Five tokens before it; 24 tokens make six rounds of 4, ten tokens forty make four rounds.
        let round =
            |period: u32| (0..5).map(|id| 900 + id).chain((0..200).map(move |at| at % period));
        assert_eq!(first(round(4)), Some((28, Loop { period: 4, times: 6 })));
        assert_eq!(first(round(10)), Some((44, Loop { period: 10, times: 4 })));
        assert_eq!(first(round(32)), Some((132, Loop { period: 32, times: 4 })));
    }

    #[test]
    fn what_goes_on_is_no_loop() {
        assert_eq!(first(0..500), None);
        assert_eq!(first([7; 23]), None);
        // A list: its numbers differ.
        assert_eq!(first((0..300).map(|at| if at % 6 == 0 { 1000 + at } else { at % 6 })), None);
        assert_eq!(first((0..300).map(|at| at % 33)), None);
    }
}
