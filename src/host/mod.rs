//! Which machine this is, and how it is doing.
//!
//! What the machine does not tell is absent, never 0. Nothing here names its user or its network.

pub mod apple;
mod command;
pub mod fitness;
mod linux;
pub mod page_cache;
mod phys_footprint;
mod private;
mod probe;
pub mod process;
pub mod sampler;
mod zombies;

pub use private::temporary_folder;
pub use probe::{Jitter, Probe};

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
    /// The GPU, such as `Apple M2 Max`; macOS only.
    pub gpu: Option<String>,
    /// Cores of the GPU.
    pub gpu_cores: Option<u32>,
    /// The Metal family, such as `Metal 4`.
    pub metal: Option<String>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Whether a hypervisor stands between this system and the machine.
    pub virtual_machine: Option<bool>,
    /// Whether this process is translated by Rosetta; macOS only.
    pub translated: Option<bool>,
    /// How fit for timing it was found to be, where that was judged; [`survey`] does not judge.
    pub fitness: Option<fitness::Fitness>,
}

/// Where the power comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// The socket.
    Ac,
    /// The machine's own battery.
    Battery,
    /// A battery between socket and machine.
    Ups,
}

/// How the machine is doing at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Health {
    /// Bytes of memory that are free.
    ///
    /// On macOS `Pages free` of `vm_stat` times the page size, as mlx-knife counts: pages that hold files or could be
    /// purged are not free. On Linux `MemAvailable`, which does count what holds files: an idle Linux fills all of its
    /// memory with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
    /// Bytes of pages that were read ahead of need and can be had at once; macOS only. mlx-knife's gate between models
    /// counts them with the free ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speculative_bytes: Option<u64>,
    /// Bytes that are had back only when their owners let go of them: on macOS wired, anonymous and compressed pages, on
    /// Linux all of the memory but `MemAvailable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_bytes: Option<u64>,
    /// Bytes of swap in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_used_bytes: Option<u64>,
    /// Processes in state `Z`, of any user: they ended and were not collected. mlx-knife counts all too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zombies: Option<u32>,
    /// Of these, those that a program of MLX left: their parent's command line names `mlx`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mlx_zombies: Option<u32>,
    /// Load average of the last minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_average: Option<f64>,
    /// The system's own judgement of its memory: 1 normal, 2 warning, 4 critical; macOS only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_pressure: Option<u32>,
    /// How far heat holds the machine back, 0 for not at all: on macOS the pressure that the system tells everybody (1
    /// moderate, 2 heavy, 3 trapping, 4 sleeping), on Linux the highest cooling state of a processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thermal_level: Option<u32>,
    /// Percent of its clock that the processor may use; Macs with Intel's only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed_limit_percent: Option<u32>,
    /// Where the power comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power: Option<Power>,
    /// Whether the system saves power at the cost of speed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_power_mode: Option<bool>,
    /// How busy the GPU is with the work of others, as this process has given it none yet, in percent; macOS only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_busy_percent: Option<u32>,
}

/// Asks the machine what it is. Takes a second or two on macOS, so ask once.
pub fn survey() -> Host {
    if cfg!(target_os = "macos") { apple::survey(&apple::Live) } else { linux::survey() }
}

impl Health {
    /// Asks the machine how it is doing.
    pub fn now() -> Self {
        if cfg!(target_os = "macos") { apple::health(&apple::Live) } else { linux::health() }
    }

    /// Asks for memory, swap and load alone, which takes less time.
    pub fn of_memory() -> Self {
        if cfg!(target_os = "macos") { apple::memory(&apple::Live) } else { linux::memory() }
    }

    /// What is told without a process being started for it, so that nothing is disturbed that is being measured: on macOS
    /// memory, swap, pressure and load, on Linux all there is.
    pub fn glance() -> Self {
        if cfg!(target_os = "macos") { sampler::glance() } else { linux::health() }
    }
}

/// A number that can be an amount of something.
fn amount(text: &str) -> Option<f64> {
    let amount: f64 = text.parse().ok()?;
    (amount.is_finite() && amount >= 0.0).then_some(amount)
}
