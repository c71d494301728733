//! Seconds of the GPU by the `macmon` crate, which needs no rights. Never compiled on another system.

#![cfg(target_os = "macos")]

use macmon::Sampler;

use super::gpu::Gpu;

/// Milliseconds that a look takes; a shorter one wavers.
const SECOND: u32 = 1_000;

/// What looks at the GPU, where the system lets it.
pub(super) fn open() -> Option<impl FnMut() -> Option<Gpu>> {
    let mut sampler = Sampler::new().ok()?;
    Some(move || {
        let metrics = sampler.get_metrics(SECOND).ok()?;
        // No machine that runs takes no power: it did not tell.
        (metrics.all_power > 0.0).then(|| Gpu {
            busy_percent: f64::from(metrics.gpu_active_ratio) * 100.0,
            watts: f64::from(metrics.gpu_power),
        })
    })
}
