//! The sections of a line: model, performance, stop tokens, system, health, timeline.
//!
//! For the marks see [`mod@super::record`].

use schemars::JsonSchema;
use serde::Serialize;

/// The model that was tested.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Model {
    /// The hub id, or a folder's or file's base name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Size of its files, in GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub size_gb: Option<f64>,
    /// Such as `llama`, `qwen` or `phi-3`; `unknown` where the name does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// The model within its family, such as `3.2-3b-instruct`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The format it comes in: `MLX` or `GGUF`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("since" = "0.2.0"))]
    pub framework: Option<String>,
    /// How its weights are packed, such as `4bit`, or their element type, such as `bf16`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("since" = "0.2.0"))]
    pub quantization: Option<String>,
}

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Performance {
    /// Tokens generated a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub tokens_per_sec: Option<f64>,
    /// Most memory in use, in MiB: `peak_ram_gb` as 0.1.0 spelled it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ram_peak_mb: Option<f64>,
    /// A whole request, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub duration_s: Option<f64>,
    /// Tokens of the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// Tokens generated, a stop token included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_tokens: Option<u64>,
    /// Loading the model until it can answer, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), extend("since" = "0.2.0"))]
    pub model_load_time_s: Option<f64>,
    /// From the request until the first token is visible, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), extend("since" = "0.2.0"))]
    pub time_to_first_token_s: Option<f64>,
    /// Releasing the model, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), extend("since" = "0.2.0"))]
    pub cleanup_time_s: Option<f64>,
    /// Most memory in use during a request, in GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), extend("since" = "0.2.0"))]
    pub peak_ram_gb: Option<f64>,
    /// Memory in use once warm, in GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), extend("since" = "0.2.0"))]
    pub stable_ram_gb: Option<f64>,
}

/// Which tokens should end an answer, and whether they did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct StopTokens {
    /// The tokens in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configured: Option<Vec<String>>,
    /// The tokens that came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detected: Option<Vec<String>>,
    /// The rule that had to be applied by hand, or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workaround: Option<String>,
    /// Whether a user could see a stop token in the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaked: Option<bool>,
}

/// The machine and what runs on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct System {
    /// The kind of system: `darwin` or `linux`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The system by name and version, such as `macOS 26.2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_version: Option<String>,
    /// Version of Python; ours has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python_version: Option<String>,
    /// Version of MLX.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mlx_version: Option<String>,
    /// The chip as people call it, such as `M2 Max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// Memory of the machine, in GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ram_total_gb: Option<f64>,
    /// The machine in detail.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("since" = "0.2.0"))]
    pub hardware_profile: Option<HardwareProfile>,
}

/// The machine in detail.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct HardwareProfile {
    /// The model identifier, such as `Mac14,13`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_identifier: Option<String>,
    /// The same, as mlx-knife's report reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub model: Option<String>,
    /// The chip, such as `Apple M2 Max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip: Option<String>,
    /// Performance cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip_cores_performance: Option<u32>,
    /// Efficiency cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip_cores_efficiency: Option<u32>,
    /// Physical cores, as mlx-knife's report reads them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub cores_physical: Option<u32>,
    /// Logical cores, as mlx-knife writes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub cores_logical: Option<u32>,
    /// Cores of the GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_cores: Option<u32>,
    /// Version of Metal, such as `4`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metal_version: Option<String>,
}

/// How the machine was doing before the test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct SystemHealth {
    /// Swap in use, in GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub swap_gb: Option<f64>,
    /// Swap in use in whole MiB, as mlx-knife's report reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub swap_used_mb: Option<u64>,
    /// Memory that was free, in GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ram_free_gb: Option<f64>,
    /// Processes that ended and were not collected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zombies_detected: Option<u32>,
    /// The same, as mlx-knife's report reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub zombie_processes: Option<u32>,
    /// `clean`, or everything that speaks against the figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality_flags: Option<Vec<QualityFlag>>,
}

/// A judgement of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QualityFlag {
    /// Nothing speaks against the figures.
    Clean,
    /// Swap is in use.
    DegradedSwap,
    /// There are processes that ended and were not collected.
    DegradedZombies,
    /// Little memory is free.
    DegradedMemory,
}

/// When the stages of a test were reached, in milliseconds from one common zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Timeline {
    /// A server was started; ours has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub server_start_ms: Option<f64>,
    /// The model was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub model_load_start_ms: Option<f64>,
    /// The model could answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub model_load_complete_ms: Option<f64>,
    /// The server could answer; ours has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub server_ready_ms: Option<f64>,
    /// The request was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub request_sent_ms: Option<f64>,
    /// Its first token was visible.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub first_token_ms: Option<f64>,
    /// It was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub stream_complete_ms: Option<f64>,
    /// The model was no longer wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub shutdown_request_ms: Option<f64>,
    /// Its memory was released.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub cleanup_complete_ms: Option<f64>,
}
