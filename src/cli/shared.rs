//! The flags that `run` and `generate` share.

use clap::Args;

use crate::plan::{Choices, Device, ElementType};

/// How a model is loaded and run, and what it is told.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Model and sampling")]
pub(super) struct Shared {
    /// What the user says in a chat
    #[arg(long, value_name = "TEXT")]
    pub(super) prompt: Option<String>,
    /// Tokens after which an answer is cut
    #[arg(long, value_name = "N")]
    pub(super) max_tokens: Option<u32>,
    /// Divides log-probabilities before the draw; 0 is greedy
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub(super) temperature: Option<f32>,
    /// Keeps the likeliest tokens that together reach this probability
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub(super) top_p: Option<f32>,
    /// Keeps tokens at least this fraction as likely as the likeliest
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub(super) min_p: Option<f32>,
    /// Keeps this many of the likeliest tokens; 0 keeps all
    #[arg(long, value_name = "N")]
    pub(super) top_k: Option<u32>,
    /// Divides the scores of recently seen tokens
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub(super) repetition_penalty: Option<f32>,
    /// Seed of the draws
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Element type that weights are cast to
    #[arg(long, value_name = "TYPE")]
    pub(super) dtype: Option<ElementType>,
    /// Makes packed weights dense when loading
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) dequantize: Option<bool>,
    /// The processor that runs the model
    #[arg(long)]
    pub(super) device: Option<Device>,
    /// Elements of keys and values that share one scale: 32, 64 or 128 [default: 64]
    #[arg(long, value_name = "N", requires = "kv_bits")]
    pub(super) kv_group_size: Option<u32>,
    /// Tokens from which on keys and values are packed [default: 0; mlx-lm's is 5000]
    #[arg(long, value_name = "N", requires = "kv_bits")]
    pub(super) kv_start: Option<u32>,
}

impl Shared {
    /// What the flags say; what was not typed is left open.
    pub(super) fn choices(&self) -> Choices {
        Choices {
            prompt: self.prompt.clone(),
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            top_p: self.top_p,
            min_p: self.min_p,
            top_k: self.top_k,
            repetition_penalty: self.repetition_penalty,
            seed: self.seed,
            dtype: self.dtype,
            dequantize: self.dequantize,
            device: self.device,
            kv_group_size: self.kv_group_size,
            kv_start: self.kv_start,
            ..Choices::default()
        }
    }
}
