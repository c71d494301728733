//! How a model is loaded and run.

use serde::{Deserialize, Serialize};

/// How a model is loaded, and how its tokens are chosen; the same for all of its cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Element type that weights and quantization scales are cast to; as stored where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dtype: Option<ElementType>,
    /// Whether packed weights are made dense when loading.
    pub dequantize: bool,
    /// The processor that runs the model.
    pub device: Device,
    /// How a token is chosen.
    pub sampling: Sampling,
    /// What throughput prompts are made of.
    #[serde(default, skip_serializing_if = "Prompts::is_shipped")]
    pub prompts: Prompts,
    /// Tokens of the shipped text that the model's likelihood is measured on; 0 for none.
    #[serde(default = "usual_nll_tokens", skip_serializing_if = "is_usual_nll_tokens")]
    pub nll_tokens: u32,
}

/// Tokens of the shipped text that a likelihood is of unless something else is wanted.
const NLL_TOKENS: u32 = 512;

const fn usual_nll_tokens() -> u32 {
    NLL_TOKENS
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_usual_nll_tokens(tokens: &u32) -> bool {
    *tokens == NLL_TOKENS
}

/// What throughput prompts are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prompts {
    /// The texts that are shipped.
    #[default]
    Shipped,
    /// A file of the user, which may be private and is told by its hash.
    File {
        /// See [`super::Passages::sha256`].
        sha256: String,
    },
    /// Ids drawn at random, as `mlx_lm.benchmark` and `llama-bench` use.
    RandomIds,
}

impl Settings {
    /// Whether weights are held as the files hold them, so that the headers tell how much memory they take.
    pub const fn keeps_weights(&self) -> bool {
        self.dtype.is_none() && !self.dequantize
    }
}

impl Prompts {
    /// Whether these are the texts that are shipped.
    pub const fn is_shipped(&self) -> bool {
        matches!(self, Self::Shipped)
    }
}

/// How keys and values are packed: affine, as weights are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvPacking {
    /// Bits an element takes.
    pub bits: u32,
    /// Elements that share one scale.
    pub group_size: u32,
    /// Tokens from which on they are packed; until then they are kept as they are.
    pub start: u32,
}

impl KvPacking {
    /// Bits, then group and start where they are not the usual ones.
    pub fn short(self) -> String {
        let Self { bits, group_size, start } = self;
        let group = if group_size == 64 { String::new() } else { format!("-group{group_size}") };
        let start = if start == 0 { String::new() } else { format!("-from{start}") };
        format!("{bits}{group}{start}")
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dtype: None,
            dequantize: false,
            device: Device::Auto,
            sampling: Sampling::default(),
            prompts: Prompts::Shipped,
            nll_tokens: NLL_TOKENS,
        }
    }
}

/// A floating-point element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum ElementType {
    /// IEEE 754 single precision.
    Float32,
    /// IEEE 754 half precision.
    Float16,
    /// The upper half of a single.
    Bfloat16,
}

/// The processor that runs a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The GPU where MLX has one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU; an error where MLX has none.
    Gpu,
}

/// How a token is chosen from log-probabilities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Divides log-probabilities before the draw; 0 is greedy and ignores every filter.
    pub temperature: f32,
    /// Keeps the likeliest tokens that together reach this probability; 1 keeps all.
    pub top_p: f32,
    /// Keeps tokens at least this fraction as likely as the likeliest; 0 keeps all.
    pub min_p: f32,
    /// Keeps this many of the likeliest tokens; 0 keeps all.
    pub top_k: u32,
    /// Divides the scores of recently seen tokens; none where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f32>,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_p: 1.0,
            min_p: 0.0,
            top_k: 0,
            repetition_penalty: None,
            seed: 0,
        }
    }
}
