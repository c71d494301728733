//! `system`: which machine, system and MLX this is, how the machine is doing, and whether it is fit for timing.

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::{Exit, printer::Printer};
use crate::{
    host::{
        self, Health, Host, Jitter, Power, Probe,
        fitness::{Fitness, fitness},
    },
    measure::{message::Runtime, supervise},
};

/// How it is told.
#[derive(Clone, Debug, Args)]
pub(super) struct Arguments {
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

/// All that is known before a model is named.
#[derive(Debug, Serialize)]
struct System {
    host: Host,
    health: Health,
    probe: Probe,
    fitness: Fitness,
    mlx: Option<Runtime>,
}

/// Tells what is known of this machine.
pub(super) fn run(arguments: &Arguments, printer: &Printer) -> Exit {
    // Before anything that this program starts is work itself.
    let health = Health::now();
    printer.note("trying for two seconds how steadily this machine runs");
    let probe = Probe::whole(Probe::LENGTH);
    let host = host::survey();
    let (mlx, exit) = match supervise::describe() {
        Ok(runtime) => (Some(runtime), Exit::Ok),
        Err(failure) => {
            printer.error(&failure.message, failure.hint.as_deref());
            (None, Exit::No)
        }
    };
    let fitness = fitness(&host, &health, &probe);
    let system = System { host, health, probe, fitness, mlx };
    if arguments.json {
        printer.line(known(serde_json::json!(system)));
    } else {
        printer.data(&text(&system));
    }
    exit
}

/// `value` without what is not known.
fn known(mut value: Value) -> Value {
    if let Some(facts) = value.as_object_mut() {
        facts.retain(|_, fact| !fact.is_null());
        for fact in facts.values_mut() {
            *fact = known(fact.take());
        }
    }
    value
}

/// One fact a line, in two columns, then the grade with what speaks against a better one.
fn text(system: &System) -> String {
    let System { host, health, probe, fitness, mlx } = system;
    let mlx = mlx.as_ref();
    let facts = [
        ("system", joined(&[&host.platform, &host.platform_version, &host.architecture])),
        ("model", host.model.clone()),
        ("chip", host.chip.clone()),
        ("cores", cores(host)),
        ("gpu", host.gpu.clone()),
        ("gpu cores", count(host.gpu_cores)),
        ("metal", host.metal.clone()),
        ("memory", host.memory_bytes.map(gibibytes)),
        ("virtual", host.virtual_machine.map(yes_or_no)),
        ("memory free", health.free_bytes.map(gibibytes)),
        ("swap used", health.swap_used_bytes.map(gibibytes)),
        ("load average", health.load_average.map(|load| format!("{load:.2}"))),
        ("busy cores", probe.busy_cores.map(|cores| format!("{cores:.2}"))),
        ("pressure", count(health.memory_pressure)),
        ("heat", count(health.thermal_level)),
        ("power", power(health)),
        ("gpu busy", health.gpu_busy_percent.map(|share| format!("{share} %"))),
        ("zombies", zombies(health)),
        ("clock step", probe.clock_resolution_ns.map(|step| format!("{step} ns"))),
        ("jitter", probe.jitter.map(jitter)),
        ("mlx", mlx.map(|mlx| mlx.mlx_version.clone())),
        ("mlx-rs", mlx.map(|mlx| mlx.mlx_rs_version.clone())),
        ("device", mlx.map(device)),
        ("working set", mlx.and_then(|mlx| mlx.working_set_bytes).map(gibibytes)),
    ];
    let line = |(name, value): (&str, Option<String>)| {
        format!("{name:<12} {}\n", value.as_deref().unwrap_or("–"))
    };
    let facts = facts.into_iter().map(line);
    facts.chain(["\n".to_owned(), judgement(fitness)]).collect()
}

/// The grade, a line for each reason, and what was not judged.
fn judgement(fitness: &Fitness) -> String {
    let mut lines = vec![format!("{:<12} {}", "grade", fitness.grade)];
    let reasons = fitness.reasons.iter();
    lines.extend(reasons.map(|reason| format!("  {} {}", reason.grade, reason.text)));
    if !fitness.not_judged.is_empty() {
        lines.push(format!("  not judged: {}", fitness.not_judged.join(", ")));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn count(figure: Option<u32>) -> Option<String> {
    figure.map(|figure| figure.to_string())
}

fn yes_or_no(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.to_owned()
}

fn power(health: &Health) -> Option<String> {
    let supply = health.power.map(|power| match power {
        Power::Ac => "socket",
        Power::Battery => "battery",
        Power::Ups => "uninterruptible supply",
    });
    let mode = health.low_power_mode.map(|is_low| if is_low { "low power" } else { "full power" });
    let known: Vec<_> = [supply, mode].into_iter().flatten().collect();
    (!known.is_empty()).then(|| known.join(", "))
}

fn zombies(health: &Health) -> Option<String> {
    let all = health.zombies?;
    Some(match health.mlx_zombies {
        Some(of_mlx) => format!("{all}, {of_mlx} of MLX"),
        None => all.to_string(),
    })
}

fn jitter(jitter: Jitter) -> String {
    let milliseconds = |microseconds: u64| microseconds as f64 / 1e3;
    let (p99, worst) = (milliseconds(jitter.p99_us), milliseconds(jitter.worst_us));
    format!("{p99:.2} ms in 99 of 100 steps, {worst:.2} ms at worst")
}

fn cores(host: &Host) -> Option<String> {
    let logical = host.logical_cores.map(|count| format!("{count} logical"));
    let physical = host.physical_cores.map(|count| format!("{count} physical"));
    let fast = host.performance_cores.map(|count| format!("{count} performance"));
    let slow = host.efficiency_cores.map(|count| format!("{count} efficiency"));
    let known: Vec<_> = [physical, logical, fast, slow].into_iter().flatten().collect();
    (!known.is_empty()).then(|| known.join(", "))
}

fn device(mlx: &Runtime) -> String {
    match &mlx.device_name {
        Some(name) => format!("{} ({name})", mlx.device),
        None => mlx.device.clone(),
    }
}

fn joined(parts: &[&Option<String>]) -> Option<String> {
    let known: Vec<&str> = parts.iter().filter_map(|part| part.as_deref()).collect();
    (!known.is_empty()).then(|| known.join(" "))
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.2} GiB", bytes as f64 / 1024_f64.powi(3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fitness::{Grade, Reason};

    #[test]
    fn what_is_not_known_is_a_dash_and_never_zero() {
        let system = System {
            host: Host {
                platform: Some("Linux".to_owned()),
                architecture: Some("x86_64".to_owned()),
                physical_cores: Some(2),
                memory_bytes: Some(8_589_934_592),
                ..Host::default()
            },
            health: Health {
                swap_used_bytes: Some(0),
                zombies: Some(3),
                mlx_zombies: Some(1),
                power: Some(Power::Battery),
                low_power_mode: Some(false),
                ..Health::default()
            },
            probe: Probe {
                jitter: Some(Jitter { steps: 2000, p99_us: 310, worst_us: 4250 }),
                ..Probe::default()
            },
            fitness: Fitness { grade: Grade::A, reasons: Vec::new(), not_judged: Vec::new() },
            mlx: Some(Runtime {
                mlx_version: "0.32.2".to_owned(),
                mlx_rs_version: "0.33.0".to_owned(),
                device: "cpu".to_owned(),
                device_name: None,
                working_set_bytes: None,
            }),
        };
        let expected = "\
system       Linux x86_64
model        –
chip         –
cores        2 physical
gpu          –
gpu cores    –
metal        –
memory       8.00 GiB
virtual      –
memory free  –
swap used    0.00 GiB
load average –
busy cores   –
pressure     –
heat         –
power        battery, full power
gpu busy     –
zombies      3, 1 of MLX
clock step   –
jitter       0.31 ms in 99 of 100 steps, 4.25 ms at worst
mlx          0.32.2
mlx-rs       0.33.0
device       cpu
working set  –

grade        A
";
        assert_eq!(text(&system), expected);
    }

    #[test]
    fn a_grade_is_told_with_its_reasons() {
        let reason = |grade, text: &str| Reason { grade, rule: "a_rule", text: text.to_owned() };
        let fitness = Fitness {
            grade: Grade::C,
            reasons: vec![reason(Grade::C, "it is slow"), reason(Grade::B, "it is late")],
            not_judged: vec!["heat", "gpu_busy"],
        };
        let expected = "\
grade        C
  C it is slow
  B it is late
  not judged: heat, gpu_busy
";
        assert_eq!(judgement(&fitness), expected);
    }
}
