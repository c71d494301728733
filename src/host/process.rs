//! The memory of a process, as the system counts it.

use std::{
    fs, io,
    sync::atomic::{AtomicBool, Ordering},
};

/// Whether the last reset was refused, so that the peak speaks of a longer time than was asked.
static IS_STALE: AtomicBool = AtomicBool::new(false);

/// Forgets the largest resident memory so far, so that [`peak_bytes`] speaks of what follows.
///
/// Where that cannot be done, which is everywhere but on Linux, [`peak_bytes`] tells nothing.
pub fn reset_peak() {
    IS_STALE.store(try_reset().is_err(), Ordering::Relaxed);
}

/// The largest resident memory since the last reset, or since the process began, in bytes.
pub fn peak_bytes() -> Option<u64> {
    if IS_STALE.load(Ordering::Relaxed) {
        return None;
    }
    bytes_of(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// What the system holds for this process now, in bytes: see [`footprint`].
pub fn own_footprint() -> Option<u64> {
    footprint(std::process::id())
}

/// What the system holds for the process `id`, in bytes; one that has ended has none.
///
/// On macOS `phys_footprint`, which counts memory of the GPU and what was compressed, and no file that is only mapped.
/// On Linux `VmRSS`, which counts the pages of mapped files that are in memory, and nothing that was swapped out.
pub fn footprint(id: u32) -> Option<u64> {
    #[cfg(target_os = "macos")]
    return super::phys_footprint::phys_footprint(id);
    #[cfg(not(target_os = "macos"))]
    resident_bytes(id)
}

/// The resident memory of the process `id`, in bytes; one that has ended has none. Linux only.
pub(super) fn resident_bytes(id: u32) -> Option<u64> {
    bytes_of(&fs::read_to_string(format!("/proc/{id}/status")).ok()?, "VmRSS:")
}

/// The addresses that this process has mapped, in bytes; Linux only.
pub fn mapped_bytes() -> Option<u64> {
    bytes_of(&fs::read_to_string("/proc/self/status").ok()?, "VmSize:")
}

fn try_reset() -> io::Result<()> {
    // 5: "reset the peak resident set size"; see proc_pid_clear_refs(5).
    fs::write("/proc/self/clear_refs", "5")
}

fn bytes_of(status: &str, key: &str) -> Option<u64> {
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u64 = value.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmPeak:\t  300 kB\nVmHWM:\t     208 kB\nVmRSS:\t     100 kB\n";
        assert_eq!(bytes_of(status, "VmHWM:"), Some(212_992));
        assert_eq!(bytes_of(status, "VmRSS:"), Some(102_400));
    }

    #[test]
    fn a_status_without_a_peak_tells_nothing() {
        assert_eq!(bytes_of("Name:\tx\nVmRSS:\t     100 kB\n", "VmHWM:"), None);
        assert_eq!(bytes_of("VmHWM:\t many kB\n", "VmHWM:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_reset_forgets_memory_that_was_given_back() {
        const LARGE: usize = 256 << 20;
        reset_peak();
        drop(std::hint::black_box(vec![1_u8; LARGE]));
        let with_large = peak_bytes().unwrap();
        reset_peak();
        let without = peak_bytes().unwrap();
        assert!(without + (LARGE as u64) / 2 < with_large, "{without} {with_large}");
    }
}
