//! The cells that choices come to: every size under every condition.

use super::{
    Cell, Choices, Conditions, DecodeMode, KvPacking, LONGEST_STOP_ANSWER, STOP_SET, Scenario,
    Work, choices::USUAL,
};

/// Cells that one model may have.
pub(super) const MOST_CELLS: usize = 1_000;

impl Choices {
    /// What is measured, in order: scenario, then prompt, generation, depth, packing, chunk and decode, the last ones
    /// changing fastest. Where that were too many cells, only the first of them.
    pub fn cells(&self) -> Vec<Cell> {
        let scenarios = self.scenarios.as_deref().unwrap_or(&USUAL).iter();
        let works = scenarios.flat_map(|scenario| self.works(*scenario));
        let cells = works.flat_map(|work| {
            // The prompts of `stop` are asked once, in an order of their own, under the first conditions.
            let is_timed = work.scenario() != Scenario::Stop;
            let (warmup, repetitions) = (self.warmup.unwrap_or(2), self.repetitions.unwrap_or(8));
            let conditions = self.conditions(work.scenario());
            conditions.take(if is_timed { usize::MAX } else { 1 }).map(move |conditions| Cell {
                work: work.clone(),
                conditions,
                warmup: if is_timed { warmup } else { 0 },
                repetitions: if is_timed { repetitions } else { 0 },
            })
        });
        cells.take(MOST_CELLS + 1).collect()
    }

    /// How keys and values are packed, in order.
    pub fn packings(&self) -> Vec<Option<KvPacking>> {
        let packing = |&bits: &u32| {
            (bits > 0).then(|| KvPacking {
                bits,
                group_size: self.kv_group_size.unwrap_or(64),
                start: self.kv_start.unwrap_or(0),
            })
        };
        self.kv_bits.as_deref().unwrap_or(&[0]).iter().map(packing).collect()
    }

    fn works(&self, scenario: Scenario) -> Box<dyn Iterator<Item = Work> + '_> {
        let prompts = self.prompt_tokens.as_deref().unwrap_or(&[512]);
        let generations = self.generation_tokens.as_deref().unwrap_or(&[128]);
        match scenario {
            Scenario::Throughput => Box::new(prompts.iter().flat_map(|&prompt_tokens| {
                generations.iter().map(move |&generation_tokens| Work::Throughput {
                    prompt_tokens,
                    generation_tokens,
                })
            })),
            Scenario::Chat => {
                let (prompt, max_tokens) = (self.prompt(), self.max_tokens());
                Box::new(std::iter::once(Work::Chat { prompt, max_tokens }))
            }
            Scenario::Stop => {
                let max_tokens = self.max_tokens.unwrap_or(LONGEST_STOP_ANSWER);
                Box::new(std::iter::once(Work::Stop { set: STOP_SET, max_tokens }))
            }
        }
    }

    fn conditions(&self, scenario: Scenario) -> impl Iterator<Item = Conditions> + '_ {
        let depths = match scenario {
            Scenario::Throughput => self.depth.as_deref().unwrap_or(&[0]),
            // What a chat has before its prompt would be another chat.
            Scenario::Chat | Scenario::Stop => &[0],
        };
        let chunks = self.prefill_chunk.clone();
        let chunks = chunks.unwrap_or_else(|| vec![Conditions::default().prefill_chunk]);
        let modes = self.decode.clone().unwrap_or_else(|| vec![DecodeMode::default()]);
        let packings = self.packings();
        depths.iter().flat_map(move |&depth| {
            let (chunks, modes) = (chunks.clone(), modes.clone());
            packings.clone().into_iter().flat_map(move |kv| {
                let modes = modes.clone();
                chunks.clone().into_iter().flat_map(move |prefill_chunk| {
                    modes.clone().into_iter().map(move |decode| Conditions {
                        depth,
                        prefill_chunk,
                        kv,
                        decode,
                    })
                })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Settings;

    fn names(choices: &Choices) -> Vec<String> {
        let cells = choices.cells();
        cells.iter().map(|cell| cell.name_among(cells.iter())).collect()
    }

    #[test]
    fn every_size_meets_every_condition() {
        let choices = Choices {
            prompt_tokens: Some(vec![128, 512]),
            depth: Some(vec![0, 1024]),
            kv_bits: Some(vec![0, 8]),
            ..Choices::default()
        };
        let expected = [
            "throughput[p128-d0-kv-dense]",
            "throughput[p128-d0-kv8]",
            "throughput[p128-d1024-kv-dense]",
            "throughput[p128-d1024-kv8]",
            "throughput[p512-d0-kv-dense]",
            "throughput[p512-d0-kv8]",
            "throughput[p512-d1024-kv-dense]",
            "throughput[p512-d1024-kv8]",
            "chat[kv-dense]",
            "chat[kv8]",
        ];
        assert_eq!(names(&choices), expected);
    }

    #[test]
    fn packings_share_group_and_start_and_chunks_and_modes_come_last() {
        let choices = Choices {
            scenarios: Some(vec![Scenario::Chat]),
            kv_bits: Some(vec![4]),
            kv_group_size: Some(32),
            kv_start: Some(9),
            prefill_chunk: Some(vec![64, 128]),
            decode: Some(vec![DecodeMode::Pipelined, DecodeMode::Synchronous]),
            ..Choices::default()
        };
        let kv = Some(KvPacking { bits: 4, group_size: 32, start: 9 });
        assert_eq!(choices.packings(), [kv]);
        let expected = [
            "chat[chunk64-pipelined]",
            "chat[chunk64-sync]",
            "chat[chunk128-pipelined]",
            "chat[chunk128-sync]",
        ];
        assert_eq!(names(&choices), expected);
    }

    #[test]
    fn too_many_cells_are_not_made() {
        let many = Some((1..=1_000).collect::<Vec<u32>>());
        let choices = Choices {
            prompt_tokens: many.clone(),
            generation_tokens: many.clone(),
            depth: many.clone(),
            prefill_chunk: many,
            ..Choices::default()
        };
        assert_eq!(choices.cells().len(), MOST_CELLS + 1);
    }

    #[test]
    fn an_upper_layer_wins_and_a_lower_one_fills_the_gaps() {
        let flags = Choices { repetitions: Some(9), ..Choices::default() };
        let defaults = Choices {
            repetitions: Some(2),
            scenarios: Some(vec![Scenario::Chat]),
            max_tokens: Some(7),
            prompt: Some("Hi".to_owned()),
            warmup: Some(0),
            ..Choices::default()
        };
        assert_eq!(
            flags.over(&defaults).cells(),
            [Cell {
                work: Work::Chat { prompt: "Hi".to_owned(), max_tokens: 7 },
                conditions: Conditions::default(),
                warmup: 0,
                repetitions: 9,
            }]
        );
    }

    #[test]
    fn where_a_model_stops_is_asked_once_and_only_on_request() {
        let mut choices = Choices { max_tokens: Some(9), ..Choices::default() };
        choices.kv_bits = Some(vec![8, 4]);
        choices.ask_where_it_stops();
        choices.ask_where_it_stops();
        let cells = choices.cells();
        assert_eq!(cells.len(), 5);
        let kv = Some(KvPacking { bits: 8, group_size: 64, start: 0 });
        let conditions = Conditions { kv, ..Conditions::default() };
        let work = Work::Stop { set: STOP_SET, max_tokens: 9 };
        assert_eq!(cells[4], Cell { work, conditions, warmup: 0, repetitions: 0 });
    }

    #[test]
    fn what_is_left_open_becomes_both_scenarios_with_greedy_sampling() {
        let open = Choices::default();
        assert_eq!(
            open.cells().iter().map(|cell| cell.work.clone()).collect::<Vec<_>>(),
            [
                Work::Throughput { prompt_tokens: 512, generation_tokens: 128 },
                Work::Chat { prompt: "Write one sentence about cats.".to_owned(), max_tokens: 128 },
            ]
        );
        assert_eq!(open.settings(), Settings::default());
    }
}
