//! The flags of `run` that make several cells of one scenario.

use clap::{Args, ValueEnum};

use crate::{
    measure::schedule::Aim,
    plan::{Choices, DecodeMode, Numbers, Plan},
};

/// Seconds that the requests of a model may take unless the user says otherwise.
const BUDGET: u32 = 600;

/// Repetitions that have an interval: of five even the widest holds the median in 94 of 100 cases only.
const FEWEST: u32 = 6;

/// A part, from percents.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let number = number.filter(|percent| *percent > 0.0 && *percent < 100.0);
    number.map(|percent| percent / 100.0).ok_or_else(|| "write it like `1%`".to_owned())
}

/// Seconds, from a number with its unit.
fn seconds(text: &str) -> Result<u32, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600)];
    let read = |(unit, seconds): (&str, u32)| {
        let number = text.strip_suffix(unit)?.trim().parse::<u32>().ok()?;
        number.checked_mul(seconds).filter(|seconds| *seconds > 0)
    };
    let read = units.into_iter().find_map(read);
    read.ok_or_else(|| "write it like `90s`, `10m` or `2h`".to_owned())
}

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
    /// Repeats cells until their rates are known so well, such as `1%`: how often is told by the first repetitions
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    target_ci: Option<f64>,
    /// The time that the requests of a model may take for that, such as `90s`, `10m` or `2h` [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = seconds, requires = "target_ci")]
    budget: Option<u32>,
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

    /// How well figures are to be known, where that was said.
    pub(super) fn aim(&self) -> Option<Aim> {
        let budget_s = self.budget.unwrap_or(BUDGET);
        self.target_ci.map(|target| Aim { target, budget_s })
    }

    /// Refuses too few repetitions to aim by.
    pub(super) fn check_aim(&self, plan: &Plan) -> Result<(), String> {
        let mut cells = plan.models.iter().flat_map(|model| &model.cells);
        if self.target_ci.is_some() && cells.any(|cell| (1..FEWEST).contains(&cell.repetitions)) {
            return Err(format!("`--target-ci` needs {FEWEST} repetitions or more to begin with"));
        }
        Ok(())
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
