//! Readings of macOS: what `sysinfo` and `sysctl` ask the kernel for, and no process is started for.
//!
//! They do not tell user time from system time, so only idle time is known.

use std::time::Instant;

use sysctl::{Ctl, Sysctl};
use sysinfo::{
    MINIMUM_CPU_UPDATE_INTERVAL, MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate,
    System,
};

use super::reading::{Reading, Shares};

/// What was counted before.
pub(super) struct Source {
    system: Option<System>,
    pressure: Option<Ctl>,
    began: Instant,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Source").finish_non_exhaustive()
    }
}

impl Source {
    pub(super) fn new() -> Self {
        let mut system = System::new().ok();
        if let Some(system) = &mut system {
            system.refresh_cpu_usage();
        }
        let pressure = Ctl::new("kern.memorystatus_vm_pressure_level").ok();
        // Only now: `sysinfo` counts the time between two looks from an earlier moment.
        Self { system, pressure, began: Instant::now() }
    }

    pub(super) fn read(&mut self, id: Option<u32>) -> Reading {
        let Some(system) = &mut self.system else {
            return Reading::default();
        };
        let can_share = self.began.elapsed() >= MINIMUM_CPU_UPDATE_INTERVAL;
        system.refresh_cpu_usage();
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram().with_swap());
        // No machine uses none of its memory: it did not tell.
        let has_told = system.used_memory() > 0;
        let busy = f64::from(system.global_cpu_usage());
        let idle = (can_share && !system.cpus().is_empty()).then(|| (100.0 - busy).max(0.0));
        Reading {
            free_bytes: has_told.then(|| system.free_memory()),
            swap_used_bytes: has_told.then(|| system.used_swap()),
            memory_pressure: self.pressure.as_ref().and_then(level),
            cpu: Shares { idle, ..Shares::default() },
            resident_bytes: id.and_then(|id| resident(system, id)),
            ..Reading::default()
        }
    }
}

fn resident(system: &mut System, id: u32) -> Option<u64> {
    let id = Pid::from_u32(id);
    system.refresh_processes_specifics(
        ProcessesToUpdate::Some(&[id]),
        true,
        ProcessRefreshKind::nothing().with_memory(),
    );
    // No process that lives has no memory: the system did not tell.
    system.process(id).map(sysinfo::Process::memory).filter(|bytes| *bytes > 0)
}

fn level(pressure: &Ctl) -> Option<u32> {
    let value = pressure.value().ok()?;
    value.as_int().and_then(|level| (*level).try_into().ok())
}

#[cfg(test)]
mod tests {
    use std::{process, thread};

    use super::*;

    #[test]
    fn what_is_asked_for_is_known_on_every_system() {
        let mut source = Source::new();
        let first = source.read(Some(process::id()));
        assert!(first.free_bytes.is_some() && first.swap_used_bytes.is_some());
        assert!(first.resident_bytes.is_some_and(|bytes| bytes > 1 << 20));
        thread::sleep(MINIMUM_CPU_UPDATE_INTERVAL);
        let second = source.read(Some(u32::MAX));
        assert!(second.cpu.idle.is_some_and(|idle| (0.0..=100.0).contains(&idle)));
        assert_eq!(second.resident_bytes, None);
    }
}
