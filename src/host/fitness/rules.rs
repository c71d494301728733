//! The rules of fitness, each with its thresholds, in one table.

use super::Grade;
use crate::host::{Health, Host, Power, Probe};

const MIB: f64 = 1_048_576.0;
const GIB: f64 = 1_073_741_824.0;

/// A figure and where it becomes a fault.
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) scale: Scale,
    /// The figure, where it is known; of a fact 1 if it is true, else 0.
    pub(super) figure: fn(&Host, &Health, &Probe) -> Option<f64>,
    /// What the figure says, as a clause.
    pub(super) text: fn(f64) -> String,
}

/// Where a figure becomes a fault.
#[derive(Clone, Copy)]
pub(super) enum Scale {
    /// A fact leaves this grade at best.
    Fact(Grade),
    /// From these figures on the best grade is B, C and D.
    From([Option<f64>; 3]),
    /// Below these figures the best grade is B, C and D.
    Below([Option<f64>; 3]),
}

impl Scale {
    /// The best grade that `figure` leaves.
    pub(super) fn grade(self, figure: f64) -> Grade {
        let worst = |limits: [Option<f64>; 3], is_past: fn(f64, f64) -> bool| {
            let grades = [Grade::B, Grade::C, Grade::D].into_iter().zip(limits);
            let past =
                grades.filter(|(_, limit)| limit.is_some_and(|limit| is_past(figure, limit)));
            past.map(|(grade, _)| grade).max().unwrap_or(Grade::A)
        };
        match self {
            Self::Fact(grade) if figure > 0.0 => grade,
            Self::Fact(_) => Grade::A,
            Self::From(limits) => worst(limits, |figure, limit| figure >= limit),
            Self::Below(limits) => worst(limits, |figure, limit| figure < limit),
        }
    }
}

/// All rules. Swap and free memory begin where mlx-knife begins to mistrust a figure; swap alone costs no more than a B,
/// as systems keep old pages there for days at no cost. The other limits are judgements.
pub(super) const RULES: [Rule; 19] = [
    // What this program is.
    Rule {
        name: "debug_build",
        scale: Scale::Fact(Grade::D),
        figure: |_, _, probe| fact(probe.debug_build),
        text: |_| "the harness was built without optimization".to_owned(),
    },
    Rule {
        name: "rosetta",
        scale: Scale::Fact(Grade::D),
        figure: |host, _, _| fact(host.translated),
        text: |_| "the harness is translated by Rosetta".to_owned(),
    },
    // What the machine is.
    Rule {
        name: "virtual_machine",
        scale: Scale::Fact(Grade::C),
        figure: |host, _, _| fact(host.virtual_machine),
        text: |_| "the system runs in a virtual machine".to_owned(),
    },
    Rule {
        name: "paravirtual_gpu",
        scale: Scale::Fact(Grade::D),
        figure: |host, _, _| fact(host.gpu.as_ref().map(|gpu| gpu.contains("Paravirtual"))),
        text: |_| "the GPU is a paravirtual one".to_owned(),
    },
    // What holds it back.
    Rule {
        name: "battery",
        scale: Scale::Fact(Grade::C),
        figure: |_, health, _| fact(health.power.map(|power| power != Power::Ac)),
        text: |_| "the power comes from a battery".to_owned(),
    },
    Rule {
        name: "low_power_mode",
        scale: Scale::Fact(Grade::D),
        figure: |_, health, _| fact(health.low_power_mode),
        text: |_| "the system saves power".to_owned(),
    },
    Rule {
        name: "thermal_level",
        scale: Scale::From([None, Some(1.0), Some(2.0)]),
        figure: |_, health, _| health.thermal_level.map(f64::from),
        text: |level| format!("heat holds the machine back, at level {level}"),
    },
    Rule {
        name: "speed_limit",
        scale: Scale::Below([Some(100.0), Some(95.0), Some(80.0)]),
        figure: |_, health, _| health.speed_limit_percent.map(f64::from),
        text: |percent| format!("the processor may use {percent} % of its clock"),
    },
    // Who else works on it.
    Rule {
        name: "load_per_core",
        scale: Scale::From([Some(0.25), Some(0.5), Some(1.0)]),
        figure: |host, health, _| {
            let cores = host.logical_cores.filter(|cores| *cores > 0)?;
            Some(health.load_average? / f64::from(cores))
        },
        text: |load| format!("the load of the last minute is {load:.2} a core"),
    },
    Rule {
        name: "busy_cores",
        scale: Scale::From([Some(0.5), None, None]),
        figure: |_, _, probe| probe.busy_cores,
        text: |cores| format!("others keep {cores:.2} cores busy"),
    },
    Rule {
        name: "busy_share",
        scale: Scale::From([Some(0.1), Some(0.25), Some(0.5)]),
        figure: |host, _, probe| {
            let cores = host.logical_cores.filter(|cores| *cores > 0)?;
            Some(probe.busy_cores? / f64::from(cores))
        },
        text: |share| format!("others keep {:.0} % of all cores busy", share * 100.0),
    },
    Rule {
        name: "gpu_busy",
        scale: Scale::From([Some(5.0), Some(20.0), Some(50.0)]),
        figure: |_, health, _| health.gpu_busy_percent.map(f64::from),
        text: |percent| format!("others keep the GPU busy for {percent} % of the time"),
    },
    Rule {
        name: "zombies",
        scale: Scale::From([Some(1.0), Some(10.0), None]),
        figure: |_, health, _| health.zombies.map(f64::from),
        text: |count| format!("processes that ended and were not collected: {count}"),
    },
    // What memory it has left.
    Rule {
        name: "swap_used",
        scale: Scale::From([Some(100.0 * MIB), None, None]),
        figure: |_, health, _| health.swap_used_bytes.map(|bytes| bytes as f64),
        text: |bytes| format!("swap in use: {:.2} GiB", bytes / GIB),
    },
    Rule {
        name: "free_memory",
        scale: Scale::Below([Some(5.0 * GIB), Some(GIB), None]),
        figure: |_, health, _| health.free_bytes.map(|bytes| bytes as f64),
        text: |bytes| format!("free memory: {:.2} GiB", bytes / GIB),
    },
    Rule {
        name: "memory_pressure",
        scale: Scale::From([None, Some(2.0), Some(4.0)]),
        figure: |_, health, _| health.memory_pressure.map(f64::from),
        text: |level| format!("the system is short of memory, at level {level}"),
    },
    // Whether time can be told on it.
    Rule {
        name: "clock_resolution",
        scale: Scale::From([Some(1_001.0), Some(10_000.0), Some(1_000_000.0)]),
        figure: |_, _, probe| probe.clock_resolution_ns.map(|nanoseconds| nanoseconds as f64),
        text: |nanoseconds| format!("the clock steps by {:.1} µs", nanoseconds / 1_000.0),
    },
    Rule {
        name: "jitter",
        scale: Scale::From([Some(2_000.0), Some(5_000.0), Some(20_000.0)]),
        figure: |_, _, probe| probe.jitter.map(|jitter| jitter.p99_us as f64),
        text: |late| {
            format!("one step of a millisecond in 100 is late by {:.1} ms", late / 1_000.0)
        },
    },
    Rule {
        name: "worst_jitter",
        scale: Scale::From([Some(10_000.0), Some(50_000.0), Some(200_000.0)]),
        figure: |_, _, probe| probe.jitter.map(|jitter| jitter.worst_us as f64),
        text: |late| format!("a step of a millisecond was late by {:.1} ms", late / 1_000.0),
    },
];

/// 1 for what is true, 0 for what is not.
fn fact(answer: Option<bool>) -> Option<f64> {
    answer.map(|yes| if yes { 1.0 } else { 0.0 })
}
