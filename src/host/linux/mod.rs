//! What Linux tells about the machine: files below `/proc` and `/sys`.
//!
//! Every reader takes the folder that stands for `/`, so that recorded files can stand in.

mod power;
mod processes;

use std::{fs, path::Path};

use sysinfo::System;

use super::{Health, Host, amount};

/// Which machine this is.
pub(super) fn survey() -> Host {
    Host {
        platform_version: platform_version(System::name().ok(), System::os_version().ok()),
        physical_cores: System::physical_core_count().ok().and_then(|count| count.try_into().ok()),
        ..survey_of(Path::new("/"))
    }
}

/// Which machine the files below `root` speak of, as far as files alone tell.
fn survey_of(root: &Path) -> Host {
    let processors = read(root, "proc/cpuinfo").unwrap_or_default();
    let memory = read(root, "proc/meminfo").unwrap_or_default();
    let product = read(root, "sys/class/dmi/id/product_name").and_then(|text| product(&text));
    let chip = chip(&processors);
    Host {
        platform: Some("Linux".to_owned()),
        architecture: Some(std::env::consts::ARCH.to_owned()),
        model: product.or_else(|| chip.clone()),
        chip,
        logical_cores: logical_cores(&processors),
        memory_bytes: bytes_of(&memory, "MemTotal"),
        virtual_machine: is_virtual(&processors),
        ..Host::default()
    }
}

/// How the machine is doing.
pub(super) fn health() -> Health {
    health_of(Path::new("/"))
}

/// How the machine that the files below `root` speak of is doing.
fn health_of(root: &Path) -> Health {
    let zombies = processes::zombies(root);
    Health {
        zombies: zombies.map(|zombies| zombies.all),
        mlx_zombies: zombies.map(|zombies| zombies.of_mlx),
        thermal_level: power::thermal_level(root),
        power: power::supply(root),
        low_power_mode: power::is_low_power(root),
        ..memory_of(root)
    }
}

/// Memory, swap and load.
pub(super) fn memory() -> Health {
    memory_of(Path::new("/"))
}

fn memory_of(root: &Path) -> Health {
    let memory = read(root, "proc/meminfo").unwrap_or_default();
    let free = bytes_of(&memory, "MemAvailable");
    let total = bytes_of(&memory, "MemTotal");
    Health {
        free_bytes: free,
        taken_bytes: total.zip(free).and_then(|(total, free)| total.checked_sub(free)),
        swap_used_bytes: swap_used(&memory),
        load_average: read(root, "proc/loadavg").and_then(|text| load_average(&text)),
        ..Health::default()
    }
}

fn read(root: &Path, path: &str) -> Option<String> {
    fs::read_to_string(root.join(path)).ok()
}

/// `Ubuntu 24.04`; the name alone for a system without versions.
fn platform_version(name: Option<String>, version: Option<String>) -> Option<String> {
    let name = name?;
    Some(match version {
        Some(version) => format!("{name} {version}"),
        None => name,
    })
}

/// The value of `key` in `/proc/meminfo`.
pub(super) fn bytes_of(memory: &str, key: &str) -> Option<u64> {
    let mut lines = memory.lines();
    let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

pub(super) fn swap_used(memory: &str) -> Option<u64> {
    let total = bytes_of(memory, "SwapTotal")?;
    total.checked_sub(bytes_of(memory, "SwapFree")?)
}

/// The processor's name in `/proc/cpuinfo`; ARM machines often have none there.
fn chip(processors: &str) -> Option<String> {
    ["model name", "Hardware", "cpu model"].iter().find_map(|key| {
        let mut lines = processors.lines();
        lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == *key).then(|| one_spaced(value)).filter(|value| !value.is_empty())
        })
    })
}

fn logical_cores(processors: &str) -> Option<u32> {
    let lines = processors.lines();
    let count =
        lines.filter(|line| line.split(':').next().is_some_and(|key| key.trim() == "processor"));
    u32::try_from(count.count()).ok().filter(|count| *count > 0)
}

/// The maker's name for the machine, unless the maker left the form blank.
fn product(text: &str) -> Option<String> {
    const BLANKS: [&str; 5] = [
        "System Product Name",
        "To Be Filled By O.E.M.",
        "Default string",
        "None",
        "Not Specified",
    ];
    let name = one_spaced(text);
    let is_blank = name.is_empty() || BLANKS.iter().any(|blank| name.eq_ignore_ascii_case(blank));
    (!is_blank).then_some(name)
}

fn one_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first of the averages, which is that of the last minute.
fn load_average(text: &str) -> Option<f64> {
    amount(text.split_whitespace().next()?)
}

/// Whether the processor says that a hypervisor stands between; only x86 has such a flag.
fn is_virtual(processors: &str) -> Option<bool> {
    let (_, flags) = processors
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == "flags")?;
    Some(flags.split_whitespace().any(|flag| flag == "hypervisor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: &str = "\
MemTotal:       16384000 kB
MemFree:          524288 kB
MemAvailable:    8192000 kB
SwapCached:            0 kB
SwapTotal:       2097152 kB
SwapFree:        2096128 kB
";

    #[test]
    fn memory_is_told_in_bytes() {
        assert_eq!(bytes_of(MEMORY, "MemTotal"), Some(16_777_216_000));
        assert_eq!(bytes_of(MEMORY, "MemAvailable"), Some(8_388_608_000));
        assert_eq!(swap_used(MEMORY), Some(1_048_576));
    }

    #[test]
    fn a_kernel_that_does_not_tell_leaves_it_open() {
        assert_eq!(bytes_of("MemTotal: 1 kB\n", "MemAvailable"), None);
        assert_eq!(swap_used("SwapTotal: 5 kB\n"), None);
        assert_eq!(swap_used("SwapTotal: 0 kB\nSwapFree: 0 kB\n"), Some(0));
    }

    #[test]
    fn the_processor_is_named_as_its_maker_does() {
        let processors = "processor\t: 0\nmodel name\t: Intel(R) Xeon(R)   CPU @ 2.60GHz\n\
                          processor\t: 1\nmodel name\t: Intel(R) Xeon(R)   CPU @ 2.60GHz\n";
        assert_eq!(chip(processors).as_deref(), Some("Intel(R) Xeon(R) CPU @ 2.60GHz"));
        assert_eq!(logical_cores(processors), Some(2));
    }

    #[test]
    fn a_processor_without_a_name_has_none() {
        let processors = "processor\t: 0\nBogoMIPS\t: 48.00\nCPU implementer\t: 0x61\n";
        assert_eq!(chip(processors), None);
        assert_eq!(logical_cores(""), None);
    }

    #[test]
    fn a_form_that_was_left_blank_is_no_product() {
        assert_eq!(product("ThinkPad X1\n").as_deref(), Some("ThinkPad X1"));
        assert_eq!(product("To be filled by O.E.M.\n"), None);
        assert_eq!(product("\n"), None);
    }

    #[test]
    fn a_hypervisor_is_told_by_a_flag() {
        assert_eq!(is_virtual("flags\t\t: fpu sse2 hypervisor lahf_lm\n"), Some(true));
        assert_eq!(is_virtual("flags\t\t: fpu sse2 lahf_lm\n"), Some(false));
        assert_eq!(is_virtual("Features\t: fp asimd\n"), None);
    }

    #[test]
    fn a_folder_without_files_tells_of_no_machine() {
        let root = tempfile::tempdir().unwrap();
        let host = survey_of(root.path());
        let unknown = Host {
            platform: host.platform.clone(),
            architecture: host.architecture.clone(),
            ..Host::default()
        };
        assert_eq!(host, unknown);
        assert_eq!(health_of(root.path()), Health::default());
    }

    #[test]
    fn health_is_read_from_files() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("proc")).unwrap();
        fs::write(root.path().join("proc/meminfo"), MEMORY).unwrap();
        fs::write(root.path().join("proc/loadavg"), "1.25 0.50 0.25 3/174 326\n").unwrap();
        let expected = Health {
            free_bytes: Some(8_388_608_000),
            taken_bytes: Some(8_388_608_000),
            swap_used_bytes: Some(1_048_576),
            zombies: Some(0),
            mlx_zombies: Some(0),
            load_average: Some(1.25),
            ..Health::default()
        };
        assert_eq!(health_of(root.path()), expected);
    }

    #[test]
    fn a_system_without_versions_has_a_name() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(platform_version(text("Ubuntu"), text("24.04")), text("Ubuntu 24.04"));
        assert_eq!(platform_version(text("Arch Linux"), None), text("Arch Linux"));
        assert_eq!(platform_version(None, text("1")), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_tells_the_least_that_a_report_needs() {
        let host = survey();
        assert!(
            host.model.is_some() && host.memory_bytes.is_some() && host.logical_cores.is_some()
        );
        assert!(health().free_bytes.is_some());
    }
}
