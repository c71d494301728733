//! Which machine this is, and how it is doing.
//!
//! What the machine does not tell is absent, never 0. Nothing here names its user or its network.

mod apple;
mod command;
mod linux;
mod private;
pub mod process;
pub mod sampler;

pub use private::temporary_folder;

use serde::Serialize;

/// The machine, as far as it tells.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Host {
    /// `macOS` or `Linux`, or what the system calls itself.
    pub platform: Option<String>,
    /// The system by name and version, such as `macOS 26.2` or `Ubuntu 24.04`.
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
    /// Bytes of memory that are free: free pages on macOS, `MemAvailable` on Linux.
    pub free_bytes: Option<u64>,
    /// Bytes of swap in use.
    pub swap_used_bytes: Option<u64>,
    /// Processes that ended and were not collected.
    pub zombies: Option<u32>,
    /// Load average of the last minute.
    pub load_average: Option<f64>,
    /// The system's own judgement of its memory: 1 normal, 2 warning, 4 critical; macOS only.
    pub memory_pressure: Option<u32>,
    /// How busy the GPU is, in percent; macOS only.
    pub gpu_busy_percent: Option<u32>,
}

/// Asks the machine what it is. Takes a second or two on macOS, so ask once.
pub fn survey() -> Host {
    if cfg!(target_os = "macos") { apple::survey() } else { linux::survey() }
}

impl Health {
    /// Asks the machine how it is doing.
    pub fn now() -> Self {
        let health = if cfg!(target_os = "macos") { apple::health() } else { linux::health() };
        Self { load_average: sysinfo::System::load_average().ok().map(|load| load.one), ..health }
    }
}
