//! What macOS tells about the machine: the answers of its own small programs.
//!
//! Everything here is compiled on every system, so that the readers are tested on every system.

mod graphics;
mod lines;
mod pages;
mod power;
mod source;
mod sysctl;

pub use source::{Live, Source, Sources};

use self::{
    graphics::Gpu,
    lines::{answer, number, text},
    sysctl::Cores,
};
use super::{
    Health, Host,
    zombies::{self, Zombies},
};

/// Which machine `sources` speak of. What a source that is silent would tell is absent.
pub fn survey(sources: &dyn Sources) -> Host {
    let read = |source| sources.text(source).unwrap_or_default();
    let machine = read(Source::Machine);
    let gpu = Gpu::of(&read(Source::Displays));
    let cores = Cores::of(&machine);
    Host {
        platform: Some("macOS".to_owned()),
        platform_version: platform_version(&read(Source::System)),
        architecture: Some(architecture(std::env::consts::ARCH).to_owned()),
        model: text(&machine, "hw.model").map(str::to_owned),
        chip: text(&machine, "machdep.cpu.brand_string").map(str::to_owned),
        physical_cores: number(&machine, "hw.physicalcpu"),
        logical_cores: number(&machine, "hw.logicalcpu"),
        performance_cores: cores.performance,
        efficiency_cores: cores.efficiency,
        gpu: gpu.name,
        gpu_cores: graphics::cores(&read(Source::Accelerators)).or(gpu.cores),
        metal: gpu.metal,
        memory_bytes: number(&machine, "hw.memsize"),
        virtual_machine: answer(&machine, "kern.hv_vmm_present"),
        translated: answer(&machine, "sysctl.proc_translated"),
        fitness: None,
    }
}

/// How the machine that `sources` speak of is doing.
pub fn health(sources: &dyn Sources) -> Health {
    let read = |source| sources.text(source).unwrap_or_default();
    let zombies = zombies_of(&read(Source::Processes));
    Health {
        zombies: zombies.map(|zombies| zombies.all),
        mlx_zombies: zombies.map(|zombies| zombies.of_mlx),
        thermal_level: power::thermal_level(&read(Source::Thermal)),
        speed_limit_percent: power::speed_limit(&read(Source::Speed)),
        power: power::supply(&read(Source::Supply)),
        low_power_mode: power::is_low_power(&read(Source::Settings)),
        gpu_busy_percent: graphics::busy(&read(Source::Accelerators)),
        ..memory(sources)
    }
}

/// Memory, swap and load of the machine that `sources` speak of.
pub fn memory(sources: &dyn Sources) -> Health {
    let read = |source| sources.text(source).unwrap_or_default();
    let (pages, moment) = (read(Source::Pages), read(Source::Moment));
    Health {
        free_bytes: pages::free_bytes(&pages),
        speculative_bytes: pages::speculative_bytes(&pages),
        taken_bytes: pages::taken_bytes(&pages),
        swap_used_bytes: sysctl::swap_used(&moment),
        load_average: sysctl::load_average(&moment),
        memory_pressure: number(&moment, "kern.memorystatus_vm_pressure_level"),
        ..Health::default()
    }
}

/// `macOS 26.2`, from `sw_vers`.
fn platform_version(system: &str) -> Option<String> {
    let version = text(system, "ProductVersion")?;
    let name = text(system, "ProductName").unwrap_or("macOS");
    Some(format!("{name} {version}"))
}

/// As Apple calls it.
fn architecture(name: &str) -> &str {
    match name {
        "aarch64" => "arm64",
        other => other,
    }
}

/// From `pid ppid stat command` a line; no line at all means that `ps` failed.
fn zombies_of(lines: &str) -> Option<Zombies> {
    let processes: Vec<_> = lines.lines().filter_map(process).collect();
    if processes.is_empty() {
        return None;
    }
    let dead = processes.iter().filter(|(_, _, state, _)| state.starts_with('Z'));
    let command = |wanted| {
        let parent = processes.iter().find(|(id, ..)| *id == wanted);
        parent.map(|(.., command)| (*command).to_owned())
    };
    zombies::count(dead.map(|(_, parent, ..)| *parent), command)
}

fn process(line: &str) -> Option<(u32, u32, &str, &str)> {
    let (id, rest) = line.trim_start().split_once(' ')?;
    let (parent, rest) = rest.trim_start().split_once(' ')?;
    let rest = rest.trim_start();
    let (state, command) = rest.split_once(' ').unwrap_or((rest, ""));
    Some((id.parse().ok()?, parent.parse().ok()?, state, command.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zombies_are_told_by_their_state_and_mlx_by_the_parent() {
        let lines = "    1     0 Ss   /sbin/launchd\n\
                     \x20 412     1 S+   python -m mlx_lm.server --port 8080\n\
                     \x20 413   412 Z+   <defunct>\n\
                     \x20 500     1 S    /bin/zsh\n\
                     \x20 501   500 Z    (sleep)\n\
                     \x20 502   500 S    grep <defunct>\n";
        assert_eq!(zombies_of(lines), Some(Zombies { all: 2, of_mlx: 1 }));
    }

    #[test]
    fn a_list_without_zombies_has_none_and_no_list_tells_nothing() {
        let none = Zombies { all: 0, of_mlx: 0 };
        assert_eq!(zombies_of("1 0 Ss /sbin/launchd\n"), Some(none));
        assert_eq!(zombies_of(""), None);
        assert_eq!(zombies_of("ps: illegal option\n"), None);
    }

    #[test]
    fn the_system_is_told_by_name_and_version() {
        let system = "ProductName:\t\tmacOS\nProductVersion:\t\t26.2\nBuildVersion:\t\t25C56\n";
        assert_eq!(platform_version(system).as_deref(), Some("macOS 26.2"));
        assert_eq!(platform_version("BuildVersion:\t\t25C56\n"), None);
        assert_eq!(architecture("aarch64"), "arm64");
    }
}
