//! `system`: which machine, system and MLX this is, and how the machine is doing.

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::{Exit, printer::Printer};
use crate::{
    host::{Health, Host},
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
    mlx: Option<Runtime>,
}

/// Tells what is known of this machine.
pub(super) fn run(arguments: &Arguments, printer: &Printer) -> Exit {
    let (mlx, exit) = match supervise::describe() {
        Ok(runtime) => (Some(runtime), Exit::Ok),
        Err(failure) => {
            printer.error(&failure.message, failure.hint.as_deref());
            (None, Exit::No)
        }
    };
    let system = System { host: crate::host::survey(), health: Health::now(), mlx };
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

/// One fact a line, in two columns.
fn text(system: &System) -> String {
    let System { host, health, mlx } = system;
    let mlx = mlx.as_ref();
    let facts = [
        ("system", joined(&[&host.platform, &host.platform_version, &host.architecture])),
        ("model", host.model.clone()),
        ("chip", host.chip.clone()),
        ("cores", cores(host)),
        ("gpu cores", host.gpu_cores.map(|cores| cores.to_string())),
        ("metal", host.metal.clone()),
        ("memory", host.memory_bytes.map(gibibytes)),
        ("memory free", health.free_bytes.map(gibibytes)),
        ("swap used", health.swap_used_bytes.map(gibibytes)),
        ("load average", health.load_average.map(|load| format!("{load:.2}"))),
        ("pressure", health.memory_pressure.map(|level| level.to_string())),
        ("gpu busy", health.gpu_busy_percent.map(|share| format!("{share} %"))),
        ("zombies", health.zombies.map(|count| count.to_string())),
        ("mlx", mlx.map(|mlx| mlx.mlx_version.clone())),
        ("mlx-rs", mlx.map(|mlx| mlx.mlx_rs_version.clone())),
        ("device", mlx.map(device)),
        ("working set", mlx.and_then(|mlx| mlx.working_set_bytes).map(gibibytes)),
    ];
    let line = |(name, value): (&str, Option<String>)| {
        format!("{name:<12} {}\n", value.as_deref().unwrap_or("–"))
    };
    facts.into_iter().map(line).collect()
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
            health: Health { swap_used_bytes: Some(0), ..Health::default() },
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
gpu cores    –
metal        –
memory       8.00 GiB
memory free  –
swap used    0.00 GiB
load average –
pressure     –
gpu busy     –
zombies      –
mlx          0.32.2
mlx-rs       0.33.0
device       cpu
working set  –
";
        assert_eq!(text(&system), expected);
    }
}
