//! What macOS charges a process for. Never compiled on another system.

#![cfg(target_os = "macos")]
#![expect(unsafe_code, reason = "no crate at hand wraps `proc_pid_rusage`")]

use std::mem::MaybeUninit;

/// `phys_footprint` of the process `id`, in bytes: what Activity Monitor calls its memory, that of the GPU included.
pub(super) fn phys_footprint(id: u32) -> Option<u64> {
    let id = libc::c_int::try_from(id).ok()?;
    let mut usage = MaybeUninit::<libc::rusage_info_v0>::zeroed();
    // SAFETY: the kernel writes a value of the flavor's own type, which `usage` has room for.
    let code =
        unsafe { libc::proc_pid_rusage(id, libc::RUSAGE_INFO_V0, usage.as_mut_ptr().cast()) };
    // SAFETY: integers and bytes alone, so that zeros are a value even where nothing was written.
    let usage = unsafe { usage.assume_init() };
    (code == 0 && usage.ri_phys_footprint > 0).then_some(usage.ri_phys_footprint)
}
