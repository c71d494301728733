//! Which machine this is, and how it is doing.

use serde::Serialize;

/// The machine, as far as it tells. Nothing here names its user or its network.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Host {
    /// `macOS` or `Linux`, or what the system calls itself.
    pub platform: Option<String>,
    /// Version of the system, such as `26.2`.
    pub platform_version: Option<String>,
    /// Processor architecture, such as `arm64`.
    pub architecture: Option<String>,
    /// The model identifier, such as `Mac14,13`; on Linux the product's name, else the processor's.
    pub model: Option<String>,
    /// The chip, such as `Apple M2 Max`.
    pub chip: Option<String>,
    /// Physical cores.
    pub physical_cores: Option<u32>,
    /// Logical cores.
    pub logical_cores: Option<u32>,
    /// Performance cores, where the chip tells them apart.
    pub performance_cores: Option<u32>,
    /// Efficiency cores, where the chip tells them apart.
    pub efficiency_cores: Option<u32>,
    /// Cores of the GPU.
    pub gpu_cores: Option<u32>,
    /// The Metal family, such as `Metal 4`.
    pub metal: Option<String>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
}

/// How the machine is doing at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Health {
    /// Bytes of memory that are free.
    pub free_bytes: Option<u64>,
    /// Bytes of swap in use.
    pub swap_used_bytes: Option<u64>,
    /// Processes that ended and were not collected.
    pub zombies: Option<u32>,
}
