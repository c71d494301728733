//! Four Macs as their own programs describe them: synthetic values in the shapes of real output.

use std::{fs, path::PathBuf};

use mlxk_harness::{
    host::{
        Health, Host, Probe,
        apple::{self, Source, Sources},
        fitness::{Grade, fitness},
    },
    report::Context,
};
use serde_json::{Map, Value, json};

use super::{as_json, context, measured, published, throughput};

pub(super) const MACS: [&str; 4] = ["m1", "m2-max", "m4", "paravirtual"];

/// The programs of one Mac, as far as they answer.
pub(super) struct Recorded {
    pub(super) mac: &'static str,
    /// Sources that are silent.
    pub(super) silent: Vec<Source>,
    /// A line that one source leaves out.
    pub(super) without: Option<(Source, &'static str)>,
}

impl Recorded {
    pub(super) fn of(mac: &'static str) -> Self {
        Self { mac, silent: Vec::new(), without: None }
    }

    /// All that is known of the machine and of how it is doing.
    fn facts(&self) -> Map<String, Value> {
        let mut facts = Map::new();
        for part in [json!(apple::survey(self)), json!(apple::health(self))] {
            facts.extend(part.as_object().unwrap().clone());
        }
        facts.retain(|_, fact| !fact.is_null());
        facts
    }

    /// A published line that was measured on it.
    pub(super) fn line(&self) -> Value {
        let context =
            Context { host: apple::survey(self), health: apple::health(self), ..context() };
        as_json(&published(&context, &throughput(), &measured()))
    }
}

impl Sources for Recorded {
    fn text(&self, source: Source) -> Option<String> {
        if self.silent.contains(&source) {
            return None;
        }
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/macs");
        let path = root.join(self.mac).join(file(source)).with_extension("txt");
        let text = fs::read_to_string(&path).unwrap_or_else(|_| panic!("{}", path.display()));
        let Some((_, key)) = self.without.filter(|(at, _)| *at == source) else {
            return Some(text);
        };
        let kept: Vec<_> =
            text.lines().filter(|line| !line.starts_with(&format!("{key}:"))).collect();
        Some(kept.join("\n"))
    }
}

fn file(source: Source) -> &'static str {
    match source {
        Source::Machine => "sysctl-machine",
        Source::Moment => "sysctl-moment",
        Source::System => "sw_vers",
        Source::Displays => "system_profiler",
        Source::Accelerators => "ioreg",
        Source::Pages => "vm_stat",
        Source::Processes => "ps",
        Source::Supply => "pmset-batt",
        Source::Settings => "pmset",
        Source::Speed => "pmset-therm",
        Source::Thermal => "notifyutil",
    }
}

/// The facts that only `source` tells.
pub(super) fn told_by(source: Source) -> &'static [&'static str] {
    match source {
        Source::Machine => &[
            "model",
            "chip",
            "physical_cores",
            "logical_cores",
            "performance_cores",
            "efficiency_cores",
            "memory_bytes",
            "virtual_machine",
            "translated",
        ],
        Source::Moment => &["swap_used_bytes", "load_average", "memory_pressure"],
        Source::System => &["platform_version"],
        // The registry tells the cores too.
        Source::Displays => &["gpu", "metal"],
        Source::Accelerators => &["gpu_busy_percent"],
        Source::Pages => &["free_bytes", "speculative_bytes", "taken_bytes"],
        Source::Processes => &["zombies", "mlx_zombies"],
        Source::Supply => &["power"],
        Source::Settings => &["low_power_mode"],
        Source::Speed => &["speed_limit_percent"],
        Source::Thermal => &["thermal_level"],
    }
}

#[track_caller]
fn reported(mac: &'static str, system: &Value, health: &Value) {
    let line = Recorded::of(mac).line();
    assert_eq!(&line["system"], system);
    assert_eq!(&line["system_health"], health);
}

#[test]
fn an_m1_in_trouble_is_told_exactly() {
    reported(
        "m1",
        &json!({
            "platform": "darwin", "platform_version": "macOS 14.7.1", "mlx_version": "0.32.2",
            "hardware": "M1", "ram_total_gb": 16.0,
            "hardware_profile": {
                "model_identifier": "MacBookPro17,1", "model": "MacBookPro17,1", "chip": "Apple M1",
                "chip_cores_performance": 4, "chip_cores_efficiency": 4, "cores_physical": 8,
                "cores_logical": 8, "gpu_cores": 8, "metal_version": "3",
            },
        }),
        // 9830 pages of 16 KiB; two of the three zombies are those of `mlx_lm.server`.
        &json!({
            "swap_gb": 2.5, "swap_used_mb": 2560, "ram_free_gb": 0.15,
            "zombies_detected": 3, "zombie_processes": 3,
            "quality_flags": ["degraded_swap", "degraded_zombies", "degraded_memory"],
        }),
    );
}

#[test]
fn an_idle_m2_max_is_told_exactly() {
    reported(
        "m2-max",
        &json!({
            "platform": "darwin", "platform_version": "macOS 26.2", "mlx_version": "0.32.2",
            "hardware": "M2 Max", "ram_total_gb": 64.0,
            "hardware_profile": {
                "model_identifier": "Mac14,13", "model": "Mac14,13", "chip": "Apple M2 Max",
                "chip_cores_performance": 8, "chip_cores_efficiency": 4, "cores_physical": 12,
                "cores_logical": 12, "gpu_cores": 38, "metal_version": "4",
            },
        }),
        // 1310720 pages of 16 KiB.
        &json!({
            "swap_gb": 0.0, "swap_used_mb": 0, "ram_free_gb": 20.0,
            "zombies_detected": 0, "zombie_processes": 0, "quality_flags": ["clean"],
        }),
    );
}

#[test]
fn a_warm_m4_is_told_exactly() {
    reported(
        "m4",
        &json!({
            "platform": "darwin", "platform_version": "macOS 15.5", "mlx_version": "0.32.2",
            "hardware": "M4", "ram_total_gb": 24.0,
            "hardware_profile": {
                "model_identifier": "Mac16,12", "model": "Mac16,12", "chip": "Apple M4",
                "chip_cores_performance": 4, "chip_cores_efficiency": 6, "cores_physical": 10,
                "cores_logical": 10, "gpu_cores": 10, "metal_version": "3",
            },
        }),
        // 393216 pages of 16 KiB; 1524.25 MiB of swap.
        &json!({
            "swap_gb": 1.49, "swap_used_mb": 1524, "ram_free_gb": 6.0,
            "zombies_detected": 1, "zombie_processes": 1,
            "quality_flags": ["degraded_swap", "degraded_zombies"],
        }),
    );
}

#[test]
fn a_paravirtual_runner_is_told_exactly() {
    reported(
        "paravirtual",
        &json!({
            "platform": "darwin", "platform_version": "macOS 14.7.1", "mlx_version": "0.32.2",
            "hardware": "M1 (Virtual)", "ram_total_gb": 7.0,
            "hardware_profile": {
                "model_identifier": "VirtualMac2,1", "model": "VirtualMac2,1",
                "chip": "Apple M1 (Virtual)", "chip_cores_performance": 3, "cores_physical": 3,
                "cores_logical": 3, "metal_version": "3",
            },
        }),
        // 12288 pages of 16 KiB.
        &json!({
            "swap_gb": 0.09, "swap_used_mb": 96, "ram_free_gb": 0.19,
            "zombies_detected": 0, "zombie_processes": 0, "quality_flags": ["degraded_memory"],
        }),
    );
}

#[track_caller]
fn known(mac: &'static str, expected: &Value) {
    let mut facts = Recorded::of(mac).facts();
    let names: Vec<_> = expected.as_object().unwrap().keys().collect();
    facts.retain(|name, _| names.contains(&name));
    assert_eq!(&json!(facts), expected, "{mac}");
}

#[test]
fn what_no_schema_has_a_place_for_is_told_too() {
    known(
        "m1",
        &json!({
            "gpu": "Apple M1", "virtual_machine": false, "translated": false, "mlx_zombies": 2,
            "load_average": 3.41, "memory_pressure": 2, "thermal_level": 1, "power": "battery",
            "low_power_mode": true, "gpu_busy_percent": 22,
        }),
    );
    known(
        "m2-max",
        &json!({
            "gpu": "Apple M2 Max", "virtual_machine": false, "translated": false, "mlx_zombies": 0,
            "load_average": 1.02, "memory_pressure": 1, "thermal_level": 0, "power": "ac",
            "low_power_mode": false, "gpu_busy_percent": 0,
        }),
    );
    known(
        "m4",
        &json!({
            "gpu": "Apple M4", "mlx_zombies": 0, "load_average": 2.45, "memory_pressure": 1,
            "thermal_level": 2, "power": "ac", "low_power_mode": false, "gpu_busy_percent": 100,
        }),
    );
    known(
        "paravirtual",
        &json!({
            "gpu": "Apple Paravirtual device", "virtual_machine": true, "translated": false,
            "load_average": 4.8, "power": "ac",
        }),
    );
}

#[test]
fn a_line_tells_what_held_its_machine_back() {
    let mut host = Recorded::of("m1").line()["metadata"]["mlxk_harness"]["host"].take();
    // Whatever the tests were built for, and what MLX says of its device.
    for name in ["architecture", "device_name", "working_set_bytes"] {
        host.as_object_mut().unwrap().remove(name);
    }
    let expected = json!({
        "virtual_machine": false, "translated": false, "load_average": 3.41, "memory_pressure": 2,
        "thermal_level": 1, "power": "battery", "low_power_mode": true, "gpu_busy_percent": 22,
        "mlx_zombies": 2,
    });
    assert_eq!(host, expected);
}

#[test]
fn what_a_mac_has_no_sensor_for_is_absent() {
    let facts = Recorded::of("paravirtual").facts();
    for name in ["efficiency_cores", "gpu_cores", "gpu_busy_percent", "low_power_mode"] {
        assert_eq!(facts.get(name), None, "{name}");
    }
}

#[test]
fn a_silent_source_takes_its_own_facts_with_it_and_no_others() {
    for mac in MACS {
        let all = Recorded::of(mac).facts();
        for source in Source::ALL {
            let mut expected = all.clone();
            expected.retain(|name, _| !told_by(source).contains(&name.as_str()));
            let told = Recorded { silent: vec![source], ..Recorded::of(mac) }.facts();
            assert_eq!(told, expected, "{mac} without {source:?}");
        }
    }
}

/// Programs that print the same, whatever they are asked.
struct Babble(&'static str);

impl Sources for Babble {
    fn text(&self, _: Source) -> Option<String> {
        Some(self.0.to_owned())
    }
}

#[test]
fn answers_that_make_no_sense_tell_nothing() {
    let texts = [
        "",
        "\n",
        ":::\n: 1\n",
        "{",
        "{\"SPDisplaysDataType\": [{\"sppci_model\": 7}]}",
        "usage: it [-h]\n",
        "hw.memsize: -1\nvm.swapusage: used = \nvm.loadavg: {}\nkern.hv_vmm_present: yes\n",
        "Mach (page size of 99999999999999999999 bytes)\nPages free: 1.\n",
        "Mach (page size of 16384 bytes)\nPages free: 99999999999999999999.\n",
        "vm.swapusage: used = \u{b5}\nvm.swapusage: \u{1f980}\n \"gpu-core-count\" = \u{1f980}\n",
    ];
    for text in texts {
        let (host, health) = (apple::survey(&Babble(text)), apple::health(&Babble(text)));
        let nothing = Host {
            platform: host.platform.clone(),
            architecture: host.architecture.clone(),
            ..Host::default()
        };
        assert_eq!((host, health), (nothing, Health::default()), "{text}");
    }
}

#[test]
fn cores_of_a_gpu_are_known_to_two_sources() {
    let silent = vec![Source::Accelerators, Source::Displays];
    let facts = Recorded { silent, ..Recorded::of("m4") }.facts();
    assert_eq!(facts.get("gpu_cores"), None);
}

#[test]
fn a_name_that_sysctl_does_not_know_takes_one_fact_with_it() {
    use Source::{Machine, Moment};
    let lines = [
        (Machine, "hw.model", "model"),
        (Machine, "hw.memsize", "memory_bytes"),
        (Machine, "hw.physicalcpu", "physical_cores"),
        (Machine, "hw.logicalcpu", "logical_cores"),
        (Machine, "machdep.cpu.brand_string", "chip"),
        (Machine, "hw.perflevel0.physicalcpu", "performance_cores"),
        (Machine, "hw.perflevel1.physicalcpu", "efficiency_cores"),
        (Machine, "kern.hv_vmm_present", "virtual_machine"),
        (Machine, "sysctl.proc_translated", "translated"),
        (Moment, "vm.swapusage", "swap_used_bytes"),
        (Moment, "vm.loadavg", "load_average"),
        (Moment, "kern.memorystatus_vm_pressure_level", "memory_pressure"),
    ];
    for mac in MACS {
        for (source, key, fact) in lines {
            let mut expected = Recorded::of(mac).facts();
            expected.remove(fact);
            let told = Recorded { without: Some((source, key)), ..Recorded::of(mac) }.facts();
            assert_eq!(told, expected, "{mac} without {key}");
        }
    }
}

#[test]
fn a_published_line_of_a_mac_that_hides_something_still_fits_its_schema() {
    for mac in MACS {
        for source in Source::ALL {
            let line = Recorded { silent: vec![source], ..Recorded::of(mac) }.line();
            // Without free memory a reader would take it for none.
            assert_eq!(line.get("system_health").is_none(), source == Source::Pages);
            assert!(line.pointer("/system/hardware_profile").is_some());
        }
    }
}

#[track_caller]
fn graded(mac: &'static str, expected: Grade, rules: &[&str]) {
    let recorded = Recorded::of(mac);
    let probe = Probe { debug_build: Some(false), ..Probe::default() };
    let fitness = fitness(&apple::survey(&recorded), &apple::health(&recorded), &probe);
    let found: Vec<_> = fitness.reasons.iter().map(|reason| reason.rule).collect();
    assert_eq!((fitness.grade, found.as_slice()), (expected, rules), "{mac}");
}

#[test]
fn each_mac_is_graded_by_what_speaks_against_it() {
    let m1 = [
        "low_power_mode",
        "battery",
        "thermal_level",
        "gpu_busy",
        "free_memory",
        "memory_pressure",
        "load_per_core",
        "zombies",
        "swap_used",
    ];
    graded("m1", Grade::D, &m1);
    graded("m2-max", Grade::A, &[]);
    graded("m4", Grade::D, &["thermal_level", "gpu_busy", "zombies", "swap_used"]);
    let paravirtual = ["paravirtual_gpu", "load_per_core", "virtual_machine", "free_memory"];
    graded("paravirtual", Grade::D, &paravirtual);
}
