//! The memory of this process, as the system counts it.

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
    high_water_mark(&fs::read_to_string("/proc/self/status").ok()?)
}

fn try_reset() -> io::Result<()> {
    // 5: "reset the peak resident set size"; see proc_pid_clear_refs(5).
    fs::write("/proc/self/clear_refs", "5")
}

fn high_water_mark(status: &str) -> Option<u64> {
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = value.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_in_bytes() {
        let status = "Name:\tx\nVmPeak:\t  300 kB\nVmHWM:\t     208 kB\nVmRSS:\t     100 kB\n";
        assert_eq!(high_water_mark(status), Some(212_992));
    }

    #[test]
    fn a_status_without_a_peak_tells_nothing() {
        assert_eq!(high_water_mark("Name:\tx\nVmRSS:\t     100 kB\n"), None);
        assert_eq!(high_water_mark("VmHWM:\t many kB\n"), None);
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
