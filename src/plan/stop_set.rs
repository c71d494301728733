//! The prompts of the scenario `stop`, by version: a set that was published is never changed.

use super::Sampling;

/// The version of the set that is asked.
pub const STOP_SET: u32 = 1;

/// Tokens of the longest answer that a set allows.
pub const LONGEST_STOP_ANSWER: u32 = 128;

/// A prompt of the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopPrompt {
    /// What it is called in reports.
    pub name: &'static str,
    /// What the user says.
    pub text: &'static str,
    /// Tokens after which the answer is cut.
    pub max_tokens: u32,
    /// Whether nothing is a good answer.
    pub may_be_empty: bool,
}

/// The set of version 1. The first prompt and its length are those of mlx-knife's own tests; the others invite what makes
/// a model run past its end.
pub const STOP_PROMPTS: [StopPrompt; 5] = [
    StopPrompt {
        name: "sentence",
        text: "Write one sentence about cats.",
        max_tokens: 50,
        may_be_empty: false,
    },
    StopPrompt {
        name: "list",
        text: "List ten animals, one in each line, and nothing else.",
        max_tokens: LONGEST_STOP_ANSWER,
        may_be_empty: false,
    },
    StopPrompt {
        name: "code",
        text: "Write a Python function that adds two numbers. Give only the code.",
        max_tokens: LONGEST_STOP_ANSWER,
        may_be_empty: false,
    },
    StopPrompt {
        name: "turn",
        text: "Ask me one short question about my day, then wait for my answer.",
        max_tokens: 64,
        may_be_empty: false,
    },
    StopPrompt {
        name: "empty",
        text: "Do not answer this message. Say nothing at all.",
        max_tokens: 50,
        may_be_empty: true,
    },
];

/// How each prompt is sampled, by name: as greedily as can be, and as mlx-knife does by default, from a seed.
pub fn stop_samplings() -> [(&'static str, Sampling); 2] {
    let seeded = Sampling { temperature: 0.7, top_p: 0.9, seed: 0, ..Sampling::default() };
    [("greedy", Sampling::default()), ("seeded", seeded)]
}
