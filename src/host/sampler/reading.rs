//! What the machine tells at one moment.

use super::{apple, gpu::Gpu, linux};
use crate::host::process;

/// What the machine tells at one moment, as far as it does without a process being started.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reading {
    /// Bytes of memory that are free, as [`crate::host::Health`] counts them.
    pub(super) free_bytes: Option<u64>,
    /// Bytes of swap in use.
    pub(super) swap_used_bytes: Option<u64>,
    /// The system's own judgement of its memory: 1 normal, 2 warning, 4 critical; macOS only.
    pub(super) memory_pressure: Option<u32>,
    /// Share of the last ten seconds in which some task waited for memory, in percent; Linux only.
    pub(super) memory_stall: Option<f64>,
    /// Load averages of 1, 5 and 15 minutes.
    pub(super) load: Option<[f64; 3]>,
    /// What the processors did.
    pub(super) cpu: Shares,
    /// Resident memory of the process that is watched, in bytes.
    pub(super) resident_bytes: Option<u64>,
    /// What macOS charges that process for, in bytes.
    pub(super) footprint_bytes: Option<u64>,
    /// The GPU in the last second; macOS only.
    pub(super) gpu: Option<Gpu>,
}

/// Shares of the time of all cores, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Shares {
    pub(super) user: Option<f64>,
    pub(super) system: Option<f64>,
    pub(super) idle: Option<f64>,
}

/// Where readings come from.
#[derive(Debug)]
pub(super) enum Source {
    Apple(Box<apple::Source>),
    Linux(linux::Source),
}

impl Source {
    /// That of this machine.
    pub(super) fn new() -> Self {
        if cfg!(target_os = "macos") {
            Self::Apple(Box::new(apple::Source::new()))
        } else {
            Self::Linux(linux::Source::new())
        }
    }

    /// Reads the machine now, and the process `id` where one is watched.
    pub(super) fn read(&mut self, id: Option<u32>) -> Reading {
        let reading = match self {
            Self::Apple(source) => source.read(id),
            Self::Linux(source) => source.read(id),
        };
        let load = sysinfo::System::load_average().ok();
        Reading {
            load: load.map(|load| [load.one, load.five, load.fifteen]),
            // Elsewhere it is what is resident.
            footprint_bytes: id.filter(|_| cfg!(target_os = "macos")).and_then(process::footprint),
            ..reading
        }
    }
}
