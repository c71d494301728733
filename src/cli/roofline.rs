//! `roofline`: what memory and processor of this machine can give, measured through MLX.

use clap::Args;
use serde::Serialize;

use super::{Exit, printer::Printer};
use crate::{
    measure::{
        message::Runtime,
        mlx::{self, CeilingsPlan},
        roofline::{Bandwidth, Ceilings},
    },
    plan::Device,
};

/// Where it is measured and how it is told.
#[derive(Clone, Debug, Args)]
pub(super) struct Arguments {
    /// Where MLX computes: `auto` takes the GPU where there is one
    #[arg(long, value_enum, default_value = "auto")]
    device: Device,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

/// The ceilings, and what they are those of.
#[derive(Debug, Serialize)]
struct Roofline {
    mlx: Runtime,
    #[serde(flatten)]
    ceilings: Ceilings,
}

/// Measures and tells the ceilings of this machine.
pub(super) fn run(arguments: &Arguments, printer: &Printer) -> Exit {
    let mlx = match mlx::use_device(arguments.device) {
        Ok(mlx) => mlx,
        Err(failure) => {
            printer.error(&failure.message, failure.hint.as_deref());
            return Exit::No;
        }
    };
    printer.note("measuring for some seconds; leave this machine alone meanwhile");
    let ceilings = match mlx::ceilings(&CeilingsPlan::of_machine()) {
        Ok(ceilings) => ceilings,
        Err(error) => {
            printer.failure(&error, Some("some 600 MB of memory are needed"));
            return Exit::No;
        }
    };
    let roofline = Roofline { mlx, ceilings };
    if arguments.json {
        printer.line(serde_json::json!(roofline));
    } else {
        printer.data(&text(&roofline));
    }
    Exit::Ok
}

/// Memory first, then products; the best of each is marked. Of products with vectors in one format the fastest is told.
fn text(Roofline { mlx, ceilings }: &Roofline) -> String {
    let name = mlx.device_name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    let mut lines = vec![format!("MLX {} on the {}{name}", mlx.mlx_version, mlx.device)];
    let heading = ["memory", "format", "matrices", "MB", "GB/s"];
    let [what, format, matrices, bytes, speed] = heading;
    lines.push(format!("\n{what:<14} {format:<24} {matrices:<12} {bytes:>10} {speed:>8}"));
    let fastest = ceilings.bandwidth();
    lines.extend(fastest_of_each_format(ceilings).map(|one| {
        let mark = if fastest == Some(one) { "  ceiling" } else { "" };
        let matrices = one.shape.map(|[rows, columns]| format!("{rows}×{columns}"));
        let (matrices, what) = (matrices.unwrap_or_default(), one.kernel.name());
        let (set, speed) = (one.working_set_bytes as f64 / 1e6, one.bytes_per_s / 1e9);
        format!("{what:<14} {:<24} {matrices:<12} {set:>10.0} {speed:>8.2}{mark}", one.format)
    }));
    let [what, format, size, speed] = ["products", "format", "size", "GFLOP/s"];
    lines.push(format!("\n{what:<14} {format:<37} {size:>10} {speed:>8}"));
    let fastest = ceilings.compute();
    lines.extend(ceilings.compute.iter().map(|one| {
        let mark = if fastest == Some(one) { "  ceiling" } else { "" };
        let speed = one.flops_per_s / 1e9;
        format!("{:<14} {:<37} {:>10} {speed:>8.1}{mark}", "matrix-matrix", one.format, one.size)
    }));
    lines.push(String::new());
    lines.join("\n")
}

/// Of bandwidths of one kernel and format the best, in the order in which they were measured.
fn fastest_of_each_format(ceilings: &Ceilings) -> impl Iterator<Item = &Bandwidth> {
    let alike = |one: &Bandwidth, other: &Bandwidth| {
        (one.kernel, &one.format) == (other.kernel, &other.format)
    };
    ceilings.bandwidths.iter().filter(move |one| {
        let faster = |other: &&Bandwidth| alike(one, other) && other.bytes_per_s > one.bytes_per_s;
        !ceilings.bandwidths.iter().any(|other| faster(&other))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::roofline::{Compute, Kernel};

    #[test]
    fn the_ceilings_are_marked() {
        let bandwidth = |kernel, format: &str, bytes_per_s| Bandwidth {
            kernel,
            format: format.to_owned(),
            shape: None,
            working_set_bytes: 268_435_456,
            bytes_per_s,
        };
        let roofline = Roofline {
            mlx: Runtime {
                mlx_version: "0.32.2".to_owned(),
                mlx_rs_version: "0.33.0".to_owned(),
                device: "gpu".to_owned(),
                device_name: Some("Apple M2 Max".to_owned()),
                working_set_bytes: None,
            },
            ceilings: Ceilings {
                bandwidths: vec![
                    bandwidth(Kernel::Copy, "float32", 3.4e11),
                    bandwidth(Kernel::MatrixVector, "4-bit affine, group 64", 3.512e11),
                    Bandwidth {
                        shape: Some([14_336, 4096]),
                        ..bandwidth(Kernel::MatrixVector, "4-bit affine, group 64", 3.612e11)
                    },
                ],
                compute: vec![Compute {
                    format: "bfloat16".to_owned(),
                    size: 4096,
                    flops_per_s: 1.25e13,
                }],
            },
        };
        let expected = "\
MLX 0.32.2 on the gpu (Apple M2 Max)

memory         format                   matrices             MB     GB/s
copy           float32                                      268   340.00
matrix-vector  4-bit affine, group 64   14336×4096          268   361.20  ceiling

products       format                                      size  GFLOP/s
matrix-matrix  bfloat16                                    4096  12500.0  ceiling
";
        assert_eq!(text(&roofline), expected);
    }
}
