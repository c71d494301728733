//! The flags of `run` that make several cells of one scenario.

use clap::{Args, ValueEnum};

use crate::plan::{Choices, DecodeMode, Numbers};

#[derive(Clone, Debug, Args)]
#[command(
    next_help_heading = "Sizes and conditions, each a number or several: `128,512`, `128-512+128`, `128-2048*2`"
)]
pub(super) struct Sweep {
    /// Exact length of a throughput prompt
    #[arg(long, value_name = "N,…")]
    prompt_tokens: Option<Numbers>,
    /// Exact number of tokens that throughput generates
    #[arg(long, value_name = "N,…")]
    generation_tokens: Option<Numbers>,
    /// Tokens that are in the cache before a throughput prompt, read outside of the timing
    #[arg(long, value_name = "N,…")]
    depth: Option<Numbers>,
    /// Packs keys and values in so many bits: 2, 3, 4, 5, 6 or 8; 0 leaves them dense
    #[arg(long, value_name = "N,…")]
    kv_bits: Option<Numbers>,
    /// Prompt tokens that one step reads
    #[arg(long, value_name = "N,…")]
    prefill_chunk: Option<Numbers>,
    /// Waits for each token before the next step is handed to the device; `--sync=both` measures that and one step ahead
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "only")]
    sync: Option<Sync>,
    #[arg(long, value_name = "N,…", hide = true)]
    batch: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Sync {
    /// Only that
    Only,
    /// One step ahead too, as mlx-lm does, and the gain is told
    Both,
}

impl Sweep {
    /// Refuses what cannot be measured.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        match self.batch {
            Some(_) => Err("`--batch` is not supported yet: requests run one at a time"),
            None => Ok(()),
        }
    }

    /// What the flags say, over `choices`.
    pub(super) fn over(&self, choices: &Choices) -> Choices {
        let numbers = |flag: &Option<Numbers>| flag.clone().map(|Numbers(numbers)| numbers);
        let flags = Choices {
            prompt_tokens: numbers(&self.prompt_tokens),
            generation_tokens: numbers(&self.generation_tokens),
            depth: numbers(&self.depth),
            kv_bits: numbers(&self.kv_bits),
            prefill_chunk: numbers(&self.prefill_chunk),
            decode: self.sync.map(|sync| match sync {
                Sync::Only => vec![DecodeMode::Synchronous],
                Sync::Both => vec![DecodeMode::Pipelined, DecodeMode::Synchronous],
            }),
            ..Choices::default()
        };
        flags.over(choices)
    }
}
