//! The unit of a report: one model, one scenario, one size, under the same conditions.

use serde::{Deserialize, Serialize};

use super::{KvPacking, PROMPTS};

/// What is asked of a model in one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Scenario {
    /// Exact prompt and generation lengths; stop tokens are ignored.
    Throughput,
    /// A prompt through the chat template; stop tokens end the answer.
    Chat,
    /// A fixed set of prompts, to see where answers end; not timed. Only on request.
    Stop,
}

impl Scenario {
    /// The name in reports and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Chat => "chat",
            Self::Stop => "stop",
        }
    }
}

/// A scenario with its sizes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "scenario", rename_all = "lowercase")]
pub enum Work {
    /// See [`Scenario::Throughput`].
    Throughput {
        /// Exact length of the prompt, in tokens.
        prompt_tokens: u32,
        /// Exact number of tokens to generate.
        generation_tokens: u32,
    },
    /// See [`Scenario::Chat`].
    Chat {
        /// What the user says.
        prompt: String,
        /// Tokens after which the answer is cut.
        max_tokens: u32,
    },
    /// See [`Scenario::Stop`].
    Stop {
        /// The version of the set of prompts.
        set: u32,
        /// Tokens after which every answer is cut; a prompt may have fewer.
        max_tokens: u32,
    },
}

impl Work {
    /// Which scenario this is.
    pub fn scenario(&self) -> Scenario {
        match self {
            Self::Throughput { .. } => Scenario::Throughput,
            Self::Chat { .. } => Scenario::Chat,
            Self::Stop { .. } => Scenario::Stop,
        }
    }
}

/// What a cell is measured under, beside its sizes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// Tokens that are in the cache before the request, read outside of all timing; only for throughput.
    #[serde(default)]
    pub depth: u32,
    /// Prompt tokens that one prefill step reads.
    pub prefill_chunk: u32,
    /// How keys and values are packed; they stay dense where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv: Option<KvPacking>,
    /// When a step is handed to the device.
    #[serde(default)]
    pub decode: DecodeMode,
}

impl Default for Conditions {
    fn default() -> Self {
        Self { depth: 0, prefill_chunk: 2048, kv: None, decode: DecodeMode::default() }
    }
}

/// When a step of the decode is handed to the device.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum DecodeMode {
    /// Before the token of the step before it is read, as mlx-lm does.
    #[default]
    Pipelined,
    /// After that, so that the device waits for the host at every token.
    Synchronous,
}

/// One line of a report to be: one model, one scenario, one size, under the same conditions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// What is asked.
    #[serde(flatten)]
    pub work: Work,
    /// What it is measured under.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// Repetitions that are run and not counted, at the least: from 2 on they go on until two in a row agree.
    pub warmup: u32,
    /// Repetitions that are measured.
    pub repetitions: u32,
}

impl Cell {
    /// Which prompt repetition `number`, counted from 1, has: throughput goes through [`PROMPTS`], a chat has one.
    ///
    /// With a depth there is one too: what is in the cache is the beginning of the prompt's text, and only the same can
    /// be used again by the next repetition.
    pub fn prompt_of(&self, number: u32) -> u32 {
        match self.work {
            Work::Throughput { .. } if self.conditions.depth == 0 => {
                number.saturating_sub(1) % PROMPTS
            }
            Work::Throughput { .. } | Work::Chat { .. } | Work::Stop { .. } => 0,
        }
    }

    /// Its sizes in short, each with what it is.
    fn sizes(&self) -> Vec<String> {
        match &self.work {
            Work::Throughput { prompt_tokens, generation_tokens } => {
                vec![format!("p{prompt_tokens}"), format!("g{generation_tokens}")]
            }
            Work::Chat { max_tokens, .. } | Work::Stop { max_tokens, .. } => {
                vec![format!("g{max_tokens}")]
            }
        }
    }

    /// The same of its conditions.
    fn circumstances(&self) -> Vec<String> {
        let Conditions { depth, prefill_chunk, kv, decode } = &self.conditions;
        vec![
            format!("d{depth}"),
            kv.map_or_else(|| "kv-dense".to_owned(), |kv| format!("kv{}", kv.short())),
            format!("chunk{prefill_chunk}"),
            decode.short().to_owned(),
        ]
    }

    /// Of its conditions, those that tell it from the cells of its scenario among `cells`: `d1024`, `kv8` and so on.
    pub fn distinctions<'a>(&self, cells: impl Iterator<Item = &'a Self>) -> Vec<String> {
        self.differing(cells, Self::circumstances)
    }

    fn differing<'a>(
        &self,
        cells: impl Iterator<Item = &'a Self>,
        parts: fn(&Self) -> Vec<String>,
    ) -> Vec<String> {
        let scenario = self.work.scenario();
        let others = cells.filter(|other| other.work.scenario() == scenario);
        let others: Vec<_> = others.map(parts).collect();
        let own = parts(self).into_iter().enumerate();
        let told = own.filter(|(at, part)| others.iter().any(|other| other.get(*at) != Some(part)));
        told.map(|(_, part)| part).collect()
    }

    /// Its scenario, and in brackets what tells it from the other cells of that among `cells`.
    pub fn name_among<'a>(&self, cells: impl Iterator<Item = &'a Self> + Clone) -> String {
        let scenario = self.work.scenario().name();
        let mut parts = self.differing(cells.clone(), Self::sizes);
        parts.extend(self.distinctions(cells));
        if parts.is_empty() {
            scenario.to_owned()
        } else {
            format!("{scenario}[{}]", parts.join("-"))
        }
    }
}

impl DecodeMode {
    /// Its short name: `pipelined` or `sync`.
    pub fn short(self) -> &'static str {
        match self {
            Self::Pipelined => "pipelined",
            Self::Synchronous => "sync",
        }
    }
}

#[cfg(test)]
impl Cell {
    /// A cell of throughput under the usual conditions.
    pub(crate) fn throughput(
        [prompt_tokens, generation_tokens]: [u32; 2],
        warmup: u32,
        repetitions: u32,
    ) -> Self {
        let work = Work::Throughput { prompt_tokens, generation_tokens };
        Self { work, conditions: Conditions::default(), warmup, repetitions }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_told_from_others_by_what_differs() {
        let plain = Cell::throughput([512, 128], 2, 8);
        let mut deep = Cell::throughput([512, 64], 2, 8);
        deep.conditions.depth = 1024;
        let mut packed = plain.clone();
        packed.conditions.kv = Some(KvPacking { bits: 8, group_size: 64, start: 0 });
        packed.conditions.decode = DecodeMode::Synchronous;
        let work = Work::Chat { prompt: "Hi".to_owned(), max_tokens: 8 };
        let chat = Cell { work, ..plain.clone() };
        let cells = [plain, deep, packed, chat];
        let names = cells.each_ref().map(|cell| cell.name_among(cells.iter()));
        let expected = [
            "throughput[g128-d0-kv-dense-pipelined]",
            "throughput[g64-d1024-kv-dense-pipelined]",
            "throughput[g128-d0-kv8-sync]",
            "chat",
        ];
        assert_eq!(names, expected);
        assert_eq!(cells[0].name_among(cells[..1].iter()), "throughput");
    }

    #[test]
    fn throughput_goes_through_four_prompts_and_a_chat_or_a_depth_has_one() {
        let throughput = Cell::throughput([1, 1], 0, 1);
        let mut deep = throughput.clone();
        deep.conditions.depth = 1;
        let work = Work::Chat { prompt: "Hi".to_owned(), max_tokens: 1 };
        let chat = Cell { work, ..throughput.clone() };
        let prompts =
            |cell: &Cell| (1..=9).map(|number| cell.prompt_of(number)).collect::<Vec<_>>();
        assert_eq!(prompts(&throughput), [0, 1, 2, 3, 0, 1, 2, 3, 0]);
        assert_eq!(prompts(&deep), [0; 9]);
        assert_eq!(prompts(&chat), [0; 9]);
    }
}
