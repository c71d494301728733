//! The programs of macOS that tell about the machine, and what they are asked.

use std::time::Duration;

use crate::host::command::ask_within;

/// A program of macOS and what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `sysctl`, of what does not change while the machine is up.
    Machine,
    /// `sysctl`, of what changes from moment to moment.
    Moment,
    /// `sw_vers`: the system by name and version.
    System,
    /// `system_profiler -json SPDisplaysDataType`: the GPU's name and its Metal.
    Displays,
    /// `ioreg -c IOAccelerator`: the GPU's cores and how busy they are.
    Accelerators,
    /// `vm_stat`: memory by page.
    Pages,
    /// `ps`: every process with its parent and its state.
    Processes,
    /// `pmset -g batt`: where the power comes from.
    Supply,
    /// `pmset -g`: the settings in force.
    Settings,
    /// `pmset -g therm`: how far the clock is held back.
    Speed,
    /// `notifyutil`: the thermal pressure that the system tells everybody.
    Thermal,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 11] = [
        Self::Machine,
        Self::Moment,
        Self::System,
        Self::Displays,
        Self::Accelerators,
        Self::Pages,
        Self::Processes,
        Self::Supply,
        Self::Settings,
        Self::Speed,
        Self::Thermal,
    ];

    /// The program and its arguments, such as `["vm_stat"]`.
    pub fn command(self) -> &'static [&'static str] {
        match self {
            Self::Machine => &[
                "sysctl",
                "hw.model",
                "hw.memsize",
                "hw.physicalcpu",
                "hw.logicalcpu",
                "machdep.cpu.brand_string",
                "hw.perflevel0.name",
                "hw.perflevel0.physicalcpu",
                "hw.perflevel1.name",
                "hw.perflevel1.physicalcpu",
                "kern.hv_vmm_present",
                "sysctl.proc_translated",
            ],
            Self::Moment => {
                &["sysctl", "vm.swapusage", "vm.loadavg", "kern.memorystatus_vm_pressure_level"]
            }
            Self::System => &["sw_vers"],
            Self::Displays => &["system_profiler", "-json", "SPDisplaysDataType"],
            Self::Accelerators => &["ioreg", "-r", "-c", "IOAccelerator", "-d", "1", "-w", "0"],
            Self::Pages => &["vm_stat"],
            // A header of its own each: after `=` the rest of an argument is the header.
            Self::Processes => {
                &["ps", "-A", "-ww", "-o", "pid=", "-o", "ppid=", "-o", "stat=", "-o", "command="]
            }
            Self::Supply => &["pmset", "-g", "batt"],
            Self::Settings => &["pmset", "-g"],
            Self::Speed => &["pmset", "-g", "therm"],
            Self::Thermal => &["notifyutil", "-g", "com.apple.system.thermalpressurelevel"],
        }
    }

    /// How long the program may take. `system_profiler` looks at every display, and is asked once a run.
    fn patience(self) -> Duration {
        Duration::from_secs(if self == Self::Displays { 10 } else { 2 })
    }
}

/// Whatever answers in place of the programs.
pub trait Sources {
    /// What the program of `source` prints; none where it does not answer.
    fn text(&self, source: Source) -> Option<String>;
}

/// The programs of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Live;

impl Sources for Live {
    fn text(&self, source: Source) -> Option<String> {
        let (program, arguments) = source.command().split_first()?;
        ask_within(source.patience(), program, arguments)
    }
}
