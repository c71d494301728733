//! The sections `system` and `system_health`, with the spellings of schema and readers both.

use super::{gibibytes, mebibytes, to_hundredths};
use crate::{
    host::{Health, Host},
    measure::message::Runtime,
    report::sections::{HardwareProfile, QualityFlag, System, SystemHealth},
};

/// Swap in use, in MiB, above which mlx-knife mistrusts a figure.
const SWAP_LIMIT_MIB: f64 = 100.0;
/// Free memory, in GiB, below which mlx-knife mistrusts a figure.
const FREE_LIMIT_GIB: f64 = 5.0;

pub(super) fn system(host: &Host, runtime: Option<&Runtime>) -> Option<System> {
    let profile = hardware_profile(host);
    let system = System {
        platform: host.platform.as_deref().map(platform),
        platform_version: host.platform_version.clone(),
        python_version: None,
        mlx_version: runtime.map(|runtime| runtime.mlx_version.clone()),
        hardware: host.chip.as_deref().map(|chip| without(chip, "Apple ")),
        ram_total_gb: host.memory_bytes.map(gibibytes).map(to_hundredths),
        hardware_profile: (profile != HardwareProfile::default()).then_some(profile),
    };
    (system != System::default()).then_some(system)
}

/// As Python names it.
fn platform(name: &str) -> String {
    match name {
        "macOS" => "darwin".to_owned(),
        other => other.to_lowercase(),
    }
}

fn hardware_profile(host: &Host) -> HardwareProfile {
    let model = host.model.clone().or_else(|| host.chip.clone());
    HardwareProfile {
        model_identifier: model.clone(),
        model,
        chip: host.chip.clone(),
        chip_cores_performance: host.performance_cores,
        chip_cores_efficiency: host.efficiency_cores,
        cores_physical: host.physical_cores,
        cores_logical: host.logical_cores,
        gpu_cores: host.gpu_cores,
        metal_version: host.metal.as_deref().map(|metal| without(metal, "Metal ")),
    }
}

fn without(text: &str, prefix: &str) -> String {
    text.strip_prefix(prefix).unwrap_or(text).to_owned()
}

/// Absent where free memory is unknown: mlx-knife's report would read that as none being free.
pub(super) fn system_health(health: &Health) -> Option<SystemHealth> {
    let free = health.free_bytes.map(gibibytes)?;
    let swap = health.swap_used_bytes;
    Some(SystemHealth {
        swap_gb: swap.map(gibibytes).map(to_hundredths),
        swap_used_mb: swap.map(|bytes| bytes / 1_048_576),
        ram_free_gb: Some(to_hundredths(free)),
        zombies_detected: health.zombies,
        zombie_processes: health.zombies,
        quality_flags: Some(quality_flags(free, swap.map(mebibytes), health.zombies)),
    })
}

/// What mlx-knife's plugin and its report find fault with, in the schema's words.
fn quality_flags(free_gib: f64, swap_mib: Option<f64>, zombies: Option<u32>) -> Vec<QualityFlag> {
    let faults = [
        (QualityFlag::DegradedSwap, swap_mib.is_some_and(|swap| swap > SWAP_LIMIT_MIB)),
        (QualityFlag::DegradedZombies, zombies.is_some_and(|zombies| zombies > 0)),
        (QualityFlag::DegradedMemory, free_gib < FREE_LIMIT_GIB),
    ];
    let mut flags: Vec<_> =
        faults.iter().filter(|(_, found)| *found).map(|(flag, _)| *flag).collect();
    if flags.is_empty() {
        flags.push(QualityFlag::Clean);
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const MIB: u64 = 1 << 20;

    #[track_caller]
    fn flags(free: u64, swap: Option<u64>, zombies: Option<u32>, expected: &[QualityFlag]) {
        let health =
            Health { free_bytes: Some(free), swap_used_bytes: swap, zombies, ..Health::default() };
        let section = system_health(&health).unwrap();
        assert_eq!(section.quality_flags.as_deref(), Some(expected));
    }

    #[test]
    fn each_fault_has_its_flag_and_its_limit() {
        use QualityFlag::{Clean, DegradedMemory, DegradedSwap, DegradedZombies};
        flags(5 * GIB, Some(100 * MIB), Some(0), &[Clean]);
        flags(5 * GIB - 1, Some(0), Some(0), &[DegradedMemory]);
        flags(9 * GIB, Some(100 * MIB + 1), Some(0), &[DegradedSwap]);
        flags(9 * GIB, Some(0), Some(1), &[DegradedZombies]);
        let all = [DegradedSwap, DegradedZombies, DegradedMemory];
        flags(GIB, Some(GIB), Some(3), &all);
        flags(9 * GIB, None, None, &[Clean]);
    }

    #[test]
    fn health_is_told_in_both_spellings() {
        let health = Health {
            free_bytes: Some(20 * GIB + GIB / 3),
            swap_used_bytes: Some(1_598_291_968),
            zombies: Some(2),
            ..Health::default()
        };
        let section = system_health(&health).unwrap();
        assert_eq!(section.ram_free_gb, Some(20.33));
        assert_eq!((section.swap_gb, section.swap_used_mb), (Some(1.49), Some(1524)));
        assert_eq!((section.zombies_detected, section.zombie_processes), (Some(2), Some(2)));
    }

    #[test]
    fn without_free_memory_there_is_no_health() {
        let health = Health { swap_used_bytes: Some(0), zombies: Some(0), ..Health::default() };
        assert_eq!(system_health(&health), None);
    }

    #[test]
    fn a_machine_without_a_model_is_known_by_its_chip() {
        let host = Host { chip: Some("AMD EPYC".to_owned()), ..Host::default() };
        let profile = system(&host, None).unwrap().hardware_profile.unwrap();
        assert_eq!(profile.model.as_deref(), Some("AMD EPYC"));
        assert_eq!(profile.model_identifier.as_deref(), Some("AMD EPYC"));
    }

    #[test]
    fn a_machine_that_tells_nothing_has_no_section() {
        assert_eq!(system(&Host::default(), None), None);
    }
}
